"""A package from its file to its first answer and to a purge, on a booted Debian with no network but loopback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from tests.conftest import ROOT
from tests.systemd import packages
from tests.systemd.machine import Machine

RELEASE = 12
UNITS = ("edge.service", "edge@.service", "edge-clock.service")
TRIES = 2
EXPOSURE_MAX = 2.0


def measure(bundle: Path) -> list[Figure]:
    """Builds, lintian, exposure, the answer, what a purge leaves. RuntimeError without root or a tool."""
    missing = [tool for tool in (*packages.TOOLS, "systemd-analyze") if shutil.which(tool) is None]
    if missing or os.geteuid():
        raise RuntimeError(f"it needs root and {', '.join(missing) or 'nothing else'}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = packages.build(RELEASE, folder / "packages")
        again = packages.rebuilt(RELEASE, folder)
        alike = TRIES if package.read_bytes() == again.read_bytes() else 1
        said = len(packages.findings(package))
        with packages.debian_board(RELEASE, package.parent, bundle, folder) as board:
            seconds, answers = answered(board, package.name)
            packages.purge(board)
            left = len(packages.left(board))
    return [
        Figure("package_answers", answers, "of 1", "==", 1),
        Figure("package_seconds", round(seconds, 1), "s", ">=", 0),
        Figure("package_builds_alike", alike, f"of {TRIES}", "==", TRIES),
        Figure("package_lintian_findings", said, "tags", "==", 0),
        Figure("unit_exposure", max(map(exposure, UNITS)), "of 10", "<=", EXPOSURE_MAX),
        Figure("package_left_after_purge", left, "files", "==", 0),
    ]


def answered(board: Machine, name: str) -> tuple[float, int]:
    """Seconds from dpkg -i to an answer, the bundle copied between them; how many answers of one."""
    begun = time.monotonic()
    board.run("dpkg", "-i", f"/mnt/packages/{name}", seconds=240)
    board.run("cp", "-r", "/mnt/bundle", "/srv/edge-slm/bundle")
    board.run("systemctl", "restart", "edge", seconds=120)
    text = packages.ask(board, packages.QUESTION)["text"]
    return time.monotonic() - begun, int("Paris" in str(text))


def exposure(unit: str) -> float:
    """What `systemd-analyze security` gives it."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", str(ROOT / "systemd" / unit)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"Overall exposure level for \S+ (\d+\.\d)", said)
    if found is None:
        raise RuntimeError(f"systemd-analyze says nothing of {unit}")
    return float(found[1])
