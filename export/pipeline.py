"""The export, step by step: open the source, take it through its layers, write graph, tokenizer and manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Bundle, Calibration
from export import pack
from export.calibrate import Calibrator, Stream
from export.calibration_text import calibration_tokens
from export.errors import SourceError, TargetError, UnsupportedError
from export.families import family_of
from export.families.base import Dimensions, Family
from export.graphs import TensorFile, load_skeleton, rotary_tables, stamp
from export.quantize import Quantized, error_spread, gptq, round_to_nearest
from export.recipe import Recipe
from export.source import Source, open_source

Floats = NDArray[np.float32]
Report = Callable[[str, int, int], None]
"""Called with the stage's name, the steps done and the steps there are."""

EMBEDDING = "model.embed_tokens.weight"
DISK_FACTOR = 1.2


def export_bundle(path: Path, recipe: Recipe, target: Path, force: bool, report: Report) -> Bundle:
    """Make the bundle of a GGUF file or Hugging Face folder in `target`, whole or not at all.

    Raises ExportError (see export/errors.py), after which nothing is left behind.
    """
    source = open_source(path)
    check_pinned(source, recipe)
    family, sizes = read_sizes(source, recipe)
    check_target(target, force, sizes, recipe)
    with staging(target) as folder:
        with TensorFile(folder / pack.WEIGHTS) as tensors:
            calibration = write_weights(source, family, sizes, recipe, tensors, report)
            model = stamp(load_skeleton(family.name), sizes, tensors, recipe.accuracy_level)
            pack.write_graph(folder, model)
        pack.write_texts(folder, source, family, sizes, recipe)
        pack.write_manifest(folder, source, family, sizes, recipe, tensors, calibration)
        return publish(folder, target, report)


def check_pinned(source: Source, recipe: Recipe) -> None:
    """A recipe that pins its source's checksum gets that source or none."""
    if recipe.sha256 and (found := source.checksum()) != recipe.sha256:
        raise SourceError(f"{source.path} has sha256 {found}, but the recipe pins {recipe.sha256}")


def read_sizes(source: Source, recipe: Recipe) -> tuple[Family, Dimensions]:
    """The source's family and sizes, with what a bundle cannot do without."""
    architectures = source.config.get("architectures") or ["none"]
    family, sizes = family_of(architectures[0]), Dimensions.from_config(source.config)
    if recipe.context_length > sizes.context_length:
        raise UnsupportedError(
            f"a context of {recipe.context_length} tokens is asked for, but this model is exact up to"
            f" {sizes.context_length}; pass --context {sizes.context_length} or less"
        )
    if not source.stop_token_ids:
        raise SourceError(f"{source.path} names no token that ends an answer (eos_token_id)")
    if not source.chat_template:
        raise SourceError(f"{source.path} has no chat template")
    return family, sizes


def check_target(target: Path, force: bool, sizes: Dimensions, recipe: Recipe) -> None:
    """Nothing is overwritten unasked, and the disk has room before anything is written."""
    if target.exists() and not force:
        raise TargetError(f"{target} exists; pass --force to replace it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise TargetError(f"{target.parent} cannot be used: {error.strerror}") from error
    need = int(estimated_bytes(sizes, recipe) * DISK_FACTOR)
    if free < need:
        raise TargetError(f"{target.parent} has {free >> 20} MiB free, but the bundle needs about {need >> 20} MiB")


def estimated_bytes(sizes: Dimensions, recipe: Recipe) -> int:
    """About how large the weights will be, from the sizes alone."""
    hidden, inner = sizes.hidden_size, sizes.intermediate_size
    attention = (2 * sizes.num_heads + 2 * sizes.num_kv_heads) * sizes.head_size
    layer = recipe.format_of("").bytes_of(attention + 3 * inner, hidden)
    tables = 1 if sizes.tied_embeddings else 2
    return sizes.num_layers * layer + tables * recipe.table_format.bytes_of(sizes.vocab_size, hidden)


def write_weights(
    source: Source, family: Family, sizes: Dimensions, recipe: Recipe, tensors: TensorFile, report: Report
) -> Calibration | None:
    """Quantise and write every tensor, one layer in memory at a time; say what text it was calibrated on."""
    embedding = source.tensor(EMBEDDING)
    add_tables(source, sizes, recipe, tensors, embedding)
    calibrator, streams, calibration = None, list[Stream](), None
    if recipe.method == "gptq":
        texts, calibration = calibration_tokens(source.tokenizer_files["tokenizer.json"], recipe.calibration_tokens)
        calibrator = Calibrator(family, sizes, load_skeleton(family.name))
        streams = calibrator.enter(texts, embedding, source.tensor("model.layers.0.input_layernorm.weight"))
    del embedding
    for index in range(sizes.num_layers):
        report("quantise", index, sizes.num_layers)
        write_layer(source, family, sizes, recipe, tensors, index, calibrator, streams)
    report("quantise", sizes.num_layers, sizes.num_layers)
    return calibration


def add_tables(source: Source, sizes: Dimensions, recipe: Recipe, tensors: TensorFile, embedding: Floats) -> None:
    """The embedding, the head where it has weights of its own, the first norm and the rotary tables."""
    tensors.add_matrix(EMBEDDING, round_to_nearest(embedding, recipe.table_format))
    if not sizes.tied_embeddings:
        head = source.tensor("lm_head.weight")
        tensors.add_matrix("lm_head.weight", round_to_nearest(head, recipe.table_format))
    first = "model.layers.0.input_layernorm.weight"
    tensors.add(first, source.tensor(first))
    for name, table in zip(("cos_cache", "sin_cache"), rotary_tables(sizes, recipe.context_length), strict=True):
        tensors.add(name, table)


def write_layer(
    source: Source,
    family: Family,
    sizes: Dimensions,
    recipe: Recipe,
    tensors: TensorFile,
    index: int,
    calibrator: Calibrator | None,
    streams: list[Stream],
) -> None:
    """One layer: its matrices quantised on what they see, its norms as they are."""
    prefix = f"model.layers.{index}"
    matrices = {name: source.tensor(f"{prefix}.{name}.weight") for name in family.linear}
    norms = layer_norms(source, sizes, index)
    quantized = quantize_layer(matrices, norms, recipe, calibrator, streams)
    for name, matrix in quantized.items():
        tensors.add_matrix(f"{prefix}.{name}.weight", matrix)
    tensors.add(f"{prefix}.post_attention_layernorm.weight", norms["post_attention_layernorm.weight"])
    tensors.add(next_norm(sizes, index), norms["next_layernorm.weight"])
    if calibrator:
        values = {name: matrix.dequantized() for name, matrix in quantized.items()}
        calibrator.advance(streams, inputs_of(values, norms))


def next_norm(sizes: Dimensions, index: int) -> str:
    """The norm that closes a layer: the next one's first, or the model's last."""
    last = index + 1 == sizes.num_layers
    return "model.norm.weight" if last else f"model.layers.{index + 1}.input_layernorm.weight"


def layer_norms(source: Source, sizes: Dimensions, index: int) -> dict[str, Floats]:
    """The two norms of a stamped layer, by their names in the skeleton."""
    middle = source.tensor(f"model.layers.{index}.post_attention_layernorm.weight")
    return {
        "post_attention_layernorm.weight": middle,
        "next_layernorm.weight": source.tensor(next_norm(sizes, index)),
    }


def inputs_of(matrices: dict[str, Floats], norms: dict[str, Floats]) -> dict[str, Floats]:
    """Weights as the skeleton's MatMuls take them: `[in, out]`."""
    return {f"{name}.weight": np.ascontiguousarray(matrix.T) for name, matrix in matrices.items()} | norms


def quantize_layer(
    matrices: dict[str, Floats],
    norms: dict[str, Floats],
    recipe: Recipe,
    calibrator: Calibrator | None,
    streams: list[Stream],
) -> dict[str, Quantized]:
    """Every matrix of a layer by GPTQ on what it reads, or to nearest where nothing is calibrated."""
    formats = {name: recipe.format_of(name) for name in matrices}
    if calibrator is None:
        return {name: round_to_nearest(matrix, formats[name]) for name, matrix in matrices.items()}
    moments = calibrator.moments(streams, inputs_of(matrices, norms))
    spreads = {value: error_spread(sums, recipe.block_size) for value, sums in moments.items()}
    return {
        name: gptq(matrix, spreads[calibrator.reads[f"{name}.weight"]], formats[name])
        for name, matrix in matrices.items()
    }


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards, whatever happens."""
    folder = target.with_name(f".{target.name}.partial")
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        yield folder
    except OSError as error:
        raise TargetError(f"{target.parent} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, target: Path, report: Report) -> Bundle:
    """Check the new bundle as the daemon will, then put it in the target's place."""
    report("verify", 0, 1)
    manifest = pack.open_bundle(folder).manifest
    report("verify", 1, 1)
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return Bundle(target, manifest)
