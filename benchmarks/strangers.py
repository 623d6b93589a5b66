"""What a stranger's messages, a full disk or a stop's signals do to a running board."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from edge.bundle import read_manifest
from edge.config import Engine, Limits
from edge.engine import Finished
from edge.errors import EngineFailed, Fault
from edge.service.jobs import job_of
from edge.service.waiting import Waiting
from edge.service.worker import Worker
from edge.wire.chat import validated
from edge.wire.request import Address, Request
from tests.clients import User
from tests.conftest import EDGE, ROOT, embedded_broker, running, serving
from tests.edge.engine.test_bounds import LONG
from tests.storm import Process, daemon_settings

ROUNDS, REPEATS = 20, 1500
SMALLEST, LARGEST = 5e-324, 1.7976931348623157e308
FIELDS: dict[str, list[Any]] = {
    "temperature": [0, SMALLEST, 1e-320, 1e-308, 1e-45, 1e-38, 1e-10, 1e-3, 0.5, 1, 1.9999999999999998, 2],
    "top_p": [SMALLEST, 1e-320, 1e-45, 1e-10, 0.5, 0.9999999999999999, 1],
    "min_p": [0, SMALLEST, 1e-320, 1e-45, 0.5, 0.9999999999999999, 1],
    "top_k": [0, 1, 2, 49_151, 49_152, 100_000],
    "repetition_penalty": [0.5, 0.5000000000000001, 0.9999999999999999, 1, 1.0000000000000002, 2],
    "seed": [-(2**63), -1, 0, 1, 2**31 - 1, 2**31, 2**63, 2**64 - 1],
    "max_tokens": [1, 2, 1_000_000],
    "top_logprobs": [0, 1, 20],
}
"""Each at the ends of what its schema takes, next to them, and where floats of 32 and 64 bits end."""


def measure(bundle: Path) -> list[Figure]:
    """A figure for each of them."""
    return [*numbers(bundle), *refusals(bundle), *repeats(), *full_disk(), *stops(bundle)]


def numbers(bundle: Path) -> list[Figure]:
    """How often the engine's process ends of a number that a request may hold, each with each other's extremes."""
    deaths = asyncio.run(_deaths(bundle, list(_numeric_requests())))
    return [Figure("numbers_engine_deaths", deaths, "deaths", "==", 0)]


def _numeric_requests() -> Iterator[dict[str, Any]]:
    for name, values in FIELDS.items():
        for value in values:
            yield {"temperature": 1, "logprobs": True, name: value}
    chance = random.Random(0)
    for _ in range(150):
        yield {"logprobs": True, **{name: chance.choice(values) for name, values in FIELDS.items()}}


async def _deaths(bundle: Path, requests: list[dict[str, Any]]) -> int:
    worker = Worker(Engine(bundle=bundle, packs=False, prefix_disk_bytes=0, verify_hashes=False))
    await worker.start()
    deaths = 0
    for number, fields in enumerate(requests, 1):
        chat = validated({"prompt": "Say no more than a word.", "stop": [" "], **fields})
        waiting = Waiting(number, Request(Address("answers/me", str(number)), chat), 0.0)
        job = job_of(waiting, Limits(), read_manifest(bundle).sampling)
        try:
            async for piece in worker.generate(job):
                if isinstance(piece, Finished):
                    break
        except Fault as fault:
            if not isinstance(fault, EngineFailed):
                raise
        if not worker.alive:
            deaths += 1
            await worker.start()
    await worker.stop()
    return deaths


def refusals(bundle: Path) -> list[Figure]:
    """The longest time from a prompt of 250 KB to its refusal, over kinds of text, each at its median of five."""
    with tempfile.TemporaryDirectory() as name, embedded_broker(Path(name)) as port:
        settings = {"EDGE_LIMITS__PAYLOAD_BYTES": str(2 << 20), "EDGE_ENGINE__VERIFY_HASHES": "false"}
        with serving(bundle, port, Path(name), **settings), User(port, "edge/test/reply/me") as user:
            user.wait_online()
            took = {kind: _refused(user, make(random.Random(0))) for kind, make in LONG.items()}
    refused = {kind: seconds for kind, seconds in took.items() if seconds is not None}
    for kind, seconds in sorted(refused.items(), key=lambda each: each[1]):
        print(f"{kind}: {1000 * seconds:.0f} ms", file=sys.stderr)
    return [Figure("refusal_of_250_kb_ms", round(1000 * max(refused.values()), 1), "ms", "<=", 50)]


def _refused(user: User, text: str) -> float | None:
    """Seconds to a refusal; None where the text fits."""
    times = []
    for number in range(5):
        asked = {"prompt": text, "id": f"{time.monotonic_ns()}", "max_tokens": 1, "stream": False, "seed": number}
        payload = json.dumps(asked, ensure_ascii=False).encode(errors="replace")
        begun = time.perf_counter()
        user.send("edge/test/request/me", payload)
        if user.answer()[1]["code"] == 200:
            return None
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def repeats() -> list[Figure]:
    """What the daemon's memory grows by while an answer of 400 KB is asked for again, 1,500 times."""
    with tempfile.TemporaryDirectory() as name, embedded_broker(Path(name)) as port:
        folder = Path(name)
        command = [sys.executable, "-m", "edge.testing", "--pieces=80000"]
        daemon = Process(command, folder / "daemon.log", daemon_settings(folder, port))
        try:
            with User(port, "edge/test/reply/me") as user:
                user.wait_online()
                asked = {"prompt": "x", "id": "long", "stream": False}
                user.publish("edge/test/request/me", asked)
                user.answer()
                user.publish("edge/test/request/me", asked)
                user.answer()
                before = most = daemon.resident_bytes()
                for number in range(REPEATS):
                    user.publish("edge/test/request/me", asked)
                    most = max(most, daemon.resident_bytes()) if number % 10 == 0 else most
                most = max(most, daemon.resident_bytes())
        finally:
            daemon.stop()
    return [Figure("repeats_growth_mb", round((most - before) / 1e6, 2), "MB", "<=", 5)]


def full_disk() -> list[Figure]:
    """Requests that are refused once a full journal may give way, or a full disk has room again."""
    with _disk() as disk, _answering(disk / "small", {"EDGE_JOURNAL__MAX_BYTES": str(1 << 20)}) as user:
        in_full_journal = sum(_code(user, number) != 200 for number in range(50))
    with _disk() as disk, _answering(disk / "large", {}) as user:
        _fill(disk / "filler")
        if 503 not in (_code(user, number) for number in range(400)):
            raise RuntimeError("the disk did not fill up")
        (disk / "filler").unlink()
        time.sleep(1)
        afterwards = sum(_code(user, number) != 200 for number in range(400, 450))
    return [
        Figure("full_journal_refused", in_full_journal, "of 50", "==", 0),
        Figure("full_disk_then_room_refused", afterwards, "of 50", "==", 0),
    ]


@contextmanager
def _answering(folder: Path, settings: dict[str, str]) -> Iterator[User]:
    """A daemon whose journal lies in a folder, and who asks it."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as name, embedded_broker(Path(name)) as port:
        every = {**daemon_settings(folder, port), **settings}
        command = [sys.executable, "-m", "edge.testing", "--pieces=8000"]
        with running(command, Path(name) / "daemon.log", every), User(port, "edge/test/reply/me") as user:
            user.wait_online()
            yield user


def _code(user: User, number: int) -> int:
    """How a request ends whose answer is 40 KB."""
    user.publish("edge/test/request/me", {"prompt": "x", "id": f"d{number}", "stream": False, "seed": number})
    return int(user.answer()[1]["code"])


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


@contextmanager
def _disk() -> Iterator[Path]:
    """A small disk of its own; RuntimeError where that needs more rights."""
    if os.geteuid():
        raise RuntimeError("a disk of its own needs root")
    with tempfile.TemporaryDirectory() as name:
        disk = Path(name) / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], check=True)
        try:
            yield disk
        finally:
            subprocess.run(["umount", "-l", str(disk)], check=True)


def stops(bundle: Path) -> list[Figure]:
    """How often the running answer arrives whole when SIGTERM goes to daemon and engine at once."""
    arrived = 0
    with tempfile.TemporaryDirectory() as name, embedded_broker(Path(name)) as port:
        for number in range(ROUNDS):
            folder = Path(name) / str(number)
            folder.mkdir()
            arrived += _stopped(bundle, port, folder)
    return [Figure("stopped_answers_arrived", arrived, f"of {ROUNDS}", "==", ROUNDS)]


def _stopped(bundle: Path, port: int, folder: Path) -> bool:
    settings = {
        "EDGE_DEVICE": "test",
        "EDGE_BROKER__PORT": str(port),
        "EDGE_ENGINE__BUNDLE": str(bundle),
        "EDGE_JOURNAL__FOLDER": str(folder),
        "EDGE_ENGINE__CACHE_FOLDER": str(folder),
        "EDGE_ENGINE__PACKS": "false",
        "EDGE_ENGINE__VERIFY_HASHES": "false",
    }
    with (folder / "log").open("wb") as log, User(port, "edge/test/reply/me") as user:
        environment = {**os.environ, **settings}
        command = [*EDGE, "serve"]
        with subprocess.Popen(command, stderr=log, env=environment, cwd=ROOT, start_new_session=True) as daemon:
            user.wait_online()
            user.publish("edge/test/request/me", {"prompt": "Count to a hundred.", "id": "q", "max_tokens": 40})
            while json.loads(user.next().payload).get("type") != "delta":
                pass
            os.killpg(daemon.pid, signal.SIGTERM)
            code = user.answer()[1]["code"]
            return bool(code == 200 and daemon.wait(60) == 0)
