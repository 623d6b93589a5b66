"""Ansible: what a second run changes, and how far a bad bundle gets."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from tests.deploy.ansible_board import site
from tests.deploy.fleet_of_boards import NAMES, VENV, fleet

NEEDED = ("mosquitto", "systemd-nspawn", "mmdebstrap")


def measure(bundle: Path) -> list[Figure]:
    """Tasks that change something the second time; boards that a bad bundle reaches, and a good one.

    RuntimeError where the machine lacks what it takes.
    """
    missing = [each for each in NEEDED if shutil.which(each, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or os.geteuid() or not VENV.is_dir():
        raise RuntimeError(f"it wants root, `make ansible-env` and {', '.join(missing) or 'nothing else'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reached, later, kept = rollouts(folder)
        changed = again(folder, bundle)
    return [
        Figure("ansible_second_run_changed", changed, "tasks", "==", 0),
        Figure("waves_bad_bundle_first_wave", reached, "boards", "==", 1),
        Figure("waves_bad_bundle_later_waves", later, "boards", "==", 0),
        Figure("waves_good_bundle_boards", kept, f"of {len(NAMES)}", "==", len(NAMES)),
    ]


def rollouts(folder: Path) -> tuple[int, int, int]:
    """Boards of the first wave that a bad bundle was tried on, and of later waves; then those that keep a good one."""
    own = folder / "fleet"
    own.mkdir()
    with fleet(own) as boards:
        _, told = boards.rollout("3")
        wished, first = set(boards.wishes()), NAMES[0]
        touched = {name for name, each in told.items() if each["state"] != "untouched"} | wished
        others = {name for name, version in boards.runs().items() if version != "1"} | touched - {first}
        boards.rollout("2")
        kept = sum(version == "2" for version in boards.runs().values())
    return len(touched & {first}), len(others), kept


def again(folder: Path, bundle: Path) -> int:
    """Tasks that change something in a board that was just set up; -1 where that failed."""
    own = folder / "site"
    own.mkdir()
    with site(own, bundle) as board:
        first, second = board.play(), board.play()
    return second.changed if (first.status, second.status) == (0, 0) else -1
