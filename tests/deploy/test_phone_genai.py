"""The way to a phone without Termux: a bundle's genai_config.json names nothing that GenAI's own parser would refuse.

The names are those of onnxruntime-genai's src/config.cpp at commit a0c04eb (22 August 2026, "0.16.0-dev"), where an
unknown one is an error. Only what a bundle of ours may have is listed, not all that the parser takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SESSION = {"log_id": None, "provider_options": None, "intra_op_num_threads": None, "inter_op_num_threads": None}
PART = {"filename": None, "session_options": SESSION, "run_options": None}
TAKEN: dict[str, Any] = {
    "model": {
        **dict.fromkeys(("type", "bos_token_id", "eos_token_id", "pad_token_id", "vocab_size", "context_length")),
        "decoder": {
            **PART,
            **dict.fromkeys(("head_size", "hidden_size", "num_attention_heads", "num_key_value_heads")),
            **dict.fromkeys(("num_hidden_layers", "sliding_window")),
            "inputs": dict.fromkeys(
                ("input_ids", "inputs_embeds", "attention_mask", "position_ids", "past_key_names", "past_value_names")
            ),
            "outputs": dict.fromkeys(("logits", "present_key_names", "present_value_names")),
        },
        "vision": {
            **PART,
            **dict.fromkeys(("config_filename", "adapter_filename")),
            "inputs": dict.fromkeys(("pixel_values", "image_sizes", "attention_mask")),
            "outputs": dict.fromkeys(("image_features",)),
        },
        "embedding": {
            **PART,
            "inputs": dict.fromkeys(("input_ids", "image_features", "audio_features")),
            "outputs": dict.fromkeys(("inputs_embeds",)),
        },
    },
    "search": dict.fromkeys(
        (
            *("min_length", "max_length", "batch_size", "num_beams", "num_return_sequences", "top_k", "top_p"),
            *("temperature", "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "diversity_penalty"),
            *("random_seed", "chunk_size", "do_sample", "past_present_share_buffer", "early_stopping"),
        )
    ),
}


def refused(config: Any, taken: Any, path: str = "") -> Iterator[str]:
    """What the parser would not take."""
    for name, value in config.items():
        if name not in taken:
            yield f"{path}{name}"
        elif isinstance(value, dict) and taken[name] is not None:
            yield from refused(value, taken[name], f"{path}{name}.")


def missing(config: dict[str, Any], folder: Path) -> list[str]:
    """Files that its parts name and the folder lacks; a runtime of Android looks for them there alone."""
    parts = [part for part in config["model"].values() if isinstance(part, dict)]
    names = [part[key] for part in parts for key in ("filename", "config_filename") if key in part]
    assert names
    return [name for name in names if not (folder / name).is_file()]


def test_a_bundles_config_is_one_of_genais(bundle: Path):
    """Its names are known, its files are there, with the tokenizer's, which GenAI reads by itself."""
    config = json.loads((bundle / "genai_config.json").read_text())
    assert list(refused(config, TAKEN)) == []
    assert missing(config, bundle) == []
    assert (bundle / "tokenizer.json").is_file()
    assert (bundle / "tokenizer_config.json").is_file()


def test_so_is_a_bundles_that_sees(vision_bundle: Path):
    """Its tower and its embedding, too."""
    config = json.loads((vision_bundle / "genai_config.json").read_text())
    assert list(refused(config, TAKEN)) == []
    assert missing(config, vision_bundle) == []


@pytest.mark.parametrize("section", ["", "model.", "model.decoder.", "model.decoder.inputs.", "search."])
def test_an_unknown_name_would_be_seen(bundle: Path, section: str):
    """Wherever it is."""
    config = json.loads((bundle / "genai_config.json").read_text())
    place = config
    for name in section.split(".")[:-1]:
        place = place[name]
    place["zebra"] = 1
    assert list(refused(config, TAKEN)) == [f"{section}zebra"]
