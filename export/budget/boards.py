"""Boards by name, and what their memory leaves to a bundle."""

from __future__ import annotations

import re

GIB = 1 << 30
BOARDS = {
    **{f"pi4-{size}gb": size * GIB for size in (1, 2, 4, 8)},
    **{f"pi5-{size}gb": size * GIB for size in (1, 2, 4, 8, 16)},
    **{f"orin-nano-{size}gb": size * GIB for size in (4, 8)},
    **{f"orin-nx-{size}gb": size * GIB for size in (8, 16)},
    **{f"phone-{size}gb": size * GIB for size in (4, 6, 8, 12)},
}
"""Memory as it is sold."""
SHARE = 0.75
"""Of it for a bundle: firmware and kernel take a twentieth, and the governor wants an eighth to stay available
(`edge/governor/memory.py`); a system without a desktop lives in the rest."""
PHONE_SHARE = 0.4
"""Of a phone's, whose system ends what takes more."""


def memory_for_a_bundle(board: str) -> int:
    """What a bundle may take, texts and all, on a named board, or on one with so many GB as in `4GB`.

    Raises ValueError, with the names, for another word.
    """
    if found := re.fullmatch(r"([0-9]{1,3})GB", board, re.IGNORECASE):
        return int(int(found[1]) * GIB * SHARE)
    if board not in BOARDS:
        raise ValueError(f"{board[:40]!r} is no board that is known: name its memory as in 4GB, or {', '.join(BOARDS)}")
    return int(BOARDS[board] * (PHONE_SHARE if board.startswith("phone") else SHARE))
