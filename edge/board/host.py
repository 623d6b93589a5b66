"""Memory and processor, from procfs (proc_meminfo(5), proc_stat(5), Documentation/accounting/psi.rst)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.board.source import Absent


class Memory:
    """What is free, and how much the board waits for memory."""

    name = "memory"

    def read(self, root: Path) -> Mapping[str, Any]:
        """Bytes in all, available and of swap in use; share of the last 10 s in which something waited for memory."""
        fields = meminfo(root)
        reading: dict[str, Any] = {
            "total_bytes": fields["MemTotal"],
            "available_bytes": fields["MemAvailable"],
            "swap_used_bytes": fields.get("SwapTotal", 0) - fields.get("SwapFree", 0),
        }
        pressure = _pressure_percent(root / "proc/pressure/memory")
        return reading if pressure is None else {**reading, "pressure_percent": pressure}


def meminfo(root: Path) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    return _sizes(root / "proc/meminfo")


def process_memory(pid: int | None, root: Path = Path("/")) -> dict[str, int]:
    """What /proc/PID/status tells of memory, in bytes (proc_pid_status(5)). OSError where there is no such process."""
    return _sizes(root / f"proc/{pid}/status")


def _sizes(path: Path) -> dict[str, int]:
    """The lines of a file that name a number; kilobytes as bytes."""
    fields = {}
    for line in path.read_text().splitlines():
        name, _, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        if number.isdigit():
            fields[name] = int(number) * (1024 if unit == "kB" else 1)
    return fields


def available_bytes(root: Path) -> int | None:
    """What can be taken now without swapping, the cgroup's limit counted; None where the kernel does not say."""
    try:
        found = meminfo(root)["MemAvailable"]
    except (OSError, KeyError, ValueError):
        return None
    limit, used = (_number(root / f"sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    return found if limit is None or used is None else min(found, max(0, limit - used))


def total_bytes(root: Path) -> int | None:
    """What there is in all, the cgroup's limit counted; None where the kernel does not say."""
    try:
        found = meminfo(root)["MemTotal"]
    except (OSError, KeyError, ValueError):
        return None
    limit = _number(root / "sys/fs/cgroup/memory.max")
    return found if limit is None else min(found, limit)


class Cpu:
    """How busy the processor was since the reading before, and the load averages."""

    name = "cpu"

    def __init__(self) -> None:
        self._before = (0, 0)

    def read(self, root: Path) -> Mapping[str, Any]:
        """Percent of all cores' time not idle; the first reading counts from boot."""
        fields = (root / "proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        times = [int(field) for field in fields]
        total, idle = sum(times), times[3] + times[4]
        spent, rested = total - self._before[0], idle - self._before[1]
        self._before = (total, idle)
        load = (root / "proc/loadavg").read_text().split()
        used = 100 * (1 - rested / spent) if spent > 0 else 0.0
        return {"used_percent": round(used, 1), "load_1m": float(load[0]), "cores": os.cpu_count() or 1}


class Board:
    """Which board this is."""

    name = "board"

    def read(self, root: Path) -> Mapping[str, Any]:
        """The device tree's model name."""
        path = root / "proc/device-tree/model"
        if not path.is_file():
            raise Absent
        return {"model": path.read_text(errors="replace").strip("\0\n ")}


def _pressure_percent(path: Path) -> float | None:
    """The ten-second average of a PSI file's `some` line; None where the kernel has no PSI."""
    try:
        first = path.read_text().split("\n", 1)[0]
    except OSError:
        return None
    return float(first.split("avg10=")[1].split()[0])


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
