"""Eight clients at once: ours over MQTT, llama-server over HTTP, the same questions, on the same machine, in turns."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import llama_cpp
from benchmarks.alone import SAME_BITS
from benchmarks.figure import Figure
from benchmarks.reference import dithered
from benchmarks.rounds import ROUNDS, median_ratio
from edge.bench import served, through_mqtt
from edge.client import Client
from edge.engine import budget
from export.download import default_cache
from tests.conftest import free_port

CLIENTS, TOKENS = 8, 96
SUBJECTS = ("a lighthouse", "the sea", "an old ship", "a storm", "a harbour", "two islands", "a whale", "the moon")
SLOWEST = 1.2
"""Of equal clients, over the fastest one's time."""


def measure(bundle: Path) -> list[Figure]:
    """Tokens a second of all eight, ours over llama-server's and over one client's; the slowest over the fastest."""
    file = llama_cpp.quantized(llama_cpp.build(), dithered(), default_cache() / "llama-cpp-files", SAME_BITS)
    eight, one, spread, theirs = asyncio.run(in_turns(bundle, file))
    return [
        Figure("eight_clients_over_llama_cpp", round(median_ratio(eight, theirs), 3), "ratio", ">=", 1.2),
        Figure("eight_clients_over_one", round(median_ratio(eight, one), 3), "ratio", ">=", 3),
        Figure("slowest_of_eight_over_fastest", round(statistics.median(spread), 3), "ratio", "<=", SLOWEST),
    ]


async def in_turns(bundle: Path, file: Path) -> tuple[list[float], list[float], list[float], list[float]]:
    """Each round's rates: eight of ours, one of ours; slowest over fastest; eight of theirs."""
    eight, one, spread, theirs = [], [], [], []
    async with served(bundle, CLIENTS) as clients:
        with server(file) as port:
            for number in range(ROUNDS):
                questions = asked(number)

                async def ours(questions: list[str] = questions) -> None:
                    rate, times = await over_mqtt(clients, questions)
                    eight.append(rate)
                    spread.append(max(times) / min(times))
                    rate, _ = await over_mqtt(clients[:1], questions[:1])
                    one.append(rate)

                async def others(questions: list[str] = questions) -> None:
                    theirs.append(await asyncio.to_thread(over_http, port, questions))

                for turn in (ours, others) if number % 2 else (others, ours):
                    await turn()
    return eight, one, spread, theirs


def asked(number: int) -> list[str]:
    """A round's questions: as long as each other, and new to every cache."""
    chance = random.Random(number)
    words = chance.sample(SUBJECTS, CLIENTS)
    return [f"Round {number}. Write a very long story about {word}, with many details." for word in words]


async def over_mqtt(clients: Sequence[Client], questions: Sequence[str]) -> tuple[float, list[float]]:
    """Tokens a second of all answers together, and how long each took that has the full length."""
    ended = await through_mqtt(clients, questions, TOKENS)
    full = [each.seconds for each in ended if each.tokens == TOKENS]
    seconds = [each.seconds for each in ended]
    return sum(each.tokens for each in ended) / max(seconds), full or seconds


@contextlib.contextmanager
def server(file: Path) -> Iterator[int]:
    """llama-server with a slot for each client; its port."""
    port = free_port()
    command = [str(llama_cpp.build() / "llama-server"), "-m", str(file), "-np", str(CLIENTS), "-c", str(CLIENTS * 1024)]
    command += ["--port", str(port), "-fa", "on", "-t", str(budget.threads(0)), "--no-webui", "--log-disable"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_healthy(port)
        yield port
    finally:
        process.terminate()
        process.wait()


def wait_until_healthy(port: int) -> None:
    """Return once it has loaded its model."""
    for _ in range(300):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return
        time.sleep(0.2)
    raise RuntimeError("llama-server did not start")


def over_http(port: int, questions: list[str]) -> float:
    """Tokens a second of all answers together."""

    def one(question: str) -> int:
        body = {"messages": [{"role": "user", "content": question}], "max_tokens": TOKENS, "temperature": 0}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as reply:
            return int(json.load(reply)["usage"]["completion_tokens"])

    started = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        count = sum(pool.map(one, questions))
    return count / (time.monotonic() - started)
