"""What `--force` leaves of twelve kinds of places that hold no bundle, and how soon an export of true size refuses."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks import phi_shape
from benchmarks.figure import Figure
from export.download import default_cache
from tests import places, refusals

MIDDLE, VOCABULARY = 17, 32064
"""A layer of Phi-3.5-mini that a rehearsal does not read, and how many tokens the model has."""


def measure(_bundle: Path) -> list[Figure]:
    """Places that are as they were; the slowest of all refusals, a matrix rounded before it counting as none."""
    with tempfile.TemporaryDirectory() as name:
        left = whole(Path(name))
    source = phi_shape.write(default_cache() / "phi-3.5-mini-random")
    with tempfile.TemporaryDirectory(dir=source.parent) as name:
        seconds = slowest(source, Path(name))
    return [
        Figure("places_left_whole", left, f"of {len(places.KINDS)}", "==", len(places.KINDS)),
        Figure("refusal_seconds", round(seconds, 1), "s", "<=", 60),
    ]


def whole(folder: Path) -> int:
    """How many kinds of places an export with `--force` leaves as they were."""
    checkpoint = places.made(folder)
    bundle = folder / "bundle"
    command = [*places.COMMAND, str(checkpoint), "-o", str(bundle), *places.OPTIONS]
    subprocess.run(command, check=True, capture_output=True)
    rooms = [folder / f"room-{kind.__name__}" for kind in places.KINDS]
    for room in rooms:
        room.mkdir()
    return sum(places.is_left_whole(kind, room, bundle) for kind, room in zip(places.KINDS, rooms, strict=True))


def slowest(source: Path, folder: Path) -> float:
    """Seconds until the slowest refusal; endless where one was none, or came when matrices were rounded already."""
    refusals.write_odds(folder)
    worst = 0.0
    harms = refusals.harms(MIDDLE, VOCABULARY)
    for kind in (*harms, *refusals.OPTIONS):
        copy = linked(source, folder / "phi")
        if kind in harms:
            harms[kind](copy)
        ended = refusals.export(copy, folder / "out", *refusals.OPTIONS.get(kind, ()))
        is_right = ended.is_a_sentence and not ended.has_begun
        print(f"{kind}: {ended.seconds:.1f} s{'' if is_right else ': ' + ended.said}", file=sys.stderr, flush=True)
        worst = max(worst, ended.seconds if is_right else float("inf"))
        shutil.rmtree(copy)
    return worst


def linked(source: Path, copy: Path) -> Path:
    """A checkpoint once more, its weights by other names of the same files."""
    copy.mkdir()
    for file in source.iterdir():
        os.link(file, copy / file.name) if file.suffix == ".safetensors" else shutil.copy(file, copy)
    return copy
