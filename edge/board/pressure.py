"""How much the board waits: pressure stall information (Documentation/accounting/psi.rst)."""

from __future__ import annotations

import re
from typing import Any

from edge.board.files import Files

RESOURCES = ("memory", "cpu", "io")
LINE = re.compile(r"(some|full) avg10=(\d{1,3}(?:\.\d+)?) ")


def pressure(files: Files, resource: str) -> dict[str, Any] | None:
    """Percent of the last ten seconds; None where the kernel has no such file, or it says something else."""
    path = f"proc/pressure/{resource}"
    text = files.text(path)
    if text is None:
        return None
    found = {kind: float(percent) for kind, percent in LINE.findall(text) if float(percent) <= 100}
    if "some" not in found:
        files.reject(path, f"no pressure: {text[:40]!r}")
        return None
    return {f"{kind}_percent": found.get(kind) for kind in ("some", "full")}
