"""The arm64 package on a whole emulated arm64 Debian: from dpkg to an answer, under limits that its kernel keeps."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from tests.arm import guest


def measure(bundle: Path) -> list[Figure]:
    """Answers, memory, and that less memory ends what is over it. RuntimeError without root or a tool."""
    if wanted := guest.missing():
        raise RuntimeError(f"it needs {wanted}")
    with tempfile.TemporaryDirectory() as name:
        said = guest.tried(Path(name), bundle)
    answers = sum("Paris" in said[when] for when in ("answer", "again"))
    most = int(said["memory.max"])
    return [
        Figure("guest_answers", answers, "of 2", "==", 2),
        Figure("guest_limit_kept", int(most == int(said["limit"]) * 2**20), "of 1", "==", 1),
        Figure("guest_peak_mb", round(int(said["memory.peak"]) / 1e6, 1), "MB", "<=", round(most / 1e6, 1)),
        Figure("guest_killed_over_limit", int(said["killed"]), "processes", ">=", 1),
    ]
