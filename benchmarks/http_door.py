"""What the HTTP door adds over MQTT: the same daemon with a scripted engine, asked by turns in both ways."""

from __future__ import annotations

import http.client
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figure import Figure
from tests.clients import User
from tests.conftest import embedded_broker, free_port, running, wait_for_port

ROUNDS, WARM = 1000, 20
PIECES, PAUSE_SECONDS = 8, 0.001
ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "What does error E42 mean?"}], "stream": True}


class Taken(NamedTuple):
    """Milliseconds from a request's sending until its first piece, and until it is whole."""

    first: float
    whole: float


def measure(_bundle: Path) -> list[Figure]:
    """The 99th percentiles' difference, of the first piece and of the whole answer, and the medians'."""
    with tempfile.TemporaryDirectory() as folder:
        by_http, by_mqtt = by_turns(Path(folder))
    figures = []
    for name in Taken._fields:
        one, other = (sorted(getattr(each, name) for each in taken) for taken in (by_http, by_mqtt))
        middle, high = (at(one, share) - at(other, share) for share in (0.5, 0.99))
        print(f"  {name}: {shown(one)} over HTTP, {shown(other)} over MQTT", file=sys.stderr, flush=True)
        figures.append(Figure(f"http_{name}_added_ms_p50", round(middle, 2), "ms", "<=", 5))
        figures.append(Figure(f"http_{name}_added_ms_p99", round(high, 2), "ms", "<=", 5))
    return figures


def at(values: list[float], share: float) -> float:
    """Of sorted values."""
    return values[min(len(values) - 1, int(share * len(values)))]


def shown(values: list[float]) -> str:
    """For who watches."""
    return f"{at(values, 0.5):.2f} ms, p99 {at(values, 0.99):.2f}"


def by_turns(folder: Path) -> tuple[list[Taken], list[Taken]]:
    """Over HTTP and over MQTT, the same number of times."""
    own = free_port()
    settings = {"EDGE_DEVICE": "pi", "EDGE_JOURNAL__FOLDER": str(folder), "EDGE_HTTP__ADDRESS": f"127.0.0.1:{own}"}
    command = [sys.executable, "-m", "edge.testing", f"--pieces={PIECES}", f"--pause-seconds={PAUSE_SECONDS}"]
    with (
        embedded_broker(folder) as port,
        User(port, "edge/pi/reply/me") as user,
        running(command, folder / "daemon.log", settings | {"EDGE_BROKER__PORT": str(port)}),
    ):
        user.wait_online("pi")
        wait_for_port(own)
        asker = http.client.HTTPConnection("127.0.0.1", own, timeout=30)
        found = [both(asker, user, number) for number in range(WARM + ROUNDS)][WARM:]
        asker.close()
    return [each[0] for each in found], [each[1] for each in found]


def both(asker: http.client.HTTPConnection, user: User, number: int) -> tuple[Taken, Taken]:
    """Each once; who is first changes from round to round, since the second finds everything warm."""
    if number % 2:
        by_mqtt = over_mqtt(user, f"q{number}")
        return over_http(asker), by_mqtt
    return over_http(asker), over_mqtt(user, f"q{number}")


def over_http(asker: http.client.HTTPConnection) -> Taken:
    """Server-sent events over a connection that stays."""
    first, began = 0.0, time.perf_counter()
    asker.request("POST", "/v1/chat/completions", json.dumps(ASKED), {"Content-Type": "application/json"})
    answer = asker.getresponse()
    for line in answer:
        if not first and b'"content":"word' in line:
            first = time.perf_counter() - began
        if line.startswith(b"data: [DONE]"):
            break
    whole = time.perf_counter() - began
    answer.read()
    return Taken(first * 1000, whole * 1000)


def over_mqtt(user: User, name: str) -> Taken:
    """Deltas and the reply, over a connection that stays."""
    first, began = 0.0, time.perf_counter()
    user.publish("edge/pi/request/me", {**ASKED, "id": name})
    while json.loads(user.next().payload)["type"] != "reply":
        first = first or time.perf_counter() - began
    return Taken(first * 1000, (time.perf_counter() - began) * 1000)
