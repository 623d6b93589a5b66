"""Disks: what is free where a folder lies or will lie, and whether writing wears it out."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


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
    kinds = [disk / "device/type" for disk in (resolved, resolved.parent)]
    return any(kind.read_text().strip() == "SD" for kind in kinds if kind.is_file())


def _existing(folder: Path) -> Path:
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
