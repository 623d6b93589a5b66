"""The control group that this process is in, and its memory (Documentation/admin-guide/cgroup-v2.rst)."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from edge.board.files import Files

TOP = "sys/fs/cgroup"


def own_folder(files: Files) -> str:
    """Its folder; the topmost one where the kernel does not say, which within a container is the container's own."""
    for line in files.lines("proc/self/cgroup"):
        number, _, rest = line.partition(":")
        path = PurePosixPath(rest.partition(":")[2])
        if number == "0" and ".." not in path.parts:  # which leads out of the namespace (cgroup_namespaces(7))
            return str(PurePosixPath(TOP) / path.relative_to("/")) if path.is_absolute() else TOP
    return TOP


def memory(files: Files) -> dict[str, Any] | None:
    """What it holds, may hold, and how often it met its limits; None where nothing counts that."""
    folder = own_folder(files)
    current = files.amount(f"{folder}/memory.current")
    if current is None:
        return None
    return {
        "current_bytes": current,
        "high_bytes": _limit(files, f"{folder}/memory.high"),
        "max_bytes": _limit(files, f"{folder}/memory.max"),
        "events": files.fields(f"{folder}/memory.events"),
    }


def limits(files: Files) -> list[tuple[int, int]]:
    """Bytes that may be held, and what is left of them, of each limit that we are under; ours first.

    What was read of files once, and can be dropped at once, is left, too.
    """
    found = []
    for folder in _and_above(own_folder(files)):
        most, used = (_limit(files, f"{folder}/memory.{name}") for name in ("max", "current"))
        if most is not None and used is not None:
            idle = files.fields(f"{folder}/memory.stat").get("inactive_file", 0)
            found.append((most, max(0, most - max(0, used - idle))))
    return found


def _and_above(folder: str) -> list[str]:
    path = PurePosixPath(folder)
    return [str(each) for each in (path, *path.parents) if each.is_relative_to(TOP)]


def _limit(files: Files, path: str) -> int | None:
    """A number of bytes; None for `max`, which is none."""
    return None if (files.text(path) or "max") == "max" else files.amount(path)
