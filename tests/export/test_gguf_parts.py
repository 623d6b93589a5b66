"""A model split into several GGUF files: any part opens all, and what is missing or another model's is named."""

from __future__ import annotations

import shutil

import gguf
import numpy as np
import pytest

from export.errors import SourceError
from export.source import open_source
from tests.export import gguf_files, small_model

WEIGHTS = gguf_files.widened(small_model.llama_weights(), 97)


@pytest.fixture
def parts(tmp_path):
    """Gguf's own writer's parts of the small model: the first without tensors, some two or three in each other."""
    writer = gguf.GGUFWriter(None, "llama", split_max_tensors=6, small_first_shard=True)
    for name, value in (gguf_files.sizes("llama") | gguf_files.LETTERS).items():
        kind = gguf_files.TYPES.get(type(value), gguf.GGUFValueType.FLOAT32)
        writer.add_array(name, value) if isinstance(value, list) else writer.add_key_value(name, value, kind)
    for name, value in gguf_files.tensors(WEIGHTS, "llama").items():
        writer.add_tensor(name, value)
    (tmp_path / "parts").mkdir()
    writer.write_header_to_file(tmp_path / "parts/small.gguf")
    for step in (writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    found = sorted((tmp_path / "parts").iterdir())
    assert [file.name for file in found] == [f"small-0000{number}-of-00005.gguf" for number in range(1, 6)]
    return found


def test_any_part_opens_the_whole(parts):
    """The same tensors, config, tokenizer and checksum, whichever file is named."""
    first = open_source(parts[0])
    for file in parts:
        source = open_source(file)
        assert (source.config, source.tokenizer_files) == (first.config, first.tokenizer_files)
        assert source.checksum() == first.checksum()
        for name, value in WEIGHTS.items():
            np.testing.assert_array_equal(source.tensor(name), value, err_msg=name)


def test_a_part_that_changes_changes_the_checksum(parts):
    """Any of them, the last byte of it."""
    before = open_source(parts[0]).checksum()
    data = bytearray(parts[3].read_bytes())
    data[-1] ^= 1
    parts[3].write_bytes(bytes(data))
    assert open_source(parts[0]).checksum() != before


@pytest.mark.parametrize("number", range(5))
def test_a_missing_part_is_named(parts, number):
    """The first, too."""
    parts[number].unlink()
    with pytest.raises(SourceError, match=f"small-0000{number + 1}-of-00005.gguf is missing"):
        open_source(parts[number - 1])


def test_a_part_by_another_name(parts, tmp_path):
    """It cannot find the others, and says how they are called."""
    shutil.copy(parts[1], tmp_path / "model.gguf")
    with pytest.raises(SourceError, match=r"is part 2 of 5 by its header; name the files NAME-00001-of-00005\.gguf"):
        open_source(tmp_path / "model.gguf")


def test_a_part_in_anothers_place(parts):
    """Its number is not its name's."""
    shutil.copy(parts[2], parts[3])
    with pytest.raises(SourceError, match=r"small-00004-of-00005\.gguf does not belong to small-00001"):
        open_source(parts[0])


def test_a_part_of_another_model(parts):
    """It has other tensors than are counted, or the same ones twice, or another key."""
    keys = {"split.no": 3, "split.count": 5, "split.tensors.count": 1}
    gguf_files.write(parts[3], "llama", keys, {"x.weight": np.zeros(4)})
    with pytest.raises(SourceError, match="tensors, but it counts 21"):
        open_source(parts[0])
    gguf_files.write(parts[3], "llama", keys, {"output.weight": np.zeros(4)})
    with pytest.raises(SourceError, match=r"both have output\.weight"):
        open_source(parts[0])
    gguf_files.write(parts[3], "phi3", keys, {})
    with pytest.raises(SourceError, match=r"its general\.architecture is another"):
        open_source(parts[0])
    parts[3].write_bytes(parts[3].read_bytes()[:40])
    with pytest.raises(SourceError, match=r"00004-of-00005\.gguf is not a whole GGUF file"):
        open_source(parts[0])


def test_one_file_that_counts_itself(tmp_path):
    """split.count = 1 is no split."""
    path = gguf_files.small(tmp_path / "x.gguf", **{"split.count": 1, "split.no": 0})
    assert open_source(path).config["vocab_size"] == 97
