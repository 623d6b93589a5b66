"""The processor: how busy, how fast, whether the hardware slows it down (proc_stat(5), admin-guide/pm/cpufreq.rst)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge.board.files import Absent, Files

CPUS = "sys/devices/system/cpu"
CORES_MAX = 4096
RANGES = r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?){0,64}"
Times = dict[int | None, tuple[int, int]]
"""Ticks since boot, in all and of them idle, by a core's number; None is all of them."""
OFF = {"used_percent": None, "clock_hertz": None, "clock_max_hertz": None, "clock_cap_hertz": None}
CLOCKS = {
    "clock_hertz": "scaling_cur_freq",
    "clock_max_hertz": "cpuinfo_max_freq",
    "clock_cap_hertz": "scaling_max_freq",
}


class Cpu:
    """All cores and each."""

    name = "cpu"
    period_seconds = 0.0

    def __init__(self) -> None:
        self._before: Times = {}
        self._counted: dict[int, int] = {}
        self._throttles: int | None = None

    def read(self, files: Files) -> Mapping[str, Any]:
        """Percent of the time since the reading before, at first since boot; clocks in Hz; Absent where nothing tells.

        Each core in the order of their numbers, with None for all of one that is off, or that nothing tells of.
        """
        times, clocks = _times(files), _clocks(files)
        cores = _present(files) or sorted({number for number in (*times, *clocks) if number is not None})
        load = _load(files)
        if not times and not cores and load is None:
            raise Absent
        used = {number: _used_percent(self._before.get(number, (0, 0)), now) for number, now in times.items()}
        self._before = times
        return {
            "used_percent": used.get(None),
            "load_1m": load,
            "cores": len(cores) or None,
            "each": [{**OFF, "used_percent": used.get(core), **clocks.get(core, {})} for core in cores],
            "throttle_count": self._throttle_count(files),
        }

    def _throttle_count(self, files: Files) -> int | None:
        """How often since the first look; None where the hardware does not count (x86, Intel's SDM 3B, 15.8.2)."""
        now = {path: files.amount(path) for path in files.names(CPUS, "cpu[0-9]*/thermal_throttle/core_throttle_count")}
        counts = {_number(path): count for path, count in now.items() if count is not None}
        if counts:
            grown = sum(max(0, count - self._counted.get(core, count)) for core, count in counts.items())
            self._throttles = (self._throttles or 0) + grown
            self._counted |= counts
        return self._throttles


def _times(files: Files) -> Times:
    """Of the lines `cpu` and `cpuN` of /proc/stat, which lacks cores that are off."""
    found: Times = {}
    lines = files.lines("proc/stat")
    for line in lines:
        match = re.match(r"cpu(\d{0,4})((?: +\d{1,20}){4,10})$", line)
        if match:
            ticks = [int(each) for each in match[2].split()][:8]  # guests' time is in user's already
            found[int(match[1]) if match[1] else None] = sum(ticks), sum(ticks[3:5])
    if lines and None not in found:
        files.reject("proc/stat", "no line of all cores' time")
    return found


def _used_percent(before: tuple[int, int], now: tuple[int, int]) -> float | None:
    """None where no time has passed. Idle time may go back a little (proc_stat(5))."""
    spent, idle = now[0] - before[0], now[1] - before[1]
    return round(100 * (1 - min(max(idle, 0), spent) / spent), 1) if spent > 0 else None


def _clocks(files: Files) -> dict[int, dict[str, int | None]]:
    """By a core's number. Cores of a cluster have one policy; older kernels have a folder a core alone."""
    found: dict[int, dict[str, int | None]] = {}
    for folder in files.names(f"{CPUS}/cpufreq", "policy[0-9]*") or files.names(CPUS, "cpu[0-9]*/cpufreq"):
        kilohertz = {name: files.amount(f"{folder}/{file}") for name, file in CLOCKS.items()}
        hertz = {name: None if each is None else each * 1000 for name, each in kilohertz.items()}
        online = re.findall(r"\b\d{1,4}\b", files.text(f"{folder}/affected_cpus") or str(_number(folder)))
        found |= dict.fromkeys((int(number) for number in online[:CORES_MAX]), hertz)
    return found


def _present(files: Files) -> list[int]:
    """Numbers of the cores that there are, on or off: `0-3,8` (admin-guide/cputopology.rst)."""
    text = files.text(f"{CPUS}/present")
    if text is None or not re.fullmatch(RANGES, text):
        if text is not None:
            files.reject(f"{CPUS}/present", f"no cores: {text[:40]!r}")
        return []
    pairs = (part.partition("-") for part in text.split(","))
    return [core for first, _, last in pairs for core in range(int(first), int(last or first) + 1)][:CORES_MAX]


def _load(files: Files) -> float | None:
    """The first number of /proc/loadavg."""
    text = files.text("proc/loadavg")
    found = re.match(r"\d{1,6}\.\d+", text or "")
    if text is not None and found is None:
        files.reject("proc/loadavg", f"no load: {text[:40]!r}")
    return float(found[0]) if found else None


def _number(path: str) -> int:
    """Of the core or the policy that a path leads through."""
    return int(re.findall(r"(?:cpu|policy)(\d+)", path)[0])
