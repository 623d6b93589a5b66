"""A GGUF header is read within its bounds: the same as gguf reads it, and a broken one ends with a sentence."""

from __future__ import annotations

import struct
from contextlib import suppress

import gguf
import numpy as np
import pytest

from export.errors import ExportError, SourceError, UnsupportedError
from export.source.gguf.header import read_header
from tests.export import gguf_files


@pytest.fixture
def path(tmp_path):
    """A small model's file."""
    return gguf_files.small(tmp_path / "small.gguf", **{"general.tags": ["a", "b"], "general.name": "ü"})


def changed(path, change):
    """The file with other bytes."""
    path.write_bytes(change(path.read_bytes()))
    return path


def test_it_is_read_as_ggufs_own_reader_reads_it(path):
    """Every key's value, every tensor's name, type, shape and bytes."""
    ours, theirs = read_header(path), gguf.GGUFReader(path)
    assert ours.keys == {name: each.contents() for name, each in theirs.fields.items() if not name.startswith("GGUF.")}
    assert list(ours.tensors) == [each.name for each in theirs.tensors]
    for each in theirs.tensors:
        stored = ours.tensors[each.name]
        assert (stored.kind, stored.shape) == (each.tensor_type.name, tuple(reversed(each.shape.tolist())))
        np.testing.assert_array_equal(stored.data, each.data)


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "Q4_1", "Q6_K", "BF16", "F16"])
def test_blocks_are_read_as_ggufs_own_reader_reads_them(tmp_path, kind):
    """Whatever type a matrix is stored in."""
    stored = gguf.GGMLQuantizationType[kind]
    block, width = gguf.GGML_QUANT_SIZES[stored]
    data = np.random.default_rng(0).integers(0, 100, (3, 512 // block * width), np.uint8)
    writer = gguf.GGUFWriter(tmp_path / "one.gguf", "llama")
    writer.add_tensor("a.weight", data, raw_dtype=stored)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    ours, theirs = read_header(tmp_path / "one.gguf").tensors["a.weight"], gguf.GGUFReader(tmp_path / "one.gguf")
    assert ours.shape == (3, 512)
    np.testing.assert_array_equal(ours.data, theirs.tensors[0].data)


def test_wherever_it_ends_it_is_not_whole(path):
    """At every byte of the header, and within the last tensor: one sentence, no other error."""
    whole = path.read_bytes()
    for length in [*range(0, 1200, 3), *range(1200, len(whole), 9973), len(whole) - 1]:
        with pytest.raises(SourceError, match="is not a whole GGUF file"):
            read_header(changed(path, lambda _, length=length: whole[:length]))


def test_any_byte_may_be_wrong(path):
    """Four hundred seeded changes of the header: read all the same, or refused with a sentence; never another error."""
    whole, chance = path.read_bytes(), np.random.default_rng(0)
    for _ in range(400):
        data = bytearray(whole)
        for place in chance.integers(4, 3000, 3):
            data[place] = chance.integers(0, 256)
        with suppress(ExportError):
            read_header(changed(path, lambda _, data=data: bytes(data)))


HEAD = b"GGUF" + struct.pack("<I", 3)
KEY = struct.pack("<Q", 1) + b"k"
TENSOR = struct.pack("<Q", 1) + b"t"
BROKEN = {
    "no magic": (b"PK\x03\x04" + bytes(60), "does not begin with GGUF"),
    "2^63 keys": (HEAD + struct.pack("<QQ", 0, 2**63), "has room for"),
    "2^63 tensors": (HEAD + struct.pack("<QQ", 2**63, 0), "has room for"),
    "a key of 2^63 letters": (HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**63) + bytes(9), "more than any"),
    "2^63 bytes": (
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 0, 2**63),
        "has room for",
    ),
    "2^63 texts": (
        HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 8, 2**63),
        "has room for",
    ),
    "a text of 1 GiB": (HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2**30) + bytes(9), "more than any model"),
    "lists of lists": (HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<IIQ", 9, 9, 1) + bytes(9), "the type 9"),
    "a type of none": (HEAD + struct.pack("<QQ", 0, 1) + KEY + struct.pack("<I", 77) + bytes(9), "the type 77"),
    "no UTF-8": (HEAD + struct.pack("<QQ", 0, 1) + struct.pack("<Q", 2) + b"\xff\xfe" + bytes(9), "no UTF-8"),
    "a key twice": (HEAD + struct.pack("<QQ", 0, 2) + (KEY + struct.pack("<IB", 0, 1)) * 2, "the key k twice"),
    "nine dimensions": (HEAD + struct.pack("<QQ", 1, 0) + TENSOR + struct.pack("<I", 9) + bytes(99), "9 dimensions"),
    "a size of 0": (HEAD + struct.pack("<QQ", 1, 0) + TENSOR + struct.pack("<IQIQ", 1, 0, 0, 0) + bytes(64), r"\[0\]"),
    "half a block": (HEAD + struct.pack("<QQ", 1, 0) + TENSOR + struct.pack("<IQIQ", 1, 8, 2, 0) + bytes(64), "Q4_0"),
    "a vast size": (HEAD + struct.pack("<QQ", 1, 0) + TENSOR + struct.pack("<IQIQ", 1, 2**62, 0, 0), "ends within"),
    "a tensor twice": (
        HEAD + struct.pack("<QQ", 2, 0) + (TENSOR + struct.pack("<IQIQ", 1, 1, 0, 0)) * 2 + bytes(64),
        "the tensor t twice",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_is_refused_at_once(tmp_path, case):
    """Counts that no file can hold are not counted up to; each sentence says what is wrong."""
    data, says = BROKEN[case]
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(SourceError, match=says):
        read_header(tmp_path / "x.gguf")


@pytest.mark.parametrize(
    ("version", "says"),
    [(struct.pack("<I", 1), "version 1; versions 2 and 3"), (struct.pack(">I", 3), "big-endian; turn it round")],
)
def test_other_versions_are_named(tmp_path, version, says):
    """The first version, and the other order of bytes."""
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + version + bytes(64))
    with pytest.raises(UnsupportedError, match=says):
        read_header(tmp_path / "x.gguf")


def test_a_type_that_ggml_does_not_have_yet(tmp_path):
    """Its number and the tensor's name."""
    data = HEAD + struct.pack("<QQ", 1, 0) + TENSOR + struct.pack("<IQIQ", 1, 1, 999, 0) + bytes(64)
    (tmp_path / "x.gguf").write_bytes(data)
    with pytest.raises(UnsupportedError, match="t is stored as ggml's type 999"):
        read_header(tmp_path / "x.gguf")


@pytest.mark.parametrize("alignment", [0, 3, 2**31, "x"])
def test_an_alignment_that_is_none(tmp_path, alignment):
    """A power of two is."""
    path = gguf_files.write(tmp_path / "x.gguf", "llama", {"general.alignment": alignment}, {})
    with pytest.raises(SourceError, match="no power of two"):
        read_header(path)


def test_another_alignment(tmp_path):
    """Tensors lie where gguf's reader finds them."""
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_custom_alignment(256)
    writer.add_tensor("a.weight", np.arange(5, dtype=np.float32))
    writer.add_tensor("b.weight", np.arange(7, dtype=np.float32))
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    found = read_header(tmp_path / "x.gguf").tensors
    np.testing.assert_array_equal(found["b.weight"].data, np.arange(7))
