"""Trees of /proc and /sys of boards, a folder each: what lies there, what is to be read of it, and where it is from.

tree.toml      [files] path = "text"    a file
[hex] path = "ff fe"     a file of bytes that are no text
[zeros] path = 1000000   a file of so many digits 0
[links] path = "target"  a symbolic link, as sysfs is full of
[fifos] path = ""        a pipe without a writer
[folders] path = ""      an empty folder, also where a file is expected
[errno] path = "EAGAIN"  reading fails so, which a tree cannot hold: the reader is given it
[firmware] command = "text"  what a Pi's firmware answers; [nodes] node = "EACCES"  which devices of it do not open
expected.json  the whole sample that every source gives of it
README.md      which values are captures, of what and by whom, and which were built from documentation

`python -m tests.boards NAME` writes expected.json anew, for somebody to look at the difference.
"""

from __future__ import annotations

import errno
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.board.files import contents
from edge.board.sensors import read_all
from edge.board.source import Source
from edge.board.sources import every_source
from edge.testing import ScriptedFirmware, write_tree

HERE = Path(__file__).parent
NAMES = sorted(path.parent.name for path in HERE.glob("*/tree.toml"))
PROCESSES = {"daemon": 100, "engine": 200}
"""Process ids in the trees."""
HOSTILE_ERRORS = 43
"""Of the hostile board, counted by hand in its README."""
OF_THIS_MACHINE = {"disk"}
"""Read off the real disk, whatever the tree says."""


@dataclass(frozen=True)
class Planted:
    """A board below a folder. read: what reads its files, errors included."""

    root: Path
    read: Callable[[Path], bytes]
    firmware: ScriptedFirmware

    def change(self, path: str, text: str) -> None:
        """Another value of a file."""
        (self.root / path).write_text(text)


def plant(name: str, folder: Path) -> Planted:
    """A board's tree, written below a folder."""
    tree = _tree(name)
    root = write_tree(folder, tree.get("files", {}))
    raw = {path: bytes.fromhex(digits) for path, digits in tree.get("hex", {}).items()}
    for path, data in (raw | {path: b"0" * count for path, count in tree.get("zeros", {}).items()}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    for path, target in tree.get("links", {}).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).symlink_to(target)
    for path in tree.get("fifos", {}):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(root / path)
    for path in tree.get("folders", {}):
        (root / path).mkdir(parents=True, exist_ok=True)
    numbers = {root / path: getattr(errno, code) for path, code in tree.get("errno", {}).items()}

    def read(path: Path) -> bytes:
        if path in numbers:
            raise OSError(numbers[path], os.strerror(numbers[path]), str(path))
        return contents(path)

    nodes = {node: getattr(errno, code, 0) for node, code in tree.get("nodes", {}).items()}
    return Planted(root, read, ScriptedFirmware(tree.get("firmware", {}), nodes))


def files_of(name: str) -> list[str]:
    """Its files, by their paths below the root."""
    return list(_tree(name)["files"])


def sources(planted: Planted) -> list[Source]:
    """A fresh one of each that a tree can tell of."""
    every = every_source({}, lambda: PROCESSES, planted.firmware)
    return [each for each in every if each.name not in OF_THIS_MACHINE]


def body(name: str, folder: Path) -> dict[str, Any]:
    """All that one look at a board gives, planted below an empty folder."""
    planted = plant(name, folder)
    found = read_all(sources(planted), planted.root, planted.read).body()
    told: dict[str, Any] = json.loads(json.dumps(found).replace(str(folder), ""))
    for reading in told.values():
        if isinstance(reading, dict):
            reading.pop("age_seconds", None)  # which no two looks have in common
    return told


def expected(name: str) -> dict[str, Any]:
    """What is to be read of it."""
    found: dict[str, Any] = json.loads((HERE / name / "expected.json").read_text())
    return found


def _tree(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name / "tree.toml").read_text())
