"""What an x86 processor counts of its own energy (Documentation/power/powercap/powercap.rst): microjoules that wrap.

The counters are root's since CVE-2020-8694. Packages are added up; cores and memory are told beside.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.board.files import Files
from edge.board.pmic import Rail

SCOPE = "package"
WATTS_MAX = 1000
"""More than a package takes: what could have wrapped twice at this is not believed."""
DENIED = "permission denied: it is root's alone (CVE-2020-8694)"


@dataclass(frozen=True)
class Count:
    """A counter at a moment. watts: since the count before; None where there was none, or it may have wrapped twice.

    joules: all that were counted since the first.
    """

    seconds: float
    microjoules: int
    watts: float | None = None
    joules: float = 0.0


class Rapl:
    """The counters of one board, each held against what it was."""

    def __init__(self) -> None:
        self._counts: dict[str, Count] = {}

    def read_rails(self, files: Files, seconds: float) -> dict[str, Rail]:
        """Watts of each zone since the reading before, by names as `package-0` and `package-0 core`."""
        counts = {}
        for path in files.names("sys/class/powercap", "intel-rapl:*"):
            label, count = files.text(f"{path}/name"), files.count(f"{path}/energy_uj")
            if f"{path}/energy_uj" in files.denied:
                files.denied[f"{path}/energy_uj"] = DENIED
            if label is None or count is None or label == "psys":
                continue
            parent = files.text(f"{path.rpartition(':')[0]}/name") if path.count(":") > 1 else None
            name = f"{parent} {label}" if parent else label
            wraps_at = files.count(f"{path}/max_energy_range_uj") or 0
            counts[name] = later(self._counts.get(name), seconds, count, wraps_at)
        self._counts = counts
        return {name: Rail(watts=count.watts) for name, count in counts.items()}

    @property
    def watts(self) -> float | None:
        """Of all packages; None where one is not known."""
        watts = [count.watts for count in self._packages]
        return round(sum(each for each in watts if each is not None), 3) if watts and None not in watts else None

    @property
    def joules(self) -> float:
        """Of all packages since the first reading."""
        return sum(count.joules for count in self._packages)

    @property
    def _packages(self) -> list[Count]:
        return [count for name, count in self._counts.items() if name.startswith("package-") and " " not in name]


def later(before: Count | None, seconds: float, microjoules: int, wraps_at: int) -> Count:
    """A count, with what has come since the one before. wraps_at: microjoules; 0 is not known."""
    if before is None or seconds <= before.seconds:
        return Count(seconds, microjoules)
    passed, grown = seconds - before.seconds, microjoules - before.microjoules
    if grown < 0:
        grown += wraps_at
    if grown < 0 or (wraps_at and passed * WATTS_MAX * 1e6 > wraps_at):
        return Count(seconds, microjoules, joules=before.joules)
    return Count(seconds, microjoules, round(grown / 1e6 / passed, 3), before.joules + grown / 1e6)
