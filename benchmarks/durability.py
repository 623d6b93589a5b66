"""What kills lose, and what the journal costs: real broker, real daemon, a scripted engine and then a real one."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from tests.clients import User
from tests.conftest import free_port
from tests.storm import Asker, Outcome, follow, running, storm

ROUNDS = 300
"""Requests of which the latency is taken, each beside a bare round trip through the broker."""
CLIENTS, REQUESTS = 8, 4000


def measure(bundle: Path) -> list[Figure]:
    """Storms with both engines, then latency and throughput without kills."""
    scripted = stormed(requests=1000, askers=8, daemon_kills=5, broker_kills=3)
    real = stormed(requests=40, askers=8, daemon_kills=5, broker_kills=3, bundle=bundle)
    above, p50, p99 = latencies()
    return [
        Figure("storm_lost", scripted.lost, "requests", "==", 0),
        Figure("storm_contradicted", scripted.contradicted, "requests", "==", 0),
        Figure("storm_failed", scripted.failed, "requests", "==", 0),
        Figure("storm_begun_again", scripted.begun_again, "of 1000", "<=", scripted.interrupted),
        Figure("storm_real_lost", real.lost, "requests", "==", 0),
        Figure("storm_real_contradicted", real.contradicted, "requests", "==", 0),
        Figure("storm_real_failed", real.failed, "requests", "==", 0),
        Figure("overhead_p50_ms", round(p50, 2), "ms", "<", 15),
        Figure("overhead_p99_ms", round(p99, 2), "ms", "<", 15),
        Figure("overhead_over_broker", round(above, 2), "ratio", "<", 100),
        Figure("sustained_requests_per_second", round(throughput()), "1/s", ">=", 300),
    ]


def stormed(requests: int, askers: int, daemon_kills: int, broker_kills: int, bundle: Path | None = None) -> Outcome:
    """A storm, told on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = storm(Path(folder), requests, askers, daemon_kills, broker_kills, bundle)
    print(
        f"  {requests} requests in {outcome.seconds:.0f} s, kills {outcome.kills}, terminal messages"
        f" {sum(map(len, outcome.answers.values()))}, repeated by askers {outcome.repeats},"
        f" begun again {outcome.begun_again}, of which kills took {outcome.interrupted}",
        file=sys.stderr,
        flush=True,
    )
    return outcome


def latencies() -> tuple[float, float, float]:
    """Request to reply over the broker's bare round trip, as a ratio of medians and in milliseconds above it."""
    bare, whole = [], []
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        with running(folder, port, folder / "jobs.txt", None), User(port, "echo", "edge/test/reply/me") as user:
            user.wait_online()
            for number in range(ROUNDS):
                bare.append(_seconds(user, "echo", b"x"))
                body = {"prompt": "x", "id": f"q{number}", "stream": False}
                whole.append(_seconds(user, "edge/test/request/me", body))
    above = sorted(1000 * (each - statistics.median(bare)) for each in whole)
    ratio = statistics.median(whole) / statistics.median(bare)
    print(
        f"  bare round trip {1000 * statistics.median(bare):.2f} ms, request {1000 * statistics.median(whole):.2f} ms",
        file=sys.stderr,
    )
    return ratio, statistics.median(above), above[len(above) * 99 // 100]


def _seconds(user: User, topic: str, payload: object) -> float:
    started = time.perf_counter()
    user.client.publish(topic, payload if isinstance(payload, bytes) else json.dumps(payload), 1)
    wanted = topic if topic == "echo" else "edge/test/reply/me"
    while user.next().topic != wanted:
        pass
    return time.perf_counter() - started


def throughput() -> float:
    """Requests a second of eight clients that keep four out each."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        with running(folder, port, folder / "jobs.txt", None), User(port) as user:
            user.wait_online()
            clients = [Asker(port, f"c{number}", REQUESTS // CLIENTS) for number in range(CLIENTS)]
            for client in clients:
                client.start()
            started = time.perf_counter()
            follow(clients, REQUESTS, [], {})
            seconds = time.perf_counter() - started
            for client in clients:
                client.stop()
    return REQUESTS / seconds
