"""What a bundle holds beside its weights: graph, genai_config.json, tokenizer, chat template, manifest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from edge.bundle import (
    EMBEDDING,
    GRAPH,
    MANIFEST,
    SCHEMA,
    VISION,
    WEIGHTS,
    Calibration,
    File,
    Fixed,
    Manifest,
    Origin,
    Quantization,
    hash_file,
    open_bundle,
)
from edge.engine import Options
from export import golden, vision
from export.blocks import bias_bytes
from export.plan import Plan, is_token, module_of
from export.rotary import switches_rope
from export.tensor_file import TensorFile

__all__ = ["EMBEDDING", "GRAPH", "VISION", "WEIGHTS", "open_bundle", "write_graph", "write_manifest", "write_texts"]

RUNTIME_BYTES = 160 << 20
"""What the engine takes beside weights and cache: interpreter, libraries, arena (measured: 130 to 150 MiB)."""


def write_graph(path: Path, model: onnx.ModelProto) -> None:
    """A graph, its weights being in the file beside it."""
    path.write_bytes(model.SerializeToString(deterministic=True))


def write_texts(folder: Path, plan: Plan) -> None:
    """genai_config.json, the tokenizer's files and the chat template."""
    for name, text in plan.tokenizer.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    configs = {"genai_config.json": genai_config(plan)}
    if plan.tower:
        configs["processor_config.json"] = vision.genai_processor()
    for name, config in configs.items():
        (folder / name).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def genai_config(plan: Plan) -> dict[str, Any]:
    """What onnxruntime-genai reads to run the graph (its docs, "Config reference"); the engine adds the provider."""
    source, sizes, context_length = plan.source, plan.sizes, plan.recipe.context_length
    pad = source.config.get("pad_token_id")  # nothing is padded here, so that one beyond the vocabulary does no harm
    stops = source.stop_token_ids
    reads = "inputs_embeds" if plan.tower else "input_ids"
    return {
        "model": {
            "type": plan.family.genai_type,
            "bos_token_id": source.config.get("bos_token_id") or stops[0],
            "eos_token_id": stops,
            "pad_token_id": pad if pad and is_token(pad, sizes.vocab_size) else stops[0],
            "vocab_size": sizes.vocab_size,
            "context_length": context_length,
            "decoder": {
                "filename": GRAPH,
                "head_size": sizes.head_size,
                "hidden_size": sizes.hidden_size,
                "num_attention_heads": sizes.num_heads,
                "num_key_value_heads": sizes.num_kv_heads,
                "num_hidden_layers": sizes.num_layers,
                "session_options": {
                    "log_id": "onnxruntime-genai",
                    "provider_options": [],
                },
                "inputs": {
                    reads: reads,
                    "attention_mask": "attention_mask",
                    "past_key_names": "past_key_values.%d.key",
                    "past_value_names": "past_key_values.%d.value",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present.%d.key",
                    "present_value_names": "present.%d.value",
                },
            },
            **(vision.genai_sections({"embedding": EMBEDDING, "vision": VISION}) if plan.tower else {}),
        },
        "search": {"max_length": context_length, "past_present_share_buffer": True},
    }


def write_manifest(
    folder: Path,
    plan: Plan,
    tensors: TensorFile,
    calibration: Calibration | None,
    fidelity: Mapping[str, float] | None = None,
    fixed: Fixed | None = None,
) -> None:
    """manifest.json, last, over everything else in the folder. fixed: of a bundle of fixed shapes."""
    source, sizes, recipe = plan.source, plan.sizes, plan.recipe
    files = {
        path.relative_to(folder).as_posix(): File(sha256=hash_file(path), size_bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    manifest = Manifest(
        schema_version=SCHEMA,
        name=plan.name,
        version=recipe.version,
        family=plan.family.name,
        provider=recipe.provider,
        capabilities=["text", "json_schema", "vision"] if plan.tower else ["text", "json_schema"],
        quantization=quantization(plan, tensors),
        context_length=recipe.context_length,
        vocab_size=sizes.vocab_size,
        stop_token_ids=source.stop_token_ids,
        chat_template=source.chat_template,
        tokenizer=plan.tokenizer.reader,
        sampling=plan.sampling,
        weights_bytes=tensors.size,
        kv_cache=plan.cache_type,
        kv_bytes_per_token=plan.kv_bytes_per_token,
        memory_floor_bytes=tensors.size + beside_weights_bytes(plan),
        origin=_origin(plan),
        rope_switch_length=sizes.rope.original_length if switches_rope(sizes, recipe.context_length) else 0,
        pictures=vision.pictures() if plan.tower else None,
        calibration=calibration,
        fidelity=dict(fidelity or {}),
        held_to=plan.held_to,
        golden=golden.kept(folder),
        engine="static" if fixed else "batched",
        fixed=fixed,
        files=files,
    )
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")


def _origin(plan: Plan) -> Origin:
    source, recipe = plan.source, plan.recipe
    revision = recipe.revision or "local"
    return Origin(name=source.path.name, revision=revision, sha256=source.checksum(), licence=recipe.licence)


def beside_weights_bytes(plan: Plan) -> int:
    """What a board needs to serve a bundle beside its weights: the runtime, and a whole context's texts.

    These are keys and values, one layer's in floats where they are in int8, which reading a prompt over them takes, and
    the numbers that say which blocks of a text a slice of a prompt sees, where not all are seen.
    """
    kv_bytes = plan.kv_bytes_per_token
    floats = 4 * kv_bytes // plan.sizes.num_layers if plan.has_int8_cache else 0
    length = plan.recipe.context_length
    texts = (kv_bytes + floats) * length + bias_bytes(plan.sizes, length, Options().prefill_slice_tokens)
    return texts + RUNTIME_BYTES


def quantization(plan: Plan, tensors: TensorFile) -> Quantization:
    """How the weights are stored, with the bits each takes, scales and tables and all."""
    if not plan.is_rounded:
        return Quantization(
            method="none", bits=32, block_size=1, is_symmetric=True, accuracy_level=0, bits_per_weight=32.0
        )
    weights = sum(each.rows * each.columns for each in tensors.matrices.values())
    formats = {name: tensors.matrices[name].format for name in plan.matrices}
    usual, _ = Counter(formats.values()).most_common(1)[0]
    return Quantization(
        method="kept" if all(map(plan.is_kept, formats)) else plan.recipe.method,
        matrices_kept=sum(plan.is_kept(name) for name in tensors.matrices if name in plan.shapes),
        bits=usual.bits,
        block_size=usual.block_size or plan.sizes.hidden_size,
        is_symmetric=usual.is_symmetric,
        accuracy_level=plan.recipe.accuracy_level,
        overrides={module_of(name): form.bits for name, form in formats.items() if form.bits != usual.bits},
        bits_per_weight=round(tensors.size * 8 / weights, 3),
    )
