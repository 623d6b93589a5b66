"""Ten thousand hostile messages at a running daemon: whether it lives, answers, and gives its memory back."""

from __future__ import annotations

import itertools
import json
import queue
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from edge.board.heap import PERIOD_SECONDS
from tests.clients import User
from tests.conftest import free_port
from tests.hostile import Hostile, hostile
from tests.storm import running

COUNT = 10_000
WINDOW = 16
"""Messages out at once, so that the daemon's queue is not what answers."""
WARM_UP = 200
"""Valid requests before, after which a daemon holds what it holds when it works."""


def measure(_bundle: Path) -> list[Figure]:
    """Crashes, messages without a terminal one, and growth in MB."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        topics = ("edge/test/reply/#", "answers/#", "reply/#", "response/#")
        with running(folder, port, folder / "jobs.txt", None) as (_, daemon), User(port, *topics) as user:
            user.wait_online()
            for _ in range(WARM_UP):
                ask(user)
            time.sleep(1.1 * PERIOD_SECONDS)
            before, answers = daemon.resident_bytes(), 0
            messages = hostile(COUNT)
            while window := list(itertools.islice(messages, WINDOW)):
                answers += answered(user, window)
            time.sleep(1)
            answers += drained(user)
            crashed = 0 if daemon.is_alive() else 1
            ask(user)
            time.sleep(1.1 * PERIOD_SECONDS)
            grown = (daemon.resident_bytes() - before) / 1e6
            user.publish("edge/test/request/me", b"", 1, retain=True)
    return [
        Figure("hostile_crashes", crashed, "crashes", "==", 0),
        Figure("hostile_answered", answers, f"of {COUNT}", ">=", COUNT * 0.9),
        Figure("hostile_growth_mb", round(grown, 2), "MB", "<=", 5),
    ]


def ask(user: User) -> None:
    """A valid request is answered."""
    user.publish("edge/test/request/me", {"prompt": "x", "id": f"valid-{time.monotonic_ns()}"})
    assert user.answer()[1]["code"] == 200


def answered(user: User, window: list[Hostile]) -> int:
    """Messages out at once; how many terminal ones came back."""
    sent = [user.send("edge/test/request/me", each.payload, 1, each.retain, **each.properties) for each in window]
    for info in sent:
        info.wait_for_publish(30)
    return drained(user)


def drained(user: User) -> int:
    """Terminal messages that have arrived; waits a moment for the last."""
    count = 0
    while True:
        try:
            count += json.loads(user.next(0.05).payload).get("type") == "reply"
        except queue.Empty:
            return count
