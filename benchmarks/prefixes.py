"""The first token of a request whose first 1,000 tokens are known: in memory, and from disk after a restart."""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.rounds import ROUNDS
from edge.commands.bench import WORDS
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.mqtt.client import Client

HEAD_WORDS = 1020


def measure(bundle: Path) -> list[Figure]:
    """Over MQTT, as the asker sees it: medians of warm over cold."""
    memory, disk, tokens = asyncio.run(ratios(bundle))
    return [
        Figure("warm_prefix_tokens", tokens, "tokens", ">=", 1000),
        Figure("warm_prefix_in_memory_over_cold", round(statistics.median(memory), 4), "ratio", "<=", 0.05),
        Figure("warm_prefix_from_disk_over_cold", round(statistics.median(disk), 4), "ratio", "<=", 0.15),
    ]


async def ratios(bundle: Path) -> tuple[list[float], list[float], int]:
    """Each round: a new head, cold, then in memory, then after a restart."""
    memory, disk, tokens = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        kept = {"EDGE_ENGINE__CACHE_FOLDER": folder, "EDGE_ENGINE__PREFIX_DISK_BYTES": str(1 << 30)}
        async with broker_process() as (port, _):
            for number in range(ROUNDS):
                head = " ".join(random.Random(number).choices(WORDS, k=HEAD_WORDS))
                async with daemon_process(bundle, port, **kept) as daemon:
                    cold, warm, again = await first_tokens(port, daemon, head, ("Hi.", "Why is that?", "Who was it?"))
                async with daemon_process(bundle, port, **kept) as daemon:
                    (restarted,) = await first_tokens(port, daemon, head, ("And when?",))
                memory.append(statistics.mean((warm[0], again[0])) / cold[0])
                disk.append(restarted[0] / cold[0])
                tokens.append(restarted[1])
                line = (
                    f"  cold {cold[0]:.3f} s, in memory {warm[0]:.3f} and {again[0]:.3f}, from disk {restarted[0]:.3f}"
                )
                print(line, file=sys.stderr, flush=True)
    return memory, disk, min(tokens)


async def first_tokens(
    port: int, daemon: asyncio.subprocess.Process, head: str, questions: tuple[str, ...]
) -> list[tuple[float, int]]:
    """Seconds to the first token of each question behind a head, and how many of its prompt's tokens were known."""
    found = []
    async with Client(Broker(port=port, username="asker"), DEVICE, (f"edge/{DEVICE}/status",)) as client:
        await wait_until_online(client, daemon)
        for question in questions:
            bodies = [body async for body in client.ask({"system": head, "prompt": question, "max_tokens": 2})]
            timings = bodies[-1]["timings"]  # an answer may end at once, and have no first piece
            first = timings["queue_seconds"] + timings["prefill_seconds"]
            found.append((first, bodies[-1]["usage"]["cached_tokens"]))
    return found
