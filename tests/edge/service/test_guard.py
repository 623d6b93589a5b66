"""The daemon on whole boards of tests/boards: what the governor decides is done, told, and taken back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge import __version__
from edge.board.clock import Clock
from edge.board.files import Files
from edge.board.instruments import Instruments
from edge.board.power import Meter, Taken
from edge.board.sensors import Sensors
from edge.board.source import Source
from edge.board.wattmeter import Wattmeter
from edge.config import Settings
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, SimulatedLoop, scripted_manifest
from edge.wire.message import Message
from tests import boards

ZONE = "sys/class/thermal/thermal_zone0/temp"
CHIPS = [f"sys/class/hwmon/hwmon{number}/temp1_input" for number in (0, 1)]
CLOCKS = "sys/devices/system/cpu/cpufreq/policy0/scaling_available_frequencies"
MINUTES = 60.0


class Steady(Meter):
    """A board that takes so many watts."""

    period_seconds = 0.02

    def __init__(self, watts: float) -> None:
        self.watts = watts

    def take(self, _files: Files) -> Taken | None:
        """Always the same."""
        return Taken(self.watts, "module")


class Board:
    """A daemon on a planted board, over a transport in memory."""

    def __init__(
        self,
        name: str,
        folder: Path,
        meters: tuple[Meter, ...] = (),
        engine: ScriptedEngine | None = None,
        sources: tuple[Source, ...] = (),
        **settings: Any,
    ) -> None:
        """sources: instead of the board's own of these names."""
        self.planted = boards.plant(name, folder / "board")
        self.engine, self.transport = engine or ScriptedEngine(), MemoryTransport()
        self.clock = folder / "clock.socket"
        instruments = Instruments(
            Sensors([*boards.sources(self.planted), *sources], self.planted.root, self.planted.read),
            Wattmeter(meters, self.planted.root),
            Clock(self.clock),
        )
        made = Settings(device="pi", telemetry={"root": self.planted.root, "period_seconds": 5}, **settings)
        manifest, journal = scripted_manifest(), JournalFile(None)
        self.daemon = Daemon(made, Seat(Served(manifest, self.engine)), self.transport, instruments, journal)

    def ask(self, name: str, **fields: Any) -> None:
        """A request arrives."""
        self.transport.arrive(Message("edge/pi/request", json.dumps({"prompt": "x", "id": name, **fields}).encode()))

    async def answer(self, name: str, **fields: Any) -> dict[str, Any]:
        """Its terminal message."""
        self.ask(name, **fields)
        while not (found := [each for each in self.transport.bodies("reply") if each["id"] == name]):
            await asyncio.sleep(0.05)
        return found[0]

    def said(self, kind: str) -> list[dict[str, Any]]:
        """What was published on one of the board's topics."""
        return [json.loads(each.payload) for each in self.transport.published if each.topic == f"edge/pi/{kind}"]

    def events(self, name: str) -> list[dict[str, Any]]:
        """Those of one name, without their time."""
        found = [each for each in self.said("event") if each["event"] == name]
        return [{key: value for key, value in each.items() if key not in ("time", "reason", "event")} for each in found]


@contextlib.asynccontextmanager
async def running(board: Board) -> AsyncIterator[Board]:
    """It runs for the length of the block."""
    task = asyncio.create_task(board.daemon.run())
    try:
        yield board
    finally:
        board.daemon.stop()
        await task


def simulated(work) -> None:
    """An async test whose minutes pass at once."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        runner.run(work)


def test_a_cool_board_is_left_alone(tmp_path):
    """Not a word to the engine in a quarter of an hour of answers, nor to an asker; nothing is an event."""

    async def work():
        async with running(Board("pi5", tmp_path)) as board:
            for number in range(3):
                assert "slowed" not in await board.answer(f"q{number}")
                await asyncio.sleep(5 * MINUTES)
            assert (board.engine.duties, board.engine.eased, board.engine.starts) == ([], 0, 1)
            assert board.said("event") == []
            told = board.said("telemetry")[-1]["governor"]
            assert (told["state"], told["duty"], told["reason"]) == ("free", 1.0, "")

    simulated(work())


def test_a_hot_board_is_slowed_and_let_go(tmp_path):
    """Told to the engine, in telemetry, by an event and in the answers that it slowed; all of it is taken back."""

    async def work():
        async with running(Board("pi5", tmp_path)) as board:
            board.engine.pause_seconds = 60
            board.ask("slow")
            for celsius in (60, 66, 71, 75, 78, 80, 81):
                board.planted.change(ZONE, f"{celsius}000\n")
                await asyncio.sleep(15)
            assert board.engine.duties
            assert board.engine.duties[-1] < 1
            told = board.said("telemetry")[-1]["governor"]
            assert told["state"] == board.said("status")[-1]["governor"] == "slowed"
            assert "77 °C" in told["reason"]
            await asyncio.sleep(MINUTES)
            (reply,) = board.transport.bodies("reply")
            assert reply["slowed"]["duty"] == min(board.engine.duties)
            board.planted.change(ZONE, "45000\n")
            await asyncio.sleep(15 * MINUTES)
            assert board.engine.duties[-1] == 1
            assert "governor" not in board.said("status")[-1]
            board.engine.pause_seconds = 0
            assert "slowed" not in await board.answer("fast")
            assert board.events("governor") == [{"state": "slowed"}, {"state": "free"}]

    simulated(work())


def test_the_clock_comes_first_where_a_helper_listens(tmp_path):
    """Its socket gets kilohertz of the board's own steps, and at last the word of no cap; the engine gets none."""

    async def work():
        board = Board("pi5", tmp_path)
        (board.planted.root / CLOCKS).parent.mkdir(parents=True, exist_ok=True)
        board.planted.change(CLOCKS, "1500000 1600000 1700000 1800000 2000000 2200000 2400000\n")
        board.planted.change(str(Path(CLOCKS).with_name("cpuinfo_max_freq")), "2400000\n")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.bind(str(board.clock))
            channel.setblocking(False)
            async with running(board):
                board.engine.pause_seconds = 200
                board.ask("slow")
                for celsius in (60, 65, 69, 72, 73, 74, 74):
                    board.planted.change(ZONE, f"{celsius}000\n")
                    await asyncio.sleep(10)
                words = received(channel)
                assert words
                assert set(words) <= {"1500000", "1600000", "1700000", "1800000", "2000000", "2200000"}
                assert board.engine.duties == []
                board.planted.change(ZONE, "45000\n")
                await asyncio.sleep(15 * MINUTES)
                assert received(channel)[-1] == "0"

    simulated(work())


def received(channel: socket.socket) -> list[str]:
    """What has come."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(channel.recv(32).decode())
    return found


def pressed(board: Board, some: float) -> None:
    """So much waiting for memory, in percent."""
    board.planted.change("proc/pressure/memory", f"some avg10={some:.2f} avg60=0.00 avg300=0.00 total=1\n" + FULL)


FULL = "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"


def test_memory_is_given_back_then_long_prompts_refused_then_all(tmp_path):
    """A rung at a time, and back; an engine that is not needed ends, and comes back for the next request."""

    async def work():
        async with running(Board("pi5", tmp_path)) as board:
            await board.answer("first")
            pressed(board, 15)
            await asyncio.sleep(30)
            assert board.engine.eased > 1
            assert (await board.answer("long", prompt="x" * 5000))["code"] == 200
            pressed(board, 25)
            await asyncio.sleep(6)
            refused = await board.answer("too long", prompt="x" * 5000)
            assert (refused["code"], refused["error"]["retry_after"]) == (503, 30)
            assert "2000 bytes at most" in refused["error"]["message"]
            assert (await board.answer("short"))["code"] == 200
            pressed(board, 50)
            await asyncio.sleep(6)
            assert (await board.answer("any"))["code"] == 503
            await asyncio.sleep(60)
            assert not board.engine.alive
            assert board.said("status")[-1]["state"] == "unloaded"
            pressed(board, 0)
            await asyncio.sleep(10 * MINUTES)
            assert not board.engine.alive  # nobody has asked
            assert (await board.answer("again"))["code"] == 200
            assert board.said("status")[-1]["state"] == "online"
            assert board.events("low_memory") == [{"is_on": True}, {"is_on": False}]

    simulated(work())


@pytest.mark.parametrize(
    ("level", "status", "duties", "code"),
    [(15, "Discharging", [0.5], 200), (8, "Discharging", [0.5], 503), (8, "Charging", [], 200)],
)
def test_what_a_phone_has_left_is_kept(tmp_path, level, status, duties, code):
    """Below a fifth it works half, below a tenth it lets nobody in; charged it is as it ever was."""

    async def work():
        board = Board("phone", tmp_path)
        board.planted.change("sys/class/power_supply/battery/capacity", f"{level}\n")
        board.planted.change("sys/class/power_supply/battery/status", f"{status}\n")
        async with running(board):
            await asyncio.sleep(10)
            assert board.engine.duties == duties
            reply = await board.answer("q")
            assert reply["code"] == code
            assert code == 200 or "the battery has less than 10 %" in reply["error"]["message"]

    simulated(work())


def test_a_sensor_that_fails_slows_nobody(tmp_path):
    """Full speed, an event, and the reading says that it is blind; when it is well again, so does it."""

    async def work():
        async with running(Board("pi5", tmp_path)) as board:
            await asyncio.sleep(10)
            for path in (ZONE, *CHIPS):
                board.planted.change(path, "garbage\n")
            await asyncio.sleep(2 * MINUTES)
            assert board.engine.duties == []
            assert board.said("telemetry")[-1]["governor"]["state"] == "blind"
            board.planted.change(ZONE, "50000\n")
            for path in CHIPS:
                board.planted.change(path, "50000\n")
            await asyncio.sleep(MINUTES)
            assert board.events("governor") == [{"state": "blind"}, {"state": "free"}]
            assert [each["is_on"] for each in board.events("sensor_failed")] == [True, False]

    simulated(work())


def test_a_governor_that_is_off_does_nothing(tmp_path):
    """However hot it is."""

    async def work():
        async with running(Board("pi5", tmp_path, governor={"enabled": False})) as board:
            board.planted.change(ZONE, "95000\n")
            await board.answer("q")
            await asyncio.sleep(2 * MINUTES)
            assert board.engine.duties == []
            assert board.said("telemetry")[-1]["governor"]["state"] == board.said("status")[-1]["governor"] == "off"

    simulated(work())


class Slow(ScriptedEngine):
    """One whose model takes a minute to load."""

    async def start(self) -> None:
        """In a minute."""
        await asyncio.sleep(MINUTES)
        await super().start()


def test_a_board_that_is_slowed_before_it_serves_does_not_say_that_it_serves(tmp_path, monkeypatch):
    """`systemctl status` shows how far the start is until the model is there."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(tmp_path / "notify"))
    listening.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

    async def work():
        board = Board("phone", tmp_path, engine=Slow())
        board.planted.change("sys/class/power_supply/battery/capacity", "15\n")
        board.planted.change("sys/class/power_supply/battery/status", "Discharging\n")
        async with running(board):
            await asyncio.sleep(MINUTES / 2)
            assert board.said("status")[-1] == {"state": "loading", "version": __version__, "governor": "slowed"}
            told = []
            with contextlib.suppress(BlockingIOError):
                while True:
                    told.append(listening.recv(4096))
            assert any(b"loading the model" in each for each in told)
            assert not any(b"serving" in each for each in told)

    with listening:
        simulated(work())


def test_the_energy_of_an_answer_is_told(tmp_path):
    """Joules over its time, those above idle apart; the next telemetry has joules a token."""

    async def work():
        board = Board("pi5", tmp_path, (Steady(10.0),))
        async with running(board):
            await asyncio.sleep(0.2)
            board.engine.pause_seconds = 0.3
            began = time.monotonic()
            energy = (await board.answer("q"))["energy"]
            passed = time.monotonic() - began
            assert energy["scope"] == "module"
            assert not energy["is_shared"]
            assert 0.5 * 10 <= energy["gross_joules"] <= 10 * passed
            assert energy["net_joules"] is None  # it was never quiet for long

    asyncio.run(work())


@pytest.mark.parametrize("is_allowed", [True, False])
def test_the_engine_is_told_what_to_do_where_that_is_allowed(tmp_path, is_allowed):
    """Restart and unload, once nothing runs; restart brings an unloaded one back, which is no failure of it.

    Other words and retained ones are refused, and nothing else is changed.
    """

    async def work():
        async with running(Board("vm", tmp_path, limits={"commands": is_allowed})) as board:
            await board.answer("q")
            command = board.daemon._topics.command
            board.transport.arrive(Message(command, b"restart"))
            await asyncio.sleep(1)
            assert board.engine.starts == (2 if is_allowed else 1)
            board.transport.arrive(Message(command, b"unload\n"))
            await asyncio.sleep(1)
            assert board.engine.alive is not is_allowed
            board.transport.arrive(Message(command, b"restart"))
            await asyncio.sleep(1)
            assert board.engine.alive
            board.transport.arrive(Message(command, b"unload"))
            await asyncio.sleep(1)
            assert (await board.answer("wakes"))["code"] == 200
            for message in (Message(command, b"explode"), Message(command, b"restart", retain=True)):
                board.transport.arrive(message)
            await asyncio.sleep(1)
            codes = [each["code"] for each in board.transport.bodies("reply")]
            assert codes.count(400) == (2 if is_allowed else 0)
            assert board.engine.starts == (4 if is_allowed else 1)
            assert [each["event"] for each in board.said("event")] == ["engine_recycled"] * is_allowed

    simulated(work())
