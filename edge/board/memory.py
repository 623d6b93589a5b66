"""Memory: what is free, how much the board waits for it, and who holds it (proc_meminfo(5), proc_pid_smaps(5))."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge.board import cgroup
from edge.board.files import DIGITS, Absent, Files
from edge.board.pressure import RESOURCES, pressure

Processes = Callable[[], Mapping[str, int | None]]
"""The process ids of daemon and engine; None where one does not run."""


class Memory:
    """The whole board's, and what the unit may have of it."""

    name = "memory"
    period_seconds = 0.0

    def read(self, files: Files) -> Mapping[str, Any]:
        """Bytes in all, available and of swap; shares of the last 10 s in which something waited. Absent without."""
        fields = meminfo(files)
        if not fields and not files.failed and not files.denied:
            raise Absent
        if fields and "MemAvailable" not in fields:
            files.reject("proc/meminfo", "no MemAvailable")
        waits = {resource: pressure(files, resource) for resource in RESOURCES}
        return {
            "total_bytes": fields.get("MemTotal"),
            "available_bytes": fields.get("MemAvailable"),
            **_swap(fields),
            "zram_used_bytes": _zram_used_bytes(files),
            "pressure": waits,
            "pressure_percent": (waits["memory"] or {}).get("some_percent"),
            "refaulted_files": _refaulted_files(files),
            "cgroup": cgroup.memory(files),
        }


class ProcessMemory:
    """What daemon and engine hold. The kernel walks all their pages for it: 4 ms for a gigabyte here, so seldom."""

    name = "processes"
    period_seconds = 60.0

    def __init__(self, processes: Processes) -> None:
        self._processes = processes

    def read(self, files: Files) -> Mapping[str, Any]:
        """Their shares by their names, None for one that does not run; Absent where the kernel tells nothing."""
        found = {name: _shares(files, pid) for name, pid in self._processes().items()}
        if not any(found.values()):
            raise Absent
        return found


def meminfo(files: Files) -> dict[str, int]:
    """/proc/meminfo in bytes; empty where there is none."""
    return files.fields("proc/meminfo")


def process_memory(pid: int | None, root: Path = Path("/")) -> dict[str, int]:
    """What /proc/PID/status tells of memory, in bytes (proc_pid_status(5)). OSError where there is no such process."""
    found = Files(root).fields(f"proc/{pid}/status")
    if not found:
        raise ProcessLookupError(f"there is no process {pid}, or it may not be looked at")
    return found


def available_bytes(root: Path) -> int | None:
    """What can be taken now without swapping, the cgroups' limits counted; None where the kernel does not say."""
    files = Files(root)
    found = meminfo(files).get("MemAvailable")
    return None if found is None else min(found, *(left for _, left in cgroup.limits(files)), found)


def total_bytes(root: Path) -> int | None:
    """What there is in all, the cgroups' limits counted; None where the kernel does not say."""
    files = Files(root)
    found = meminfo(files).get("MemTotal")
    return None if found is None else min(found, *(most for most, _ in cgroup.limits(files)), found)


def _swap(fields: Mapping[str, int]) -> dict[str, int | None]:
    total, free = fields.get("SwapTotal"), fields.get("SwapFree")
    used = None if total is None or free is None else max(0, total - free)
    return {"swap_total_bytes": total, "swap_used_bytes": used}


def _zram_used_bytes(files: Files) -> int | None:
    """The third column of mm_stat, over all devices (Documentation/admin-guide/blockdev/zram.rst); None without one."""
    used = []
    for path in files.names("sys/block", "zram*/mm_stat"):
        columns = (files.text(path) or "").split()
        if len(columns) > 2 and columns[2].isdecimal() and len(columns[2]) <= DIGITS:
            used.append(int(columns[2]))
        elif columns:
            files.reject(path, f"no size: {columns[:3]}")
    return sum(used) if used else None


def _refaulted_files(files: Files) -> int | None:
    """Under either name that kernels have for it (since 5.9, and before)."""
    fields = files.fields("proc/vmstat")
    return fields.get("workingset_refault_file", fields.get("workingset_refault"))


def _shares(files: Files, pid: int | None) -> dict[str, int | None] | None:
    fields = {} if pid is None else files.fields(f"proc/{pid}/smaps_rollup")
    return {"pss_bytes": fields.get("Pss"), "anonymous_bytes": fields.get("Anonymous")} if fields else None
