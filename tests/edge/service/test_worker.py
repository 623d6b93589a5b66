"""The engine's process, seen from the daemon: what it may do wrong."""

from __future__ import annotations

import asyncio
import sys

import pytest

from edge.config import Engine
from edge.engine import Job
from edge.errors import EngineFailed
from edge.service.worker import LINE_BYTES_MAX, Worker

READY = '{"event": "ready", "load_seconds": 0.0, "rows": 1}'


def test_a_line_without_end_is_the_end_of_the_engine(tmp_path):
    """It is stopped, its request fails with a word, and the daemon sees that it must start another."""
    says_too_much = f"print({READY!r}, flush=True); input(); print('x' * {LINE_BYTES_MAX + 1}); input()"

    async def work() -> None:
        worker = Worker(Engine(bundle=tmp_path), [sys.executable, "-c", says_too_much])
        await worker.start()
        with pytest.raises(EngineFailed, match="ended while it was answering"):
            async for _ in worker.generate(Job(1, [], 1)):
                pass
        await asyncio.wait_for(worker.died(), 10)
        assert not worker.alive

    asyncio.run(work())
