"""Packed weights: written once, mapped from then on, made anew when anything does not fit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.graph.packed import is_whole, name_of, open_packed, remove_old, settle
from edge.testing import write_tree

ASK = Job(1, [{"role": "user", "content": "What is the capital of France?"}], 12)

LOAD = """
import os
import sys
from pathlib import Path
from edge.engine import Options
from edge.engine.batch.engine import BatchedEngine
from edge.commands.bench_memory import memory_of
engine = BatchedEngine(Path(sys.argv[1]), Options(cache_folder=sys.argv[2]))
print(memory_of(os.getpid())["RssAnon"])
"""


def said(bundle: Path, folder: Path) -> str:
    """A greedy answer."""
    text: list[str] = []
    answer(BatchedEngine(bundle, Options(cache_folder=str(folder), packs=True, prefix_disk_bytes=0)), ASK, text.append)
    return "".join(text)


def anonymous_bytes(bundle: Path, folder: str) -> int:
    """Of a process that has just loaded the bundle."""
    command = [sys.executable, "-c", LOAD, str(bundle), folder]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_second_start_maps_what_the_first_wrote(bundle, tmp_path):
    """The same answer, and far less memory of the process's own."""
    plain, first, second = (anonymous_bytes(bundle, str(folder)) for folder in ("", tmp_path, tmp_path))
    weights = read_manifest(bundle).weights_bytes
    assert plain - second > weights * 0.8
    assert first > second
    (folder,) = (tmp_path / "packed").iterdir()
    assert is_whole(folder)
    assert said(bundle, tmp_path) == said(bundle, tmp_path / "other") == "The capital of France is Paris."


@pytest.mark.parametrize("damage", ["cut", "no sizes", "no graph"])
def test_what_is_not_whole_is_made_anew(bundle, tmp_path, damage):
    """A file cut short, a folder without its sizes, a graph that cannot be read: written again, the answer as ever."""
    said(bundle, tmp_path)
    (folder,) = (tmp_path / "packed").iterdir()
    if damage == "cut":
        (folder / "model.onnx.data").write_bytes(b"")
    elif damage == "no sizes":
        (folder / "sizes.json").unlink()
    else:
        (folder / "model.onnx").write_bytes(bytes((folder / "model.onnx").stat().st_size))
    assert said(bundle, tmp_path) == "The capital of France is Paris."
    assert is_whole(folder)
    assert [path.name for path in (tmp_path / "packed").iterdir()] == [folder.name]


def test_a_disk_that_cannot_be_written_is_done_without(bundle, tmp_path):
    """A file where the folder should be: a warning, and the bundle's own weights."""
    (tmp_path / "packed").write_text("in the way")
    assert said(bundle, tmp_path) == "The capital of France is Paris."


def test_too_little_space_writes_nothing(tmp_path):
    """Weights that would not fit are not begun with."""
    opened: list[tuple[Path, dict[str, str], Path | None]] = []
    open_packed([Path("bundle/model.onnx")], 1 << 60, tmp_path / "packed", "name", lambda *given: opened.append(given))
    assert opened == [(Path("bundle/model.onnx"), {}, None)]
    assert not (tmp_path / "packed").exists()


def test_another_processor_bundle_or_runtime_has_another_name(tmp_path):
    """The kernels, and so what is packed, depend on each of them; a core's clock changes nothing."""
    boards = {}
    for name, text in {
        "a": "model name: x\nflags: avx2\ncpu MHz: 1000\n",
        "same": "model name: x\nflags: avx2\ncpu MHz: 1200\n",
        "b": "model name: x\nflags: avx2 avx512_vnni\n",
        "arm": "Features: asimddp i8mm\nCPU part: 0xd0b\n",
    }.items():
        boards[name] = name_of("d", "1", write_tree(tmp_path / name, {"proc/cpuinfo": text}))
    assert boards["a"] == boards["same"]
    assert len({*boards.values(), name_of("e", "1", tmp_path / "a"), name_of("d", "2", tmp_path / "a")}) == 5


def test_few_are_kept(tmp_path):
    """The folder in use and the one before stay, so that a roll-back starts quickly, too."""
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        settle(folder)
        os.utime(folder, (number, number))
    remove_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2", "3"]
    assert json.loads((tmp_path / "3/sizes.json").read_text()) == {}
