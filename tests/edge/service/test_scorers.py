"""A scorer that cannot be had, and one that never comes back, in the engine's process as the daemon sees it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from edge.config import Engine, Scorer
from edge.engine import Finished, Job
from edge.errors import ConfigError, EngineFailed
from edge.service.worker import Worker
from tests.packages import write_package

pytestmark = pytest.mark.slow
HANGS = """
import ctypes, time

def asleep(tokens, logits):
    while len(tokens) > 1:
        time.sleep(1)
    return logits

def with_the_lock(tokens, logits):
    if len(tokens) > 1:
        ctypes.PyDLL(None).pause()
    return logits

def wrong(tokens, logits):
    return logits[1:]
"""
TURNS = [{"role": "user", "content": "Say hello."}]


@pytest.fixture
def _packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"fine": "asleep", "asleep": "asleep", "with-the-lock": "with_the_lock", "wrong": "wrong"}
    folder = write_package(tmp_path / "packages", "that_hang", HANGS, names)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))


def worker_of(bundle: Path, *names: str, **settings: float) -> Worker:
    """A worker of the real engine with these scorers."""
    return Worker(
        Engine(bundle=bundle, verify_hashes=False, packs=False, **settings), scorers={name: Scorer() for name in names}
    )


async def said(worker: Worker, **options) -> Finished:
    """How an answer ended."""
    found = [each async for each in worker.generate(Job(1, TURNS, 4, **options))]
    assert isinstance(found[-1], Finished)
    return found[-1]


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize("name", ["asleep", "with-the-lock"])
def test_one_that_never_comes_back_is_named(bundle, name):
    """The watchdog ends the engine, whoever has the interpreter's lock, and the next one answers."""

    async def work():
        worker = worker_of(bundle, "fine", name, stall_seconds=2)
        await worker.start()
        try:
            assert (await said(worker)).completion_tokens
            with pytest.raises(EngineFailed, match=f"stopped: the scorer '{name}' did not come back") as raised:
                await said(worker, scorers=[name])
            assert raised.value.param == "scorers"
            assert not worker.alive
            await worker.start()
            assert (await said(worker)).completion_tokens
        finally:
            await worker.stop()

    asyncio.run(asyncio.wait_for(work(), 120))


@pytest.mark.usefixtures("_packages")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("wrong", r"scorers.wrong: tried at the start, .* returned float32 of \[\d+\]"),
        ("none", "scorers.none: no package"),
    ],
)
def test_one_that_cannot_be_is_told_at_the_start(bundle, name, says):
    """As a wrong setting, which starting again does not mend."""
    with pytest.raises(ConfigError, match=says):
        asyncio.run(asyncio.wait_for(worker_of(bundle, name).start(), 60))
