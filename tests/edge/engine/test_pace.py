"""A duty cycle: the engine works for its share of the time, says the same, and hears a cancel while it rests."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from edge.config import Engine
from edge.engine import Job
from edge.engine.pace import Pace
from edge.service.worker import Worker

ASKED = [{"role": "user", "content": "Count from one to thirty in words."}]


def job(number: int, **fields) -> Job:
    """The same every time."""
    return Job(id=number, messages=ASKED, max_tokens=32, ignore_eos=True, **fields)


async def answered(worker: Worker, number: int) -> tuple[str, float]:
    """An answer's text, and the seconds that it took."""
    began = time.monotonic()
    said = [piece async for piece in worker.generate(job(number))]
    return "".join(each for each in said if isinstance(each, str)), time.monotonic() - began


def test_whoever_works_all_the_time_never_rests():
    """Not even for the length of a call."""
    pace, began = Pace(), time.monotonic()
    for _ in range(1000):
        pace.rest(10.0)
    assert time.monotonic() - began < 1


class Rests(threading.Event):
    """Writes down how long each rest is to be; a busy machine makes them longer."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        """For so long."""
        self.seconds.append(timeout or 0.0)
        return super().wait(timeout)


def test_the_rest_is_as_long_as_the_share_wants():
    """A second of work at a share of 0.8 is a quarter of a second of rest; what was owed is forgotten at full speed."""
    pace = Pace()
    pace._woken = rests = Rests()
    pace.set(0.8)
    began = time.monotonic()
    for _ in range(20):
        pace.rest(0.05)
    assert 0.2 < sum(rests.seconds) < 0.3
    assert time.monotonic() - began > 0.2
    pace.set(0.01)
    threading.Timer(0.1, pace.set, [1.0]).start()
    began = time.monotonic()
    pace.rest(1.0)
    pace.rest(1.0)
    assert time.monotonic() - began < 5


def test_who_had_nothing_to_do_has_rested():
    """What an answer that was cancelled has left is not owed by the next, which comes later."""
    pace = Pace()
    pace.set(0.1)
    threading.Timer(0.1, pace.wake).start()
    pace.rest(0.1)  # nine tenths, of which most is left
    time.sleep(0.9)
    pace._woken = rests = Rests()
    pace.rest(0.01)
    assert rests.seconds[-1] < 0.6


def test_no_rest_is_longer_than_the_daemon_bears():
    """However long a step took."""
    pace = Pace()
    pace.set(0.01, 0.2)
    began = time.monotonic()
    pace.rest(60.0)
    assert time.monotonic() - began < 5


async def quickest(worker: Worker, numbers: range, duty: float) -> tuple[set[str], float]:
    """What was said at a share of the time, and the fewest seconds of a few answers: others disturb some, not all."""
    worker.pace(duty, 2.0)
    told = [await answered(worker, number) for number in numbers]
    return {said for said, _ in told}, min(seconds for _, seconds in told)


@pytest.mark.parametrize("kind", ["batched", pytest.param("genai", marks=pytest.mark.slow)])
def test_a_paced_engine_says_the_same_more_slowly(bundle, kind):
    """A third of the time is about a third of the speed, and full speed again afterwards; a restart keeps the pace."""

    async def work():
        worker = Worker(Engine(bundle=bundle, kind=kind, verify_hashes=False))
        await worker.start()
        try:
            said, full = await quickest(worker, range(1, 6), 1.0)
            worker.pace(1 / 3, 2.0)
            await worker.stop()
            await worker.start()
            slowly, paced = await quickest(worker, range(6, 9), 1 / 3)
            freely, released = await quickest(worker, range(9, 14), 1.0)
            assert said == slowly == freely
            assert len(said) == 1
            assert 1.3 < paced / full < 9  # 3 where nothing else works
            assert 1.3 < paced / released < 9
        finally:
            await worker.stop()

    asyncio.run(work())


def test_a_resting_engine_is_not_taken_for_a_hung_one(bundle):
    """Where the operator bears little silence, rests are shorter than that."""

    async def work():
        worker = Worker(Engine(bundle=bundle, verify_hashes=False, stall_seconds=3))
        await worker.start()
        try:
            worker.pace(0.001, 2.0)
            said = [piece async for piece in worker.generate(Job(id=1, messages=ASKED, max_tokens=4, ignore_eos=True))]
            assert said[-1].finish_reason == "length"
        finally:
            await worker.stop()

    asyncio.run(work())


def test_a_cancel_is_heard_while_the_engine_rests(bundle):
    """Long before a rest of half a minute is over."""

    async def work():
        worker = Worker(Engine(bundle=bundle, verify_hashes=False))
        await worker.start()
        try:
            worker.pace(0.001, 2.0)
            began = time.monotonic()
            async for piece in worker.generate(job(1)):
                if isinstance(piece, str) and piece:
                    worker.cancel(1)
                else:
                    said = piece
            assert said.finish_reason == "cancelled"
            assert time.monotonic() - began < 25
        finally:
            await worker.stop()

    asyncio.run(work())
