"""Checkpoints that are rounded already: what is read is what their own libraries read, to the bit.

`tests/data/quantised` is written by these libraries (`tests/export/quantised_data.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from edge.bundle import read_manifest
from export.errors import SourceError, UnsupportedError
from export.pipeline import export_bundle
from export.quantize import Format
from export.recipe import Recipe
from export.source import open_source
from export.source.quantised import unrounded
from export.source.shards import read_stored, tensors_of
from tests.conftest import ROOT
from tests.export import small_model
from tests.export.beside import bundle_logits, float_bundle

DATA = ROOT / "tests/data/quantised"
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False}
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": False, "bnb_4bit_quant_type": "nf4"}
PACKED = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "quantization_status": "compressed",
    "ignore": ["lm_head"],
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "input_activations": None,
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False},
        }
    },
}
EIGHT = {**PACKED["config_groups"]["group_0"], "weights": {"num_bits": 8, "type": "int", "strategy": "group"}}
CASES = {
    "awq": (AWQ, Format(4, 32, False)),
    "gptq-4": (GPTQ, Format(4, 32, False)),
    "gptq-4-ordered": ({**GPTQ, "desc_act": True}, None),
    "gptq-8": ({**GPTQ, "bits": 8}, Format(8, 32, False)),
    "bnb-nf4": (NF4, None),
    "bnb-nf4-nested": ({**NF4, "bnb_4bit_use_double_quant": True}, None),
    "bnb-fp4-nested": ({**NF4, "bnb_4bit_quant_type": "fp4"}, None),
    "bnb-int8": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, None),
    "compressed-4": (PACKED, Format(4, 32, False)),
    "fp8": ({"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [16, 32]}, None),
    "compressed-8": ({**PACKED, "config_groups": {"group_0": EIGHT}}, Format(8, 32, True)),
}


def folder_of(folder: Path, tensors: dict[str, np.ndarray], told: object) -> Path:
    """A folder with some tensors, and a config that says how they are rounded."""
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**small_model.CONFIG, "quantization_config": told}))
    return folder


def stored(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """A library's matrix as it is stored, and what it stands for."""
    file = DATA / f"{name}.safetensors"
    tensors = {each: read_stored(file, each) for each in tensors_of([file])}
    return tensors, tensors.pop("wanted")


@pytest.mark.parametrize("name", CASES)
def test_a_matrix_is_what_its_library_reads(tmp_path, name):
    """Every value to the bit; kept blocks are the same but for the library's last rounding, and fit MatMulNBits."""
    (told, form), (tensors, wanted) = CASES[name], stored(name)
    source = open_source(folder_of(tmp_path / name, tensors, told))
    assert source.tensor_names() == {"m.weight"}
    assert (source.shape("m.weight"), source.stored_format("m.weight")) == (wanted.shape, form)
    assert np.array_equal(source.tensor("m.weight"), wanted)
    source.check_values(["m.weight"])
    blocks = source.stored_blocks("m.weight")
    assert (blocks is None) == (form is None)
    if blocks:
        scales = next(value for key, value in tensors.items() if "scale" in key)
        again = blocks.dequantized().astype(scales.dtype).astype(np.float32)
        assert np.array_equal(again, wanted)


def test_a_config_alone_tells_as_much():
    """For what is said of a model before it is downloaded: sizes without the rounding, or the same refusal."""
    assert unrounded({**small_model.CONFIG, "quantization_config": AWQ}) == small_model.CONFIG
    with pytest.raises(UnsupportedError, match="hqq"):
        unrounded({**small_model.CONFIG, "quantization_config": {"quant_method": "hqq"}})


def test_the_second_version_of_gptq_keeps_zero_points_as_they_are(tmp_path):
    """The same matrix with each one more."""
    tensors, wanted = stored("gptq-4")
    tensors["m.qzeros"] = tensors["m.qzeros"] + np.int32(0x11111111)
    told = {**GPTQ, "checkpoint_format": "gptq_v2"}
    assert np.array_equal(open_source(folder_of(tmp_path / "m", tensors, told)).tensor("m.weight"), wanted)


def test_symmetric_groups_are_told_from_their_zero_points(tmp_path):
    """All in the middle: then the bundle needs none."""
    tensors, _ = stored("gptq-4")
    tensors["m.qzeros"] = np.full_like(tensors["m.qzeros"], 0x77777777)
    source = open_source(folder_of(tmp_path / "m", tensors, {**GPTQ, "sym": True}))
    assert source.stored_format("m.weight") == Format(4, 32, True)


REFUSED = {
    "another method": ("awq", {"quant_method": "hqq"}, {}, UnsupportedError, "quant_method: 'hqq'"),
    "no object": ("awq", "awq", {}, SourceError, "should be an object"),
    "an unknown key": ("awq", {**AWQ, "twist": 1}, {}, UnsupportedError, "twist: 1, which this program does not know"),
    "another layout": ("awq", {**AWQ, "version": "gemv"}, {}, UnsupportedError, "version: 'gemv'"),
    "three bits": ("gptq-4", {**GPTQ, "bits": 3}, {}, UnsupportedError, "bits: 3"),
    "other bits": ("gptq-4", {**GPTQ, "bits": 8}, {}, SourceError, "not packed as config.json says"),
    "marlin": ("gptq-4", {**GPTQ, "checkpoint_format": "marlin"}, {}, UnsupportedError, "marlin"),
    "a zero that is none": (
        "gptq-4",
        GPTQ,
        {"m.qzeros": np.full((2, 4), -1, np.int32)},
        UnsupportedError,
        "in different ways",
    ),
    "a group that is none": ("gptq-4", GPTQ, {"m.g_idx": np.full(64, 2, np.int32)}, SourceError, "one of 2 groups"),
    "no scales": ("awq", AWQ, {"m.scales": None}, SourceError, "no tensor m.scales"),
    "shapes that do not fit": ("awq", AWQ, {"m.scales": np.ones((3, 32), np.float16)}, SourceError, "do not fit each"),
    "both ways": ("awq", AWQ, {"m.weight": np.ones((32, 64), np.float32)}, SourceError, "m twice"),
    "no such tensor": ("bnb-int8", AWQ, {}, SourceError, "no tensor that is stored so"),
    "scales too few": (
        "bnb-nf4",
        NF4,
        {"m.weight.absmax": np.ones(3, np.float32)},
        SourceError,
        "3,.* scales, but there are 32 blocks",
    ),
    "a state that is none": (
        "bnb-nf4",
        NF4,
        {"m.weight.quant_state.bitsandbytes__nf4": np.frombuffer(b"{}", np.uint8)},
        SourceError,
        "cannot be understood",
    ),
    "activations": (
        "compressed-4",
        {**PACKED, "config_groups": {"group_0": {**EIGHT, "input_activations": {"num_bits": 8}}}},
        {},
        UnsupportedError,
        "input_activations",
    ),
    "tiles that do not fit": (
        "fp8",
        {"quant_method": "fp8"},
        {"m.weight_scale_inv": np.ones((3, 2), np.float32)},
        SourceError,
        "do not fit each other",
    ),
    "scales of activations": (
        "fp8",
        {"quant_method": "fp8", "activation_scheme": "static"},
        {},
        UnsupportedError,
        "activation_scheme",
    ),
    "no number": ("awq", AWQ, {"m.scales": np.full((2, 32), np.inf, np.float16)}, SourceError, "not finite"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused_by_name(tmp_path, case):
    """Whatever is not as its library writes it."""
    name, told, changed, error, says = REFUSED[case]
    tensors, _ = stored(name)
    tensors = {key: value for key, value in {**tensors, **changed}.items() if value is not None}
    folder = folder_of(tmp_path / "m", tensors, told)
    with pytest.raises(error, match=says):
        open_source(folder).tensor("m.weight")


def rounded(weights: small_model.Weights) -> tuple[small_model.Weights, small_model.Weights]:
    """A small Llama's matrices in GPTQ's tensors, as far as they have whole groups, and what these stand for."""
    packed, floats = {}, dict(weights)
    for name, weight in weights.items():
        if not name.endswith("_proj.weight") or weight.shape[1] % 32:
            packed[name] = weight
            continue
        module = name.removesuffix(".weight")
        groups = weight.reshape(len(weight), -1, 32)
        scales = (np.abs(groups).max(-1) / 7).astype(np.float16)
        codes = np.clip(np.rint(groups / scales[..., None].astype(np.float32)) + 8, 0, 15).astype(np.int64)
        columns = codes.reshape(len(weight), -1).T.reshape(-1, 8, len(weight))
        words = (columns << np.arange(0, 32, 4)[:, None]).sum(1)
        packed[f"{module}.qweight"] = np.ascontiguousarray(words, np.uint32).view(np.int32)
        packed[f"{module}.qzeros"] = np.full((groups.shape[1], len(weight) // 8), 0x77777777, np.int32)
        packed[f"{module}.scales"] = np.ascontiguousarray(scales.T)
        packed[f"{module}.bias"] = np.zeros(len(weight), np.float16)
        products = (codes - 8).astype(np.float32) * scales[..., None].astype(np.float32)
        floats[name] = products.astype(np.float16).astype(np.float32).reshape(weight.shape)
    return packed, floats


def test_an_export_keeps_the_blocks_and_answers_alike(tmp_path):
    """Biases of zeros beside them are none; what is not rounded is read as floats; in floats both are one model."""
    packed, floats = rounded(small_model.llama_weights())
    told = {**GPTQ, "sym": True, "modules_in_block_to_quantize": None, "dataset": None}
    source = small_model.write_checkpoint(tmp_path / "gptq", packed, quantization_config=told)
    plain = small_model.write_checkpoint(tmp_path / "plain", floats)
    tokens = list(range(3, 40))
    made = [
        bundle_logits(float_bundle(open_source(each), tmp_path / f"{each.name}-bundle"), tokens)
        for each in (source, plain)
    ]
    assert np.array_equal(*made)
    recipe = Recipe(licence="none", method="rtn", context_length=128, prompts=(), evaluation_tokens=0)
    bundle = export_bundle(open_source(source), recipe, tmp_path / "kept", True, lambda *_: None).path
    manifest = read_manifest(bundle)
    assert manifest.quantization.matrices_kept == 2 * 6
    assert (manifest.quantization.bits, manifest.quantization.is_symmetric) == (4, True)
