"""A manifest for a folder that another program made: onnxruntime-genai's model builder, or Olive.

The folder stays as it is, and nothing of it is run. What the manifest says is told from the headers of its files, and
held against each other: two files that disagree are two models.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from edge.bundle.genai_config import GenaiConfig, read_genai_config, read_object
from edge.bundle.graph_header import Header, Node, Value, read_header
from edge.bundle.manifest import MANIFEST, SIGNATURE, USUAL, File, Manifest, Origin, Quantization
from edge.bundle.opening import Progress, hash_file
from edge.errors import BundleError

ADOPTED = "adopted"
"""A bundle's revision, where its folder was made by another program."""
FILES_MAX = 1000
TOKENIZER_BYTES_MAX, TEMPLATE_BYTES_MAX = 128 << 20, 1 << 20
CONTEXT_TOKENS = 4096
"""Of a folder that would take more, where nobody says otherwise: the cache of a whole context has to fit the board."""
SLICE_TOKENS = 128
"""Of a prompt that is read at once; a graph of others gives logits for each of them."""
RUNTIME_BYTES = 160 << 20
"""What the engine takes beside weights and cache, as in bundles of our own."""
DOMAINS = {"", "com.microsoft"}
"""Operators that onnxruntime brings itself."""
SIZE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1}
Cache = Literal["float32", "float16", "int8"]
CACHES: tuple[Cache, ...] = ("float32", "float16", "int8")
Reader = Literal["onnxruntime-genai", "tokenizers"]


@dataclass(frozen=True)
class Wishes:
    """What the operator says of a folder. source: what it was called where it came from.

    context_length: None for the folder's own, CONTEXT_TOKENS at most. chat_template: Jinja text in place of the
    folder's; None for that.
    """

    name: str
    source: str
    version: str = "1"
    licence: str = "unknown"
    context_length: int | None = None
    chat_template: str | None = None


def adopted(
    folder: Path, wishes: Wishes, reader_of: Callable[[Path], Reader], progress: Progress | None = None
) -> Manifest:
    """The manifest of a folder. reader_of: what reads its texts rightly, asked once all else was found right.

    Raises BundleError, naming what it is, for what cannot be served.
    """
    files = files_of(folder)
    config = read_genai_config(folder)
    graph = read_header(folder / config.file)
    _check_files(folder, graph, files)
    _check_operators(graph)
    cache, engine = _checked_cache(graph, config), _engine(graph, config)
    context = _context(config, wishes)
    weights = sum((folder / name).stat().st_size for name in {config.file, *graph.files})
    token = 2 * config.layers * config.kv_heads * config.head_size * SIZE_BYTES[cache]
    switch, template = switch_of(graph), wishes.chat_template or _chat_template(folder)
    reader = reader_of(folder)
    hashes = {name: _hashed(folder, name, progress) for name in files}
    try:
        return Manifest(
            name=wishes.name,
            version=wishes.version,
            family=config.family,
            provider=USUAL,
            capabilities=["text", "json_schema"],
            quantization=_quantization(graph, weights),
            context_length=context,
            vocab_size=config.vocab_size,
            stop_token_ids=config.stop_token_ids,
            chat_template=template,
            tokenizer=reader,
            sampling=config.sampling,
            weights_bytes=weights,
            kv_cache=cache,
            kv_bytes_per_token=token,
            memory_floor_bytes=weights + context * token + SLICE_TOKENS * config.vocab_size * 4 + RUNTIME_BYTES,
            origin=_origin(hashes, {config.file, *graph.files}, wishes),
            rope_switch_length=switch if switch < context else 0,
            engine=engine,
            decoder=config.file,
            files=hashes,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise BundleError(f"{folder}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def files_of(folder: Path) -> list[str]:
    """Every file of a folder, as a manifest names it.

    Raises BundleError for links, and for what is no file: a link could lead anywhere on the board.
    """
    found: list[str] = []
    if not folder.is_dir():
        raise BundleError(f"{folder} is not a folder")
    for place, folders, names in os.walk(folder):
        for name in (*folders, *names):
            path = Path(place) / name
            mode = path.lstat().st_mode
            inner = path.relative_to(folder).as_posix()
            if stat.S_ISLNK(mode):
                raise BundleError(f"{path} is a link; copy the files themselves (`cp -rL`, or download to a folder)")
            if name in names and inner not in (MANIFEST, SIGNATURE):
                if not stat.S_ISREG(mode):
                    raise BundleError(f"{path} is not a regular file; remove it")
                found.append(inner)
    if len(found) > FILES_MAX:
        raise BundleError(f"{folder} has {len(found)} files; a model's folder has {FILES_MAX} at most")
    return sorted(found)


def _hashed(folder: Path, name: str, progress: Progress | None) -> File:
    path = folder / name
    told = (lambda size: progress(name, size)) if progress else None
    return File(sha256=hash_file(path, told), size_bytes=path.stat().st_size)


def _check_files(folder: Path, graph: Header, files: list[str]) -> None:
    """The weights lie beside the graph, and so does the tokenizer."""
    for name in sorted(graph.files):
        if name not in files:
            raise BundleError(f"the graph has weights in {name!r}, which is no file of {folder}")
    if "tokenizer.json" not in files:
        raise BundleError(f"{folder} has no tokenizer.json, which its texts are read with")
    size = (folder / "tokenizer.json").stat().st_size
    if size > TOKENIZER_BYTES_MAX:
        raise BundleError(f"{folder}'s tokenizer.json has {size} bytes; {TOKENIZER_BYTES_MAX} at most are read")


def _check_operators(graph: Header) -> None:
    for node in graph.nodes:
        if node.domain not in DOMAINS:
            raise BundleError(f"the graph has {node.domain}.{node.kind}, an operator that onnxruntime does not bring")


def _checked_cache(graph: Header, config: GenaiConfig) -> Cache:
    """What keys and values are kept in. BundleError where the graph's sizes are others than genai_config.json's."""
    logits = graph.outputs.get("logits")
    if logits is None or logits.shape[-1:] != (config.vocab_size,):
        said = logits.shape if logits else "none"
        raise BundleError(
            f"the graph's logits are {said}, but genai_config.json says a vocab_size of {config.vocab_size}"
        )
    past = [each for name, each in graph.inputs.items() if name.startswith("past_key_values.")]
    wanted = {f"past_key_values.{layer}.{part}" for layer in range(config.layers) for part in ("key", "value")}
    if {each.name for each in past} != wanted:
        raise BundleError(
            f"the graph reads {len(past)} keys and values, but genai_config.json says {config.layers} layers with two"
        )
    for each in past:
        if not _is_cache(each, config):
            raise BundleError(
                f"the graph's {each.name} is {each.shape}, but genai_config.json says {config.kv_heads} heads of"
                f" {config.head_size}"
            )
    present = [each for name, each in graph.outputs.items() if name.startswith("present.")]
    kinds = {each.kind for each in (*past, *present)}
    for kind in CACHES:
        if kinds == {kind}:
            return kind
    raise BundleError(f"the graph keeps keys and values as {', '.join(sorted(kinds))}; {', '.join(CACHES)} are served")


def _is_cache(value: Value, config: GenaiConfig) -> bool:
    if len(value.shape) != 4:
        return False
    _, heads, _, size = value.shape
    return heads == config.kv_heads and (isinstance(size, str) or size == config.head_size)


def _context(config: GenaiConfig, wishes: Wishes) -> int:
    if wishes.context_length is None:
        return min(config.context_length, CONTEXT_TOKENS)
    if not 0 < wishes.context_length <= config.context_length:
        raise BundleError(
            f"a context of {wishes.context_length} tokens was asked for, but the folder's has {config.context_length}"
        )
    return wishes.context_length


def switch_of(graph: Header) -> int:
    """Tokens up to which a text has the graph's short rotary factors, beyond any context where it has no two kinds.

    Raises BundleError where the graph chooses by something else.
    """
    made = {output: node for node in graph.nodes for output in node.outputs}
    limits = set()
    for node in graph.nodes:
        if node.kind != "If":
            continue
        by = made.get(node.inputs[0] if node.inputs else "")
        limit = graph.tensors.get(by.inputs[1]) if by and by.kind == "Greater" and len(by.inputs) == 2 else None
        if limit is None or limit.number is None or limit.number <= 0:
            raise BundleError(
                "the graph has an If that is not about long texts' rotary factors, and cannot be understood"
            )
        limits.add(limit.number)
    if len(limits) > 1:
        raise BundleError(f"the graph changes its rotary factors at several lengths: {sorted(limits)}")
    return limits.pop() if limits else 1 << 62


def _engine(graph: Header, config: GenaiConfig) -> Literal["batched", "genai"]:
    """Batched where its operators write into the cache that they read from, and it reads nothing that is unknown.

    Raises BundleError where neither runs it.
    """
    attend = [node for node in graph.nodes if node.kind == "GroupQueryAttention"]
    reads = {name for name in graph.inputs if not name.startswith("past_key_values.")}
    is_ours = (
        len(attend) == config.layers
        and graph.outputs["logits"].kind in ("float32", "float16")
        and {"input_ids", "attention_mask"} <= reads <= {"input_ids", "attention_mask", "position_ids"}
        and all(graph.inputs[name].kind == "int64" for name in reads)
        and len(graph.outputs) == 1 + 2 * config.layers
    )
    if is_ours:
        return "batched"
    kinds = {each.kind for each in graph.inputs.values()}
    if "float16" in kinds:
        raise BundleError(
            "the graph computes in float16, and is not one that the batched engine runs, with GroupQueryAttention in"
            " every layer and no further outputs; onnxruntime-genai cannot run it on the CPU: build it anew in int4 or"
            " fp32"
        )
    if config.provider != USUAL:
        raise BundleError(
            f"genai_config.json is for the provider {config.provider}, and the graph is not one that the batched engine"
            " runs: folders made for the CPU are served"
        )
    return "genai"


def _quantization(graph: Header, weights_bytes: int) -> Quantization:
    """How most matrices are stored, told from the operators that read them."""
    rounded = {node.inputs[1]: node for node in graph.nodes if node.kind == "MatMulNBits" and len(node.inputs) > 2}
    scales = {name for node in graph.nodes if node.kind in ROUNDED for name in node.inputs}
    floats = [each for each in graph.tensors.values() if each.kind.startswith("float") and len(each.shape) == 2]
    count = sum(_numbers(node, "K") * _numbers(node, "N") for node in rounded.values())
    count += sum(each.shape[0] * each.shape[1] for each in floats if each.name not in scales)
    bits_per_weight = round(weights_bytes * 8 / max(1, count), 3)
    if not rounded:
        bits = 8 * max((SIZE_BYTES[each.kind] for each in floats if each.kind in SIZE_BYTES), default=4)
        return Quantization(
            method="none", bits=bits, block_size=1, is_symmetric=True, accuracy_level=0, bits_per_weight=bits_per_weight
        )
    forms = Counter(_form(node) for node in rounded.values())
    (bits, block_size, is_symmetric, level), _ = forms.most_common(1)[0]
    return Quantization(
        method="as found",
        bits=bits,
        block_size=block_size,
        is_symmetric=is_symmetric,
        accuracy_level=level,
        bits_per_weight=bits_per_weight,
    )


ROUNDED = ("MatMulNBits", "GatherBlockQuantized", "GroupQueryAttention")
"""Whose tables of floats are no weights: scales, and angles."""


def _numbers(node: Node, name: str) -> int:
    return max(0, node.numbers.get(name, 0))


def _form(node: Node) -> tuple[int, int, bool, int]:
    is_symmetric = len(node.inputs) < 4 or not node.inputs[3]
    return _numbers(node, "bits") or 4, _numbers(node, "block_size"), is_symmetric, _numbers(node, "accuracy_level")


def _origin(hashes: dict[str, File], weights: set[str], wishes: Wishes) -> Origin:
    digest = hashlib.sha256("".join(hashes[name].sha256 for name in sorted(weights)).encode()).hexdigest()
    return Origin(name=wishes.source, revision=ADOPTED, sha256=digest, licence=wishes.licence)


def _chat_template(folder: Path) -> str:
    """In a file of its own, else in tokenizer_config.json, where it may be one of several."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        if file.stat().st_size > TEMPLATE_BYTES_MAX:
            raise BundleError(f"{file} is larger than {TEMPLATE_BYTES_MAX} bytes")
        try:
            return file.read_text(encoding="utf-8")
        except ValueError as error:
            raise BundleError(f"{file} is no UTF-8 text") from error
    told = next(_templates(folder), None)
    if not isinstance(told, str) or not told:
        raise BundleError(f"{folder} has no chat template; give one with --chat-template FILE")
    return told


def _templates(folder: Path) -> Iterator[object]:
    file = folder / "tokenizer_config.json"
    told = read_object(file, TEMPLATE_BYTES_MAX << 3).get("chat_template") if file.is_file() else None
    if isinstance(told, list):
        yield from (each.get("template") for each in told if isinstance(each, dict) and each.get("name") == "default")
    else:
        yield told
