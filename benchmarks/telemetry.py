"""What the board tells of itself: whether it is right, what it costs, and whether it comes on time."""

from __future__ import annotations

import asyncio
import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import parent
from benchmarks.figure import Figure
from edge.board.sensors import Sensors
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.config import Telemetry as Settings
from edge.mqtt.client import Client
from tests import boards
from tests.conftest import free_port

SETTLE_SECONDS, IDLE_SECONDS = 5, 60
LOOKS = 2000
PREFILL_SECONDS = 30
PERIOD_SECONDS = 0.25
ASKERS = 2
"""So that a prompt always waits while another is read."""
PROMPT = "the keeper climbs the stairs of the tower and lights the lamp again " * 275
"""About 3,850 tokens of the default model, whose context has 4,096."""
EVERYTHING = {
    "EDGE_TELEMETRY__PERIOD_SECONDS": "0.5",
    "EDGE_HOME_ASSISTANT__ANNOUNCE": "true",
    "EDGE_LIMITS__COMMANDS": "true",
}
"""Settings that turn on all that a daemon can have on, but for where Prometheus finds it."""


def measure(bundle: Path) -> list[Figure]:
    """Boards read right; time and processor that a look takes; the daemon's memory; lateness while prompts are read."""
    told = read()
    right = sum(told[name] == boards.expected(name) for name in boards.NAMES)
    milliseconds, percent = asyncio.run(looks())
    late, seconds = asyncio.run(lateness(bundle))
    return [
        Figure("boards_read_right", right, "boards", "==", len(boards.NAMES)),
        Figure("hostile_board_errors", sum(told["hostile"]["errors"].values()), "errors", "==", boards.HOSTILE_ERRORS),
        Figure("telemetry_look_p99_ms", round(milliseconds, 2), "ms", "<", 10),
        Figure("telemetry_core_percent", round(percent, 3), "%", "<", 1),
        Figure("daemon_idle_core_percent", round(asyncio.run(idle_percent(bundle)), 3), "%", "<", 1),
        Figure("telemetry_daemon_rss_mb", round(on_a_board(bundle) / 1e6, 2), "MB", "<", 50),
        Figure("long_prefill_seconds", round(seconds, 1), "s", ">=", PREFILL_SECONDS),
        Figure("long_prefill_late_over_period", round(late / PERIOD_SECONDS, 3), "ratio", "<", 1),
    ]


def read() -> dict[str, dict[str, Any]]:
    """One look at each board."""
    with tempfile.TemporaryDirectory() as folder:
        return {name: boards.body(name, Path(folder) / name) for name in boards.NAMES}


async def looks() -> tuple[float, float]:
    """At the board with the most files: milliseconds of the slowest look in a hundred, percent of a core at the pace.

    Sources that have a tempo of their own are not waited for, and not looked at; the processor's time is all threads'.
    """
    with tempfile.TemporaryDirectory() as folder:
        board = boards.plant(max(boards.NAMES, key=lambda name: len(boards.files_of(name))), Path(folder))
        fast = [source for source in boards.sources(board) if not source.period_seconds]
        sensors, began = Sensors(fast, board.root, board.read), time.process_time()
        slowest = await slowest_look(sensors)
        spent = (time.process_time() - began) / LOOKS
    return 1000 * slowest, 100 * spent / Settings().period_seconds


async def slowest_look(sensors: Sensors) -> float:
    """Seconds, 99th percentile."""
    times = []
    for _ in range(LOOKS):
        started = time.perf_counter()
        await sensors.look()
        times.append(time.perf_counter() - started)
    return sorted(times)[math.ceil(0.99 * LOOKS) - 1]


def on_a_board(bundle: Path) -> int:
    """VmRSS of a daemon with everything on, after three answers, on the board with the most files."""
    with tempfile.TemporaryDirectory() as folder:
        board = boards.plant(max(boards.NAMES, key=lambda name: len(boards.files_of(name))), Path(folder))
        places = {
            "EDGE_TELEMETRY__ROOT": str(board.root),
            "EDGE_PROMETHEUS__TEXTFILE": f"{folder}/edge.prom",
            "EDGE_PROMETHEUS__ADDRESS": f"127.0.0.1:{free_port()}",
        }
        return asyncio.run(parent.resident_bytes(bundle, **EVERYTHING, **places))


async def idle_percent(bundle: Path) -> float:
    """Of one core, by the whole daemon at its default pace on the board with the most files, while nobody asks."""
    with tempfile.TemporaryDirectory() as folder:
        board = boards.plant(max(boards.NAMES, key=lambda name: len(boards.files_of(name))), Path(folder))
        async with (
            broker_process() as (port, _),
            daemon_process(bundle, port, EDGE_TELEMETRY__ROOT=str(board.root)) as daemon,
            Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) as client,
        ):
            await wait_until_online(client, daemon)
            await asyncio.sleep(SETTLE_SECONDS)
            before = worked_seconds(daemon.pid)
            await asyncio.sleep(IDLE_SECONDS)
            return 100 * (worked_seconds(daemon.pid) - before) / IDLE_SECONDS


def worked_seconds(pid: int) -> float:
    """A process's time on the processor, all threads' (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def lateness(bundle: Path) -> tuple[float, float]:
    """Seconds by which the latest message was late; for how many prompts were read one after the other."""
    topics = (f"edge/{DEVICE}/status", f"edge/{DEVICE}/telemetry")
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, EDGE_TELEMETRY__PERIOD_SECONDS=str(PERIOD_SECONDS)) as daemon,
        Client(Broker(port=port), DEVICE, topics) as client,
    ):
        await wait_until_online(client, daemon)
        late: list[float] = []
        watching, began = asyncio.create_task(watch(client, late)), time.monotonic()
        await asyncio.gather(*(ask(port, number, began + PREFILL_SECONDS) for number in range(ASKERS)))
        watching.cancel()
        return max(late), time.monotonic() - began


async def watch(client: Client, late: list[float]) -> None:
    """Note how much later than a period after the one before each message of telemetry comes."""
    last = time.monotonic()
    async for message in client.messages():
        if message.topic == client.topics.telemetry:
            now, body = time.monotonic(), json.loads(message.payload)
            late.append(max(body["late_seconds"], now - last - PERIOD_SECONDS))
            last = now


async def ask(port: int, number: int, until: float) -> None:
    """Long prompts that nobody has asked before, for answers of one token."""
    async with Client(Broker(port=port), DEVICE) as asker:
        count = 0
        while time.monotonic() < until:
            count += 1
            request = {"prompt": f"{number}, {count}: {PROMPT}", "max_tokens": 1}
            codes = [body["code"] async for body in asker.ask(request) if body["type"] == "reply"]
            if codes != [200]:
                raise RuntimeError(f"a long prompt was answered with {codes}")
