"""The daemon's own weight, without the engine's process, and how fast the command line is there."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.figure import Figure
from edge.board.memory import process_memory
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.mqtt.client import Client

ROUNDS = 5


def measure(bundle: Path) -> list[Figure]:
    """Resident memory after three answers; the median of five `edge --help`."""
    resident = asyncio.run(resident_bytes(bundle))
    return [
        Figure("parent_rss_mb", round(resident / 1e6, 2), "MB", "<", 45),
        Figure("help_seconds", round(statistics.median(help_seconds() for _ in range(ROUNDS)), 3), "s", "<", 0.3),
    ]


async def resident_bytes(bundle: Path, **changed: str) -> int:
    """VmRSS of the daemon's parent process. changed: settings by their variables' names."""
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, **changed) as daemon,
        Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) as client,
    ):
        await wait_until_online(client, daemon)
        for _ in range(3):
            async for _body in client.ask({"prompt": "Tell a story.", "max_tokens": 64, "loop_guard": False}):
                pass
        return process_memory(daemon.pid)["VmRSS"]


def help_seconds() -> float:
    """One `edge --help`."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "edge", "--help"], stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - started
