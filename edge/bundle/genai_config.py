"""`genai_config.json` of a folder that somebody else made, and which of its keys may be there.

onnxruntime-genai loads a library that a key of it names (`custom_ops_library`), writes profiles, and starts other
models beside the decoder. So each key is known, or the folder is refused by its name.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.bundle.manifest import USUAL, Sampling
from edge.errors import BundleError

FILE = "genai_config.json"
CONFIG_BYTES_MAX = 1 << 20
NUMBER_MAX = 1 << 24
"""More than any layer is wide, any vocabulary has tokens, or any context is long."""
LAYERS_MAX = 1024
STOPS_MAX = 64

DECODERS = frozenset(
    [
        "chatglm",
        "decoder",
        "ernie4_5",
        "gemma",
        "gemma2",
        "gemma3_text",
        "granite",
        "hunyuandensev1",
        "internlm2",
        "llama",
        "mistral",
        "nemotron",
        "olmo",
        "phi",
        "phi3",
        "phi3small",
        "phimoe",
        "qwen2",
        "qwen3",
        "smollm3",
    ]
)
"""Types of models that are a decoder of texts alone."""
HEADS_OF_TEXT = {"model", "search"}
MODEL = {"type", "context_length", "vocab_size", "decoder"}
TOKENS = {f"{name}_token_id" for name in ("bos", "eos", "pad", "sep", "bot", "eot", "bor", "eor")}
DECODER = {
    "filename",
    "head_size",
    "hidden_size",
    "num_attention_heads",
    "num_hidden_layers",
    "num_key_value_heads",
    "inputs",
    "outputs",
    "session_options",
    "sliding_window",
}
SESSION = {"log_id", "provider_options", "intra_op_num_threads", "inter_op_num_threads", "log_severity_level"} | {
    "enable_cpu_mem_arena",
    "enable_mem_pattern",
}
PROVIDERS = {"cuda", "dml", "webgpu"}
"""Whose graphs have operators that the CPU has, too. Their options count for onnxruntime-genai alone."""
NAMES: dict[str, dict[str, str]] = {
    "inputs": {
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        "position_ids": "position_ids",
        "past_key_names": "past_key_values.%d.key",
        "past_value_names": "past_key_values.%d.value",
    },
    "outputs": {
        "logits": "logits",
        "present_key_names": "present.%d.key",
        "present_value_names": "present.%d.value",
    },
}
"""What a decoder reads and gives, and how the builder calls it."""
SEARCH = {
    "chunk_size",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "length_penalty",
    "max_length",
    "min_length",
    "no_repeat_ngram_size",
    "num_beams",
    "num_return_sequences",
    "past_present_share_buffer",
    "random_seed",
    "repetition_penalty",
    "temperature",
    "top_k",
    "top_p",
}
WHY = {
    "custom_ops_library": "it would load a library of the folder, and nothing of a folder is run here",
    "pipeline": "its decoder is cut into several graphs",
    "engine": "it is for a batching engine with paged attention",
}


@dataclass(frozen=True)
class GenaiConfig:
    """What a folder says of its decoder; every figure is above zero, and none above what any model has.

    file: the graph's name. context_length: as far as the folder would have it. provider: whose the folder was made for,
    in onnxruntime-genai's word; the CPU runs its operators, too.
    """

    family: str
    file: str
    layers: int
    kv_heads: int
    head_size: int
    vocab_size: int
    context_length: int
    stop_token_ids: list[int]
    sampling: Sampling
    provider: str


def read_genai_config(folder: Path) -> GenaiConfig:
    """A folder's. Raises BundleError, naming the key, for what is unknown or cannot be served."""
    told = read_object(folder / FILE, CONFIG_BYTES_MAX)
    _known(told, HEADS_OF_TEXT, "")
    model = _object(told, "model", "")
    family = model.get("type")
    if family not in DECODERS:
        known = ", ".join(sorted(DECODERS))
        raise BundleError(f"{FILE} says type {reprlib.repr(family)}; decoders of text alone are served: {known}")
    _known(model, MODEL | TOKENS, "model.")
    decoder = _object(model, "decoder", "model.")
    _known(decoder, DECODER, "model.decoder.")
    provider = _provider(decoder)
    _check_names(decoder)
    search = _object(told, "search", "") if "search" in told else {}
    _known(search, SEARCH, "search.")
    context = _whole(model, "context_length")
    return GenaiConfig(
        family=str(family),
        file=_file(decoder),
        layers=_whole(decoder, "num_hidden_layers", LAYERS_MAX),
        kv_heads=_whole(decoder, "num_key_value_heads"),
        head_size=_whole(decoder, "head_size"),
        vocab_size=_whole(model, "vocab_size"),
        context_length=min(context, _whole(search, "max_length")) if "max_length" in search else context,
        stop_token_ids=_stops(model),
        sampling=_sampling(search),
        provider=provider,
    )


def read_object(file: Path, most: int) -> dict[str, Any]:
    """The JSON object in a file of so many bytes at most. Raises BundleError where there is none."""
    try:
        if (size := file.stat().st_size) > most:
            raise BundleError(f"{file} has {size} bytes; {most} at most are read")
        told = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{file} cannot be read: {error}") from error
    if not isinstance(told, dict):
        raise BundleError(f"{file} should hold a JSON object")
    return told


def _known(told: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in sorted(set(told) - known):
        why = WHY.get(key, "this program does not know it, or does not serve it: a decoder of texts alone is served")
        raise BundleError(f"{FILE} has {where}{key}: {why}")


def _object(told: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    found = told.get(key)
    if not isinstance(found, dict):
        raise BundleError(f"{FILE} has no {where}{key}, which should be an object")
    return found


def _whole(told: Mapping[str, Any], key: str, most: int = NUMBER_MAX) -> int:
    found = told.get(key)
    if type(found) is not int or not 0 < found <= most:
        raise BundleError(f"{FILE} says {key}: {reprlib.repr(found)}; it should be a whole number from 1 to {most}")
    return found


def _provider(decoder: Mapping[str, Any]) -> str:
    """The one whose session it asks for; nothing of the folder is loaded beside the graph."""
    if "session_options" not in decoder:
        return USUAL
    where = "model.decoder.session_options."
    options = _object(decoder, "session_options", "model.decoder.")
    _known(options, SESSION, where)
    providers = options.get("provider_options", [])
    others = [each for each in providers if each not in ({}, {USUAL: {}})] if isinstance(providers, list) else [None]
    named = [name for each in others for name in (each if isinstance(each, dict) else ("",))]
    if len(named) > 1 or not set(named) <= PROVIDERS:
        said = reprlib.repr(providers)
        raise BundleError(f"{FILE} has {where}provider_options {said}; folders made for the CPU are served")
    return named[0] if named else USUAL


def _check_names(decoder: Mapping[str, Any]) -> None:
    """Inputs and outputs are those of a decoder over keys and values, under the builder's names."""
    for part, names in NAMES.items():
        told = _object(decoder, part, "model.decoder.")
        _known(told, set(names), f"model.decoder.{part}.")
        for key, name in names.items():
            if told.get(key, name) != name:
                said = reprlib.repr(told[key])
                raise BundleError(f"{FILE} has model.decoder.{part}.{key} {said}; it is read under the name {name}")


def _file(decoder: Mapping[str, Any]) -> str:
    name = decoder.get("filename", "model.onnx")
    if not isinstance(name, str) or not name.endswith(".onnx") or Path(name).name != name:
        raise BundleError(f"{FILE} says filename: {reprlib.repr(name)}; it should be an .onnx file of the folder")
    return name


def _stops(model: Mapping[str, Any]) -> list[int]:
    found = model.get("eos_token_id")
    ids = found if isinstance(found, list) else [found]
    size = _whole(model, "vocab_size")
    if not 0 < len(ids) <= STOPS_MAX or not all(type(each) is int and 0 <= each < size for each in ids):
        said = reprlib.repr(found)
        raise BundleError(
            f"{FILE} says eos_token_id: {said}; it should be tokens of the vocabulary, {STOPS_MAX} at most"
        )
    return sorted(set(ids))


def _sampling(search: Mapping[str, Any]) -> Sampling:
    """As onnxruntime-genai has it: greedy without `do_sample`, whatever stands beside it."""
    for key in ("num_beams", "num_return_sequences"):
        if search.get(key, 1) != 1:
            raise BundleError(f"{FILE} says search.{key}: {reprlib.repr(search[key])}; one answer at a time is made")
    wanted = {"repetition_penalty": search.get("repetition_penalty", 1.0)}
    if search.get("do_sample") is True:
        wanted |= {"temperature": search.get("temperature", 1.0), "top_p": search.get("top_p", 1.0)}
        wanted |= {"top_k": search.get("top_k", 50)}
    try:
        return Sampling.model_validate(wanted)
    except ValueError as error:
        raise BundleError(f"{FILE} has a search that cannot be: {' '.join(str(error).split())}") from error
