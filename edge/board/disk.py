"""Disks: what is free where a folder lies or will lie, and whether writing wears it out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge.board.files import Absent, Files


class Disk:
    """The disks of some folders, wherever a board's /proc and /sys are. A disk across a network may take its time."""

    name = "disk"
    period_seconds = 60.0

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._folders = folders

    def read(self, files: Files) -> Mapping[str, Any]:
        """Bytes in all and free, by the folders' names; None for one that cannot be looked at."""
        if not self._folders:
            raise Absent
        return {"folders": {name: _sizes(files, name, folder) for name, folder in self._folders.items()}}


def free_bytes(folder: Path) -> int:
    """Of the disk that a folder is on, or will be."""
    return shutil.disk_usage(_existing(folder)).free


def is_on_sd_card(folder: Path, root: Path = Path("/")) -> bool:
    """Whether a folder lies on an SD card, which writing wears out (Linux, `Documentation/mmc/mmc-dev-attrs.rst`)."""
    number = _existing(folder).stat().st_dev
    device = root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    try:
        resolved = device.resolve(strict=True)
    except OSError:  # a file system without a device of its own
        return False
    return any(Files(disk).text("device/type") == "SD" for disk in (resolved, resolved.parent))


def _sizes(files: Files, name: str, folder: Path) -> dict[str, int] | None:
    try:
        usage = shutil.disk_usage(_existing(folder))
    except OSError as error:
        files.reject(name, f"{folder}: {error.strerror}")
        return None
    return {"total_bytes": usage.total, "free_bytes": usage.free}


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
