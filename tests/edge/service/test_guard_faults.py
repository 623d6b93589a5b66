"""The guard itself fails, or what it asks: full speed, everybody let in, an alarm, and it goes on as soon as it can."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.board.files import Files
from edge.board.thermal import Thermal
from edge.service.looks import Room, fresh, heat, is_supplied
from edge.testing import ScriptedEngine
from tests.edge.service.test_guard import CLOCKS, MINUTES, ZONE, Board, pressed, running, simulated


class Throttling:
    """A source that says what its kind never does, while `is_mad`."""

    name = "throttling"
    period_seconds = 0.0

    def __init__(self) -> None:
        self.is_mad = False

    def read(self, _files: Files) -> Mapping[str, Any]:
        """Its flags."""
        return {"now": ["no flags"] if self.is_mad else {}, "since_start": {}, "told_by": "firmware"}


def test_a_governor_that_fails_holds_nobody_back(tmp_path):
    """A slowed board is let go, requests are let in, it is told; the daemon goes on, and so does the governor later."""

    async def work():
        mad = Throttling()
        async with running(Board("pi5", tmp_path, sources=(mad,))) as board:
            board.engine.pause_seconds = 60
            board.ask("slow")
            for celsius in (60, 66, 71, 75, 78, 80, 81):
                board.planted.change(ZONE, f"{celsius}000\n")
                await asyncio.sleep(15)
            pressed(board, 50)
            await asyncio.sleep(3)
            assert board.engine.duties[-1] < 1
            mad.is_mad = True
            await asyncio.sleep(30)
            assert board.engine.duties[-1] == 1
            assert "the governor has failed" in board.said("telemetry")[-1]["governor"]["reason"]
            board.engine.pause_seconds = 0
            assert (await board.answer("let in"))["code"] == 200
            mad.is_mad = False
            pressed(board, 0)
            await asyncio.sleep(15 * MINUTES)
            assert "failed" not in board.said("telemetry")[-1]["governor"]["reason"]
            states = [each["state"] for each in board.events("governor")]
            assert states[:2] == ["slowed", "blind"]
            assert len(states) < 6

    simulated(work())


def test_one_that_fails_from_the_start_is_told(tmp_path):
    """An event, though a board that has no sensor is none."""

    async def work():
        mad = Throttling()
        mad.is_mad = True
        async with running(Board("vm", tmp_path, sources=(mad,))) as board:
            assert (await board.answer("q"))["code"] == 200
            await asyncio.sleep(MINUTES)
            assert board.events("governor") == [{"state": "blind"}]

    simulated(work())


class Deaf(ScriptedEngine):
    """An engine that cannot be told its pace."""

    def pace(self, _duty: float, _period_seconds: float) -> None:
        """As a process that is just ending."""
        raise OSError("no pipe")


def test_an_engine_that_takes_no_pace_ends_nothing(tmp_path):
    """The next answer is told as ever."""

    async def work():
        async with running(Board("phone", tmp_path, engine=Deaf())) as board:
            board.planted.change("sys/class/power_supply/battery/capacity", "15\n")
            board.planted.change("sys/class/power_supply/battery/status", "Discharging\n")
            await asyncio.sleep(MINUTES)
            assert (await board.answer("q"))["code"] == 200
            assert "no pipe" in board.said("telemetry")[-1]["governor"]["reason"]

    simulated(work())


class Slow:
    """The board's own source, on a disk that is busy for a while."""

    name = "board"
    period_seconds = 0.0

    def __init__(self) -> None:
        self.may_say = threading.Event()

    def read(self, _files: Files) -> Mapping[str, Any]:
        """Once it may."""
        self.may_say.wait(20)
        return {"model": "Raspberry Pi 5", "kind": "raspberry-pi-5", "uptime_seconds": 1.0}


def test_the_board_is_waited_for_before_it_is_judged(tmp_path):
    """A start that keeps the disk busy makes no unknown board of a Raspberry Pi, whose limit is another."""

    async def work():
        slow = Slow()
        async with running(Board("pi5", tmp_path, sources=(slow,))) as board:
            await asyncio.sleep(1.5)
            assert board.daemon._guard.decision.limit_celsius is None
            slow.may_say.set()
            await asyncio.sleep(2.5)
            assert board.daemon._guard.decision.limit_celsius == 77

    asyncio.run(work())


def test_a_cap_that_nobody_takes_is_not_told(tmp_path, caplog):
    """Its helper is gone: the reason says so, no answer is said to be capped, and the log says it once."""

    async def work():
        board = Board("pi5", tmp_path)
        (board.planted.root / CLOCKS).parent.mkdir(parents=True, exist_ok=True)
        board.planted.change(CLOCKS, "1500000 2000000 2400000\n")
        board.planted.change(str(Path(CLOCKS).with_name("cpuinfo_max_freq")), "2400000\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(board.clock))
        async with running(board):  # nobody listens any more
            board.engine.pause_seconds = 200
            board.ask("slow")
            for celsius in (60, 65, 69, 72, 73, 74, 74):
                board.planted.change(ZONE, f"{celsius}000\n")
                await asyncio.sleep(10)
            told = board.said("telemetry")[-1]["governor"]
            assert (told["state"], told["clock_cap_hertz"]) == ("slowed", None)
            assert "cannot be told" in told["reason"]
            assert caplog.text.count("cannot be told: ") == 1

    simulated(work())


def test_a_reading_that_is_held_up_says_nothing_of_now():
    """After ten seconds; a battery's, which is read once a minute, after three minutes."""
    readings = {"thermal": {"age_seconds": 11}, "memory": {"age_seconds": 9}, "battery": {"age_seconds": 90}, "cpu": {}}
    assert set(fresh(readings)) == {"memory", "battery", "cpu"}
    assert fresh({"battery": {"age_seconds": 181}}) == {}


class Hanging(Thermal):
    """A board's sensors, whose driver hangs for as long as `hangs` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = False

    def read(self, files: Files) -> Mapping[str, Any]:
        """Some day."""
        while self.hangs:
            time.sleep(0.1)
        return super().read(files)


@pytest.mark.slow
def test_a_driver_that_hangs_makes_the_governor_blind(tmp_path):
    """The last temperature before is not taken for the one that is."""

    async def work():
        hanging = Hanging()
        board = Board("pi5", tmp_path, sources=(hanging,))
        async with running(board):
            await asyncio.sleep(2)
            assert board.daemon._guard.decision.state == "free"
            hanging.hangs, deadline = True, time.monotonic() + 40
            while board.daemon._guard.decision.state != "blind" and time.monotonic() < deadline:
                await asyncio.sleep(0.5)
            assert board.daemon._guard.decision.state == "blind"
            hanging.hangs = False

    asyncio.run(work())


PASSIVE, CRITICAL = {"type": "passive"}, {"type": "critical", "celsius": 110.0}


@pytest.mark.parametrize(
    ("zones", "trips", "limit", "found"),
    [
        ({"a": 50.0, "b": 40.0}, {}, 85, (50.0, None)),
        ({"a": 50.0}, {"a": [CRITICAL]}, 85, (50.0, None)),
        ({"cpu": 70.0, "skin": 40.0}, {"cpu": [{**PASSIVE, "celsius": 95.0}], "skin": [{**PASSIVE, "celsius": 55.0}]},
         90, (80.0, 95.0)),
        ({"cpu": 70.0, "skin": 40.0}, {"skin": [{**PASSIVE, "celsius": 55.0}]}, 90, (75.0, 90)),
        ({"cpu": None, "skin": None}, {"skin": [{**PASSIVE, "celsius": 55.0}]}, 90, (70.0, None)),
        ({"cpu": 70.0, "skin": 54.0}, {"skin": [{**PASSIVE, "celsius": 55.0}]}, None, (70.0, None)),
    ],
)  # fmt: skip
def test_each_zone_is_held_to_its_own_limit(zones, trips, limit, found):
    """A skin's trip is not the processor's; what has none has the usual; where one limit holds for all it is that."""
    assert heat(
        {"zones_celsius": zones, "hottest_celsius": 70.0 if "cpu" in zones else 50.0, "trips": trips}, limit
    ) == (found)


@pytest.mark.parametrize(
    ("status", "found"),
    [("charging", True), ("full", True), ("not charging", True), ("discharging", False), (None, None)],
)
def test_what_is_plugged_in_is_not_spared(status, found):
    """An old laptop that serves at its charger, and charges no more, is none that runs out."""
    assert is_supplied(status) is found


def flickers(look: int) -> bool:
    """At seven looks of eight, in an order that no step through the looks meets again, however many look in turns."""
    return zlib.crc32(look.to_bytes(4)) % 8 > 0


class Flickering:
    """A board at its limit: throttled at most looks, and now and then not."""

    name = "throttling"
    period_seconds = 0.0

    def __init__(self) -> None:
        self.is_calm, self.looks = False, 0

    def read(self, _files: Files) -> Mapping[str, Any]:
        """Its flags."""
        self.looks += 1
        on = not self.is_calm and flickers(self.looks)
        return {"now": {"throttled": on, "under_voltage": False}, "since_start": {}, "told_by": "counters"}


class Loose:
    """A sensor with a loose wire."""

    name = "battery"
    period_seconds = 0.0

    def __init__(self) -> None:
        self.looks = 0

    def read(self, _files: Files) -> Mapping[str, Any]:
        """Now and then."""
        self.looks += 1
        if flickers(self.looks):
            raise ValueError("no word")
        return {}


def test_what_flickers_is_told_once(tmp_path):
    """An hour at the limit, and a sensor that comes and goes, are an event each; the end is one, once it stays away."""

    async def work():
        flickering = Flickering()
        async with running(Board("pi5", tmp_path, sources=(flickering, Loose()))) as board:
            await asyncio.sleep(10 * MINUTES)
            assert board.events("throttled") == [{"is_on": True}]
            assert board.events("sensor_failed") == [{"is_on": True, "sensor": "battery"}]
            flickering.is_calm = True
            await asyncio.sleep(MINUTES)
            assert board.events("throttled") == [{"is_on": True}, {"is_on": False}]

    simulated(work())


class Large(ScriptedEngine):
    """An engine whose model leaves little of the board."""

    def __init__(self, board_says: Callable[[int], None], left_percent: int) -> None:
        super().__init__()
        self._says, self._left = board_says, left_percent

    async def start(self) -> None:
        """In ten seconds, in which memory goes."""
        self._says(self._left)
        await asyncio.sleep(10)
        await super().start()

    async def stop(self) -> None:
        """Memory comes back."""
        await super().stop()
        self._says(80)


def test_a_board_that_its_model_fills_serves(tmp_path):
    """A 3 GB model on 4 GB: at 4 % available, as ever since it was loaded, long prompts are taken, hour after hour."""

    async def work():
        def says(percent: int) -> None:
            total = 4_000_000
            text = f"MemTotal: {total} kB\nMemAvailable: {total * percent // 100} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
            board.planted.change("proc/meminfo", text)

        board = Board("pi5", tmp_path, engine=Large(says, 4))
        async with running(board):
            await asyncio.sleep(15)
            for number in range(30):
                assert (await board.answer(f"q{number}", prompt="x" * 5000))["code"] == 200
                await asyncio.sleep(2 * MINUTES)
            assert (board.engine.starts, board.engine.eased) == (1, 0)
            says(0)  # now somebody else takes what was left
            await asyncio.sleep(5)
            assert (await board.answer("late"))["code"] == 503

    simulated(work())


def test_what_is_free_for_a_moment_is_not_the_usual():
    """As an engine ends its memory comes back before it is known to have ended; what three looks show counts."""
    room, total = Room(), 100

    def look(available: int, is_up: bool | None = True) -> float | None:
        return room.available({"total_bytes": total, "available_bytes": available}, is_up)

    assert [look(5, None), look(5), look(6), look(5)] == [None, None, None, 0.05]
    assert [look(80), look(80), look(80, is_up=False), look(80), look(5)] == [0.8, 0.8, 0.8, 0.8, 0.05]
    assert (look(70, None), room.usual) == (None, 0.05)
    assert Room().available({}, is_up=True) is None
