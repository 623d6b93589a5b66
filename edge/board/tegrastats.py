"""A line of NVIDIA's `tegrastats`, where no file of a Jetson tells: lines in milliwatts, and the GPU's load.

Every part is optional: the time before it, `off` for a core, the load alone, with a clock, with several, or without a
percentage, temperatures once or twice, power as now/average or now/average/greatest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from edge.board.files import Files
from edge.board.program import Program

PROGRAM = "usr/bin/tegrastats"
RELEASE = "etc/nv_tegra_release"
PERIOD_SECONDS = 30.0
LOAD = re.compile(r"\bGR3D_FREQ (?:([0-9]{1,3})%)?(?:@\[?([0-9]{1,5})(?:,[0-9]{1,5})*\]?)?")
RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) ([0-9]{1,7})(?:mW)?/[0-9]{1,7}(?:mW)?(?:/[0-9]{1,7}mW)?(?= |$)")


@dataclass(frozen=True)
class Line:
    """What a line tells that we ask for. gpu_hertz: of the first of them."""

    watts: dict[str, float] = field(default_factory=dict)
    gpu_used_percent: float | None = None
    gpu_hertz: int | None = None


def parse(text: str) -> Line:
    """One line; what is not in it is None."""
    watts = {name: int(number) / 1000 for name, number in RAIL.findall(text) if name not in ("NC", "RAM", "SWAP")}
    load = LOAD.search(text)
    percent, megahertz = load.groups() if load else (None, None)
    return Line(
        watts,
        float(percent) if percent and int(percent) <= 100 else None,
        int(megahertz) * 1_000_000 if megahertz else None,
    )


class Tegrastats:
    """The program of one board, asked for one line at a time."""

    def __init__(self, program: Program | None = None) -> None:
        self._program = program

    def is_there(self, files: Files) -> bool:
        """Whether this is a Jetson that has it."""
        is_ours = self._program is not None or (files.root == Path("/") and (files.root / PROGRAM).is_file())
        return is_ours and (files.root / RELEASE).is_file()

    def read(self, files: Files) -> Line | None:
        """None where it has failed."""
        try:
            return parse((self._program or Program([f"/{PROGRAM}", "--interval", "1000"])).first(b"\n"))
        except OSError as error:  # TimeoutError is one
            files.reject(PROGRAM, str(error))
            return None
