"""Installations during which the power goes: a real ext4 is shut down at seeded moments, and mounted again.

What was not on the disk is lost then, unlike after `kill -9` (`EXT4_IOC_SHUTDOWN` without a flush of the journal, as
xfstests cut the power). It wants root and a loop device.
"""

from __future__ import annotations

import fcntl
import os
import random
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.installs import at_tensors, note, remade, survives, timed
from edge.bundle import read_manifest
from tests.edge.store.boards import Board
from tests.edge.store.publishing import Published

MOMENTS = 20
DISK_BYTES = 512 << 20
SHUTDOWN, WITHOUT_FLUSH = 0x8004587D, 2
"""EXT4_IOC_SHUTDOWN, and its flag EXT4_GOING_FLAGS_NOLOGFLUSH (linux, fs/ext4/ext4.h)."""


def measure(bundle: Path) -> list[Figure]:
    """Power cuts after which what is in use is whole, and the next installation ends."""
    if os.geteuid() != 0:
        raise RuntimeError("only root mounts a disk")
    with tempfile.TemporaryDirectory(dir=bundle.parent) as name:
        count = cuts(bundle, Path(name))
    return [Figure("installs_power_cuts_whole", count, f"of {MOMENTS}", "==", MOMENTS)]


def cuts(bundle: Path, folder: Path) -> int:
    """How many of the moments are survived. The repository is on another disk than the store."""
    repository, name = Published(folder / "repository"), read_manifest(bundle).name
    repository.add(bundle, "1", cut=at_tensors)
    repository.add(remade(bundle, folder / "2", lambda data: data[1:] + data[:1]), "2", cut=at_tensors)
    disk, mount = folder / "disk", folder / "mount"
    with disk.open("wb") as file:
        file.truncate(DISK_BYTES)
    _run("mkfs.ext4", "-q", str(disk))
    mount.mkdir()
    board = Board(mount / "board", repository.folder, repository.trusted)
    with mounted(disk, mount):
        kept = board.install(name, "--version", "1").last["digest"]
        board.store.change(lambda record: record.trying(kept).kept_now(1))
        seconds = timed(board, name)
    chance, count = random.Random(7), 0
    for _ in range(MOMENTS):
        moment = chance.uniform(0.2, 1) * seconds
        cut(board, name, disk, mount, moment)
        with mounted(disk, mount):
            is_whole = survives(board, name, kept)
        note(f"power cut {moment:.2f} s after its start, of {seconds:.2f}: {'whole' if is_whole else 'NOT WHOLE'}")
        count += is_whole
    return count


def cut(board: Board, name: str, disk: Path, mount: Path, seconds: float) -> None:
    """Begin an installation, and shut the disk down some time after."""
    with mounted(disk, mount), board.start(name) as process:
        time.sleep(seconds)
        number = os.open(mount, os.O_RDONLY)
        fcntl.ioctl(number, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
        os.close(number)
        process.kill()
        process.communicate()


@contextmanager
def mounted(disk: Path, mount: Path) -> Iterator[None]:
    """The disk is there."""
    _run("mount", "-o", "loop", str(disk), str(mount))
    try:
        yield
    finally:
        _run("umount", str(mount))


def _run(*words: str) -> None:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{words[0]}: {done.stderr.strip()}")
