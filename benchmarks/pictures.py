"""Pictures at the running daemon: fifteen strange ones, and two hundred in a row, with a small model that sees.

Known beginnings are bounded tightly, so that what is kept on purpose is full before the first look at memory.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from edge.board.memory import process_memory
from tests.clients import User
from tests.conftest import embedded_broker, serving
from tests.export import small_vision
from tests.pictures import PROMPT, encoded, kinds, photograph, sent

REQUESTS, WARM_UP = 200, 20
SETTINGS = {"EDGE_ENGINE__PREFIX_BYTES": str(8 << 20), "EDGE_ENGINE__PREFIX_DISK_BYTES": "0"}


def measure(_bundle: Path) -> list[Figure]:
    """How many strange pictures end as they should and how long the slowest takes; growth of both processes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = small_vision.export(folder / "small")
        with (
            embedded_broker(folder) as port,
            serving(bundle, port, folder, **SETTINGS) as daemon,
            User(port, "edge/test/reply/#") as user,
        ):
            user.wait_online()
            right, slowest = strange(user)
            first, last = in_a_row(user, daemon.process.pid)
    for part in ("daemon", "engine"):
        print(f"  {part}: {first[part] / 1e6:.1f} MB, then {last[part] / 1e6:.1f} MB", file=sys.stderr, flush=True)
    return [
        Figure("strange_pictures_right", right, "of 15", "==", 15),
        Figure("strange_pictures_slowest_seconds", round(slowest, 2), "s", "<=", 2),
        Figure("pictures_memory_grown", round(last["engine"] / first["engine"] - 1, 4), "ratio", "<=", 0.03),
        Figure("pictures_daemon_grown", round(last["daemon"] / first["daemon"] - 1, 4), "ratio", "<=", 0.03),
    ]


def strange(user: User) -> tuple[int, float]:
    """Each kind once: how many end with the code and the tokens that they should, and the longest time."""
    right, times = 0, []
    for what in kinds().values():
        started = time.monotonic()
        reply = sent(user, what)
        times.append(time.monotonic() - started)
        tokens = reply["usage"].get("picture_tokens", [0])
        right += reply["code"] == what.code and tokens == [what.tokens]
    return right, max(times)


def in_a_row(user: User, daemon: int) -> tuple[dict[str, int], dict[str, int]]:
    """What both processes hold after the warm-up and at the end, each picture another one."""
    first: dict[str, int] = {}
    for number in range(REQUESTS):
        asked: dict[str, Any] = {
            "ContentType": "image/jpeg",
            "UserProperty": [("edge-prompt", PROMPT), ("edge-max_tokens", "8")],
        }
        size = (400 + number % 7 * 100, 300 + number % 5 * 120)
        user.publish("edge/test/request/me", encoded(photograph(*size, seed=number)), **asked)
        assert user.answer()[1]["code"] == 200
        if number + 1 == WARM_UP:
            first = resident(daemon)
    return first, resident(daemon)


def resident(daemon: int) -> dict[str, int]:
    """VmRSS of the daemon and of its engine, once both had time to give memory back."""
    time.sleep(12)
    children = Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    return {name: process_memory(pid)["VmRSS"] for name, pid in (("daemon", daemon), ("engine", int(children[0])))}
