"""How much memory the caches may take: what the operator says, else a share of what the board has free."""

from __future__ import annotations

import os
import time
from pathlib import Path

from edge.board.disk import is_on_sd_card
from edge.board.memory import available_bytes
from edge.bundle import Manifest
from edge.engine import Options

KV_SHARE, PREFIX_SHARE = 0.5, 0.125
PREFIX_BYTES_MAX = 512 << 20
PREFIX_DISK_BYTES = 1 << 30
EASE_SECONDS = 2.0
"""Between two looks at how much memory the board has left."""
UNKNOWN_BYTES = 1 << 30
"""What is reckoned with where the kernel does not say what is free."""
RESERVE_BYTES = 128 << 20
"""Less than this free, and the kept beginnings of texts are let go."""


def threads(wanted: int) -> int:
    """Threads for the kernels: every core that this process may use, unless the operator says otherwise."""
    return wanted or len(os.sched_getaffinity(0))


def kv_tokens(manifest: Manifest, rows: int, limit_bytes: int | None) -> int:
    """Tokens that all texts together may have: what the operator says, else one whole context at the least."""
    if limit_bytes is not None:
        return limit_bytes // manifest.kv_bytes_per_token
    tokens = int(_free() * KV_SHARE) // manifest.kv_bytes_per_token
    return max(manifest.context_length, min(tokens, rows * manifest.context_length))


def prefix_bytes(limit_bytes: int | None) -> int:
    """What kept beginnings may take."""
    return limit_bytes if limit_bytes is not None else min(PREFIX_BYTES_MAX, int(_free() * PREFIX_SHARE))


def prefix_disk_bytes(folder: Path, limit_bytes: int | None) -> int:
    """What they may take on disk: none on an SD card, which writing wears out, unless the operator says so."""
    if limit_bytes is not None:
        return limit_bytes
    return 0 if is_on_sd_card(folder) else PREFIX_DISK_BYTES


def packed_folder(options: Options) -> Path | None:
    """Where packed weights are kept; None where they are not, as on an SD card unless the operator says so."""
    if not options.cache_folder:
        return None
    folder = Path(options.cache_folder) / "packed"
    wanted = options.packs if options.packs is not None else not is_on_sd_card(folder)
    return folder if wanted else None


class Shortage:
    """Looks now and then whether the board has next to nothing left."""

    def __init__(self) -> None:
        self._looked = time.monotonic()

    def is_there(self) -> bool:
        """Whether it was just found to be so."""
        if time.monotonic() - self._looked < EASE_SECONDS:
            return False
        self._looked = time.monotonic()
        return _free() < RESERVE_BYTES


def _free() -> int:
    free = available_bytes(Path("/"))
    return UNKNOWN_BYTES if free is None else free
