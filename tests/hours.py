"""Hours of lost connections in a few seconds, on a simulated clock."""

from __future__ import annotations

import asyncio
import gc
import json
from dataclasses import dataclass
from pathlib import Path

from edge.board.cpu import Cpu
from edge.board.instruments import Instruments
from edge.board.memory import Memory
from edge.board.sensors import Sensors
from edge.config import Limits, Settings
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, SimulatedLoop, scripted_manifest
from edge.wire.message import Message

CUTS_PER_HOUR = 12
AWAY_SECONDS = 60.0
OBJECTS = 200
"""What a process may hold more at one moment than at another; a leak would be one for each of the requests."""


@dataclass
class Day:
    """What a day left behind. Growth is from the second hour to the last."""

    hours: float
    descriptors_grown: int
    objects_grown: int


def day(folder: Path, hours: int) -> Day:
    """Ten requests every five minutes and the connection lost among them; AssertionError where one is not answered."""

    async def work() -> list[tuple[int, int]]:
        transport, engine = MemoryTransport(), ScriptedEngine(pause_seconds=0.5)
        settings = Settings(device="pi", limits=Limits(queue_length=100, queue_per_client=100))
        journal = JournalFile(folder / "pi.journal")
        service = Daemon(
            settings,
            Seat(Served(scripted_manifest(), engine)),
            transport,
            Instruments(Sensors([Cpu(), Memory()])),
            journal,
        )
        running, held = asyncio.create_task(service.run()), []
        for hour in range(hours):
            for cut in range(CUTS_PER_HOUR):
                await one_cut(transport, f"{hour}-{cut}")
            engine.jobs.clear()
            gc.collect()
            held.append((len(list(Path("/proc/self/fd").iterdir())), len(gc.get_objects())))
        service.stop()
        await running
        return held

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        held = runner.run(work())
        passed = runner.get_loop().time()
    return Day(passed / 3600, held[-1][0] - held[1][0], held[-1][1] - held[1][1])


async def one_cut(transport: MemoryTransport, name: str) -> None:
    """Five minutes: requests, the connection lost for one of them, and what had been asked is answered after it."""
    transport.published.clear()
    transport.acknowledged.clear()
    for number in range(10):
        transport.arrive(Message("edge/pi/request", json.dumps({"prompt": "x", "id": f"{name}-{number}"}).encode(), 1))
    await asyncio.sleep(3)
    transport.lose()
    before = len(transport.bodies("reply"))
    await asyncio.sleep(AWAY_SECONDS)
    assert before < 10
    assert len(transport.bodies("reply")) == before, "nothing goes out without a connection"
    transport.start()
    await asyncio.sleep(300 - 3 - AWAY_SECONDS)
    assert [body["id"] for body in transport.bodies("reply")] == [f"{name}-{number}" for number in range(10)]
