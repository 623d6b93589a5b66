"""Eight clients at once: ours over MQTT, llama-server over HTTP, genai's Engine straight, the same questions, in turns.

All of them as they come, so that what the questions have in common is read once by those who remember.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks import genai_engine, llama_cpp
from benchmarks.alone import SAME_BITS
from benchmarks.figure import Figure
from benchmarks.reference import dithered
from benchmarks.rounds import ROUNDS, median_ratio
from edge.bundle import read_manifest
from edge.commands.bench import served, through_mqtt
from edge.engine import Job, Options, budget
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer
from edge.mqtt.client import Client
from export.download import default_cache
from tests.conftest import free_port

CLIENTS, TOKENS = 8, 96
SUBJECTS = (
    "a lighthouse",
    "the sea",
    "an old ship",
    "a storm",
    "a harbour",
    "two islands",
    "a whale",
    "the moon",
    "fog",
)
SLOWEST = 1.2
"""Of equal clients, over the fastest one's time."""
Rates = dict[str, list[float]]


def measure(bundle: Path) -> list[Figure]:
    """Tokens a second of all eight, ours over the others' and over one client's; the slowest over the fastest."""
    file = llama_cpp.quantized(llama_cpp.build(), dithered(), default_cache() / "llama-cpp-files", SAME_BITS)
    rates = asyncio.run(in_turns(bundle, file))
    growing = grown(bundle)
    eight = rates["eight"]
    return [
        Figure(
            "eight_clients_over_llama_cpp", round(median_ratio(eight, rates["llama-server"]), 3), "ratio", ">=", 1.2
        ),
        Figure("eight_clients_over_genai_engine", round(median_ratio(eight, rates["genai"]), 3), "ratio", ">=", 1),
        Figure("eight_clients_over_one", round(median_ratio(eight, rates["one"]), 3), "ratio", ">=", 3),
        Figure("eight_growing_answers_over_one", round(growing, 3), "ratio", ">=", 3),
        Figure("slowest_of_eight_over_fastest", round(statistics.median(rates["spread"]), 3), "ratio", "<=", SLOWEST),
    ]


async def in_turns(bundle: Path, file: Path) -> Rates:
    """Each round's rates by who answered; of ours the slowest answer's time over the fastest's, too (`spread`)."""
    found: Rates = {}
    tokenizer = Tokenizer(bundle, read_manifest(bundle))
    with tempfile.TemporaryDirectory() as folder, server(file) as port:
        thread = ThreadPoolExecutor(1)  # genai's Engine wants to be called from where it was made
        engine = thread.submit(genai_engine.opened, bundle, Path(folder) / "all", TOKENS).result()
        async with served(bundle, CLIENTS, prefix_bytes=None) as clients:

            async def ours(questions: list[str]) -> None:
                rate, times = await over_mqtt(clients, questions[1:])
                found.setdefault("eight", []).append(rate)
                found.setdefault("spread", []).append(max(times) / min(times))
                rate, _ = await over_mqtt(clients[:1], questions[:1])
                found.setdefault("one", []).append(rate)

            async def llama(questions: list[str]) -> None:
                found.setdefault("llama-server", []).append(await asyncio.to_thread(over_http, port, questions[1:]))

            async def genai(questions: list[str]) -> None:
                prompts = [tokenizer.encode([{"role": "user", "content": question}]) for question in questions[1:]]
                found.setdefault("genai", []).append(await asyncio.wrap_future(thread.submit(engine, prompts)))

            turns: list[Callable[[list[str]], Awaitable[None]]] = [ours, llama, genai]
            for number in range(ROUNDS):
                for turn in turns if number % 2 else reversed(turns):
                    await turn(asked(number))
                shown = {name: round(each[-1], 2) for name, each in found.items()}
                print(f"  round {number + 1}: {shown}", file=sys.stderr, flush=True)
    return found


def asked(number: int) -> list[str]:
    """A round's questions, one more than clients: as long as each other, and new to every cache."""
    chance = random.Random(number)
    words = chance.sample(SUBJECTS, CLIENTS + 1)
    return [f"Round {number}. Write a very long story about {word}, with many details." for word in words]


def grown(bundle: Path) -> float:
    """Straight at the engine, and only while answers grow: tokens a second of eight over those of one."""
    engine = BatchedEngine(bundle, Options(drafts=False))
    found: dict[int, list[float]] = {1: [], CLIENTS: []}
    for number in range(ROUNDS):
        for rows in found if number % 2 else reversed(found):
            found[rows].append(growing(engine, asked(number)[:rows]))
    return median_ratio(found[CLIENTS], found[1])


def growing(engine: BatchedEngine, questions: Sequence[str]) -> float:
    """Tokens a second of all answers once each has begun."""
    for number, question in enumerate(questions):
        engine.submit(Job(number, [{"role": "user", "content": question}], 2 * TOKENS, ignore_eos=True))
    begun: set[int] = set()
    while len(begun) < len(questions):
        begun |= {event.job_id for event in engine.step() if event.what}
    started = time.perf_counter()
    for _ in range(TOKENS):
        list(engine.step())
    seconds = time.perf_counter() - started
    for number in range(len(questions)):
        engine.cancel(number)
    while not engine.is_idle:
        list(engine.step())
    return TOKENS * len(questions) / seconds


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
