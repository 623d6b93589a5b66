"""The service's clock."""

from __future__ import annotations

import asyncio


def now() -> float:
    """Seconds on the running loop's clock: monotonic, and in tests as fast as they like (edge.testing)."""
    return asyncio.get_running_loop().time()
