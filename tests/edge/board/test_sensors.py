"""All sources together, over real threads: one that hangs or breaks is alone with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from edge.board.files import Files
from edge.board.memory import Memory
from edge.board.sensors import HELD_SECONDS, PATIENCE_SECONDS, Post, Reading, Sensors, Threads, sample
from edge.testing import write_tree


class Told:
    """A source that does what it is told, and counts how often."""

    def __init__(self, name: str, work: Callable[[], Any] = lambda: None, period_seconds: float = 0.0) -> None:
        self.name, self.work, self.period_seconds, self.count = name, work, period_seconds, 0

    def read(self, _files: Files) -> dict[str, Any]:
        """How often it was read."""
        self.count += 1
        count = self.count
        self.work()
        return {"count": count}


def looked(sensors: Sensors, times: int = 1) -> list:
    """So many looks, one after the other, and how long each took."""

    async def all_of_them():
        found = []
        for _ in range(times):
            began = time.monotonic()
            found.append((await sensors.look(), time.monotonic() - began))
        return found

    return asyncio.run(all_of_them())


def test_a_source_that_hangs_delays_nobody():
    """The first look waits a moment for it, later ones not at all; the others are read at each."""
    release = threading.Event()
    hanging, quick = Told("hanging", release.wait), Told("quick")
    try:
        looks = looked(Sensors([hanging, quick]), 4)
    finally:
        release.set()
    assert [taken.readings["quick"]["count"] for taken, _ in looks] == [1, 2, 3, 4]
    assert "hanging" not in looks[-1][0].readings
    assert (looks[-1][0].failed, looks[-1][0].absent) == ({}, [])  # nothing is known of it yet
    assert sum(seconds for _, seconds in looks[1:]) < PATIENCE_SECONDS


def test_one_reading_at_a_time():
    """A source that hangs holds one thread, however often it is asked."""
    release = threading.Event()
    hanging = Told("hanging", release.wait)
    try:
        looked(Sensors([hanging, Told("quick")]), 20)
        assert hanging.count == 1
    finally:
        release.set()


def test_the_last_reading_stays_with_its_age():
    """Of a source that hangs later; and when it comes back, what it then says."""
    release, is_stuck = threading.Event(), False
    source = Told("source", lambda: is_stuck and release.wait())
    sensors = Sensors([source])

    async def course() -> tuple[dict, dict, dict]:
        nonlocal is_stuck
        first = (await sensors.look()).readings["source"]
        is_stuck = True
        await sensors.look()
        old = (await sensors.look()).readings["source"]
        is_stuck = False
        release.set()
        await asyncio.sleep(0.05)
        return first, old, (await sensors.look()).readings["source"]

    first, old, new = asyncio.run(course())
    assert first == {"count": 1}
    assert (old["count"], old["age_seconds"] >= PATIENCE_SECONDS) == (1, True)
    assert new == {"count": 3}


def test_a_pipe_in_place_of_a_file_makes_nobody_wait(tmp_path):
    """A real one without a writer: no number, counted at each look; the rest of the source is given."""
    write_tree(tmp_path, {"proc/meminfo": "MemTotal: 4 kB\nMemAvailable: 2 kB\n", "sys/block/zram0/x": ""})
    (tmp_path / "proc/pressure").mkdir()
    os.mkfifo(tmp_path / "proc/pressure/memory")
    looks = looked(Sensors([Memory()], tmp_path), 3)
    assert [taken.errors for taken, _ in looks] == [{"memory": 1}, {"memory": 2}, {"memory": 3}]
    assert looks[-1][0].readings["memory"]["total_bytes"] == 4096


def test_a_slow_source_has_a_tempo_of_its_own():
    """It is read once a period, whatever the looks; they get the last reading with its age, and wait for the first."""
    slow, quick = Told("slow", lambda: time.sleep(0.05), period_seconds=3600), Told("quick")
    looks = looked(Sensors([slow, quick]), 5)
    assert (slow.count, quick.count) == (1, 5)
    ages = [taken.readings["slow"]["age_seconds"] for taken, _ in looks]
    assert ages == sorted(ages)
    assert all(taken.readings["slow"]["count"] == 1 for taken, _ in looks)


def test_a_slow_source_that_is_due_is_read_in_the_background():
    """The look that begins its second reading does not wait for it."""
    pauses = iter([0.0, 2.0])
    slow = Told("slow", lambda: time.sleep(next(pauses)), period_seconds=0.1)

    async def course() -> tuple[float, int]:
        sensors = Sensors([slow])
        await sensors.look()
        await asyncio.sleep(0.2)
        began = time.monotonic()
        taken = await sensors.look()
        return time.monotonic() - began, taken.readings["slow"]["count"]

    seconds, count = asyncio.run(course())
    assert (seconds < 2.0, count, slow.count) == (True, 1, 2)


def test_a_source_that_breaks_is_alone_with_it():
    """Whatever it raises, it is named, and counted at each look."""

    def broken() -> None:
        raise ZeroDivisionError("of a driver")

    (_, _), (taken, _) = looked(Sensors([Told("broken", broken), Told("quick")]), 2)
    assert taken.failed == {"broken": "broken: ZeroDivisionError: of a driver"}
    assert (taken.errors, taken.readings) == ({"broken": 2}, {"quick": {"count": 2}})


def test_a_source_that_is_held_for_long_counts_once():
    """As a failure, beside the reading that it gave before, until it answers."""
    post = Post(Told("held"), Reading(0.0, {"count": 1}))

    async def course() -> None:
        post.busy, post.begun = asyncio.get_running_loop().create_future(), 0.0
        for now, seconds in ((HELD_SECONDS - 1, None), (HELD_SECONDS, 30), (HELD_SECONDS + 10, 40)):
            taken = sample([post], now)
            assert taken.failed == ({} if seconds is None else {"held": f"no answer for {seconds} s"})
            assert taken.errors == ({} if seconds is None else {"held": 1})
            assert taken.readings["held"] == {"count": 1, "age_seconds": now}

    asyncio.run(course())
    post.busy = None
    post.keep(Reading(50.0, {"count": 2}))
    assert (sample([post], 50.0).failed, post.is_held) == ({}, False)


def test_a_source_that_hangs_does_not_hold_up_the_end():
    """A program ends while a driver holds one of its threads."""
    program = """
import asyncio, time
from edge.board.sensors import Sensors
class Hanging:
    name, period_seconds = "hanging", 0.0
    def read(self, files):
        time.sleep(60)
asyncio.run(Sensors([Hanging()]).look())
print("ended")
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")


class NoThreads(Threads):
    """A board that has none left (pthread_create(3), EAGAIN)."""

    def submit(self, fn, /, *args, **kwargs):
        """As threading says it."""
        raise RuntimeError("can't start new thread")


def test_a_board_without_threads_says_so_of_each_source():
    """As failed and counted, at each look, and not as if there were no such source."""
    sample, _ = looked(Sensors([Told("one"), Told("two")], threads=NoThreads()), 2)[-1]
    assert set(sample.failed) == {"one", "two"}
    assert sample.errors == {"one": 2, "two": 2}
    assert (sample.readings, sample.absent) == ({}, [])
