"""Every type of block that the gguf package dequantises is read from a file as it reads it."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from export.errors import SourceError, UnsupportedError
from export.source.gguf import GgufSource
from export.source.scan import SCALES
from tests.export import small_model

NAME, ROWS, COLUMNS = "model.layers.0.mlp.gate_proj.weight", 3, 512
BARE = ("F32", "F16", "F64", "BF16")
LEFT_OUT = {"I8", "I16", "I32", "I64", "Q8_1", "Q8_K", "Q1_0"}
"""Types that hold no weights, but within a run or for indices; Q1_0 has no reader in the package yet."""
KINDS = [each.name for each in gguf.GGMLQuantizationType if each.name not in LEFT_OUT]


def written(path: Path, kind: str) -> Path:
    """A file with one matrix: bytes of a seed, small factors in the places of blocks' own."""
    block, width = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    chance = np.random.default_rng(0)
    if kind in BARE:
        floats = chance.standard_normal((ROWS, COLUMNS)).astype(np.float64 if kind == "F64" else np.float32)
        made = floats if kind in ("F32", "F64") else floats.astype(np.float16)
        data = made if kind != "BF16" else (floats.view(np.uint32) >> 16).astype(np.uint16)
        data = data.view(np.uint8).reshape(ROWS, -1)
    else:
        blocks = chance.integers(0, 256, (ROWS, COLUMNS // block, width), dtype=np.uint8)
        for place in SCALES.get(kind, (0, ()))[1]:
            blocks[..., place : place + 2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
        if kind == "IQ1_M":
            blocks[..., -8:] &= 0x3F  # its factor's bits are spread: none of them makes it infinite now
        if kind == "MXFP4":
            blocks[..., 0] = 120
        data = blocks.reshape(ROWS, -1)
    writer = gguf.GGUFWriter(path, "llama")
    for setter, value in small_model.GGUF_SIZES.items():
        getattr(writer, setter)(value)
    writer.add_tensor("blk.0.ffn_gate.weight", data, raw_shape=data.shape, raw_dtype=gguf.GGMLQuantizationType[kind])
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_a_type_is_read_as_the_package_reads_it(tmp_path, kind):
    """Every value to the bit, by two readers of the file; blocks that are kept stand for the same."""
    source = GgufSource(written(tmp_path / "m.gguf", kind))
    (stored,) = gguf.GGUFReader(tmp_path / "m.gguf").tensors
    wanted = (
        np.asarray(stored.data, np.float32)
        if kind == "F64"
        else gguf.quants.dequantize(stored.data, stored.tensor_type)
    )
    assert source.shape(NAME) == (ROWS, COLUMNS)
    assert np.array_equal(source.tensor(NAME), wanted.reshape(ROWS, COLUMNS))
    source.check_values([NAME])
    blocks = source.stored_blocks(NAME)
    assert (blocks is not None) == (kind in ("Q4_0", "Q8_0"))
    assert blocks is None or np.array_equal(blocks.dequantized(), wanted)


@pytest.mark.parametrize("kind", sorted(set(KINDS) & set(SCALES)))
def test_a_factor_that_is_no_number_is_found_before_the_export(tmp_path, kind):
    """By a look at the file, whichever of a block's factors it is."""
    path = written(tmp_path / "m.gguf", kind)
    _, (place, *_) = SCALES[kind]
    data = bytearray(path.read_bytes())
    (stored,) = gguf.GGUFReader(path).tensors
    start = stored.data_offset + place
    data[start : start + 2] = np.float16(np.inf).tobytes()
    path.write_bytes(data)
    with pytest.raises(SourceError, match="not finite"):
        GgufSource(path).check_values([NAME])


@pytest.mark.parametrize("kind", ["Q8_K", "Q1_0"])
def test_others_are_refused_by_name(tmp_path, kind):
    """With what to do."""
    with pytest.raises(UnsupportedError, match=f"{kind}.*export the original"):
        GgufSource(written(tmp_path / "m.gguf", kind)).shape(NAME)
