"""What leaves a board with another server behind it: nothing while no rule is on, and all of it named and counted."""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from tests.clients import User
from tests.conftest import embedded_broker, running
from tests.openai_server import Script, serving

COUNT = 200
ASKED: list[dict[str, Any]] = [
    {},
    {"upstream": False},
    {"upstream": True},
    {"model": "cloud/big"},
    {"model": "bigger"},
    {"model": "huge"},
    {"model": "bigger", "keep": False},
    {"upstream": True, "stream": False},
]
ALL = ["asked", "model", "length", "hot"]


def measure(_bundle: Path) -> list[Figure]:
    """The real daemon and broker, a scripted engine, and a server that counts what comes."""
    with serving(Script()) as closed, asked_by(closed, []) as (user, _):
        list(replies(user))
        foreign = len(closed.asked)
    with serving(Script()) as opened, asked_by(opened, ALL) as (user, telemetry):
        told = list(replies(user))
        passed = last(telemetry)
    named = sum("answered_by" in reply for reply in told)
    return [
        Figure("upstream_closed_requests", foreign, "requests", "==", 0),
        Figure("upstream_open_requests", len(opened.asked), "requests", ">=", COUNT // 4),
        Figure("upstream_unnamed_answers", abs(len(opened.asked) - named), "answers", "==", 0),
        Figure("upstream_uncounted_requests", off(passed["requests"].values(), opened.asked), "requests", "==", 0),
        Figure("upstream_uncounted_bytes", abs(sum(opened.sizes) - passed["sent_bytes"]), "bytes", "==", 0),
    ]


def off(counted: Iterable[int], came: list[Any]) -> int:
    """By how much a count is not what came."""
    return abs(sum(counted) - len(came))


@contextmanager
def asked_by(script: Script, when: list[str]) -> Iterator[tuple[User, User]]:
    """A daemon with a server behind it; who asks, and who hears its telemetry."""
    with tempfile.TemporaryDirectory() as name, embedded_broker(Path(name)) as port:
        settings = {
            "EDGE_DEVICE": "test",
            "EDGE_BROKER__PORT": str(port),
            "EDGE_JOURNAL__FOLDER": name,
            "EDGE_TELEMETRY__PERIOD_SECONDS": "0.5",
            "EDGE_UPSTREAM__URL": script.url,
            "EDGE_UPSTREAM__NAME": "cloud",
            "EDGE_UPSTREAM__MODELS": '["big", "bigger"]',
            "EDGE_UPSTREAM__WHEN": json.dumps(when),
        }
        command = [sys.executable, "-m", "edge.testing"]
        with running(command, Path(name) / "daemon.log", settings), User(port, "edge/test/reply/me") as user:
            user.wait_online()
            with User(port, "edge/test/telemetry") as telemetry:
                yield user, telemetry


def replies(user: User) -> Iterator[dict[str, Any]]:
    """Those to requests of every kind."""
    for number, fields in enumerate(itertools.islice(itertools.cycle(ASKED), COUNT)):
        user.publish("edge/test/request/me", {"prompt": "x", "id": f"q{number}", **fields})
        yield user.answer()[1]


def last(telemetry: User) -> dict[str, Any]:
    """What is counted once all is answered: two messages on, since one may have been on its way."""
    while not telemetry.inbox.empty():
        telemetry.inbox.get()
    for _ in range(2):
        message = telemetry.next(10)
    passed: dict[str, Any] = json.loads(message.payload)["inference"]["upstream"]
    return passed
