"""Three boards share a queue while one is killed every minute for ten minutes; each request is asked once.

FLEET_SECONDS and FLEET_KILL_SECONDS in the environment make it shorter, for a look.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from tests.conftest import wait_until
from tests.fleet import NAMES, Hall, hall

SECONDS, KILL_SECONDS = 600.0, 60.0
ASK_SECONDS = 0.2
INHERIT_SECONDS = 10
WINDOW = 12
"""Requests that a board may have in hand (Settings.fleet_window)."""
LAST_SECONDS = 120
"""For what is still open at the end."""


@dataclass
class Kill:
    """Who was killed, and when it is to be started again: soon, as systemd does, or after another took its place."""

    name: str
    back: float


def measure(_bundle: Path) -> list[Figure]:
    """What was acknowledged and never answered; what was refused; answers that came again."""
    seconds = float(os.environ.get("FLEET_SECONDS", SECONDS))
    period = float(os.environ.get("FLEET_KILL_SECONDS", KILL_SECONDS))
    with (
        tempfile.TemporaryDirectory() as folder,
        hall(
            Path(folder),
            options=("--pieces=20", "--pause-seconds=0.02"),
            EDGE_LIMITS__INHERIT_SECONDS=str(INHERIT_SECONDS),
            EDGE_LOG_LEVEL="warning",
        ) as it,
    ):
        kills = worn(it, seconds, period)
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: not it.asker.missing, LAST_SECONDS)
        taken, lost, twice = len(it.asker.taken), len(it.asker.missing), it.asker.told_twice
        refused = sum(count for code, count in it.asker.codes.items() if code != 200)
        begun = sum(it.asked().values())
    print(
        f"  {taken} requests in {seconds:.0f} s, {kills} kills, {lost} lost, {refused} refused, {twice} told again,"
        f" {begun - taken} begun again",
        file=sys.stderr,
        flush=True,
    )
    return [
        Figure("fleet_requests", taken, "requests", ">=", round(0.9 * seconds / ASK_SECONDS)),
        Figure("fleet_kills", kills, "kills", ">=", int(seconds // period) - 1),
        Figure("fleet_lost", lost, "requests", "==", 0),
        Figure("fleet_refused", refused, "requests", "==", 0),
        Figure("fleet_told_again", twice, "answers", "<=", kills * WINDOW),
    ]


def worn(it: Hall, seconds: float, period: float) -> int:
    """Ask all the time and kill in turn; how often. At the end all are there again."""
    chance, began, asked = random.Random(0), time.monotonic(), 0
    away: list[Kill] = []
    kills = 0
    while (passed := time.monotonic() - began) < seconds or away:
        if passed < seconds:
            it.asker.ask(f"q{asked}")
            asked += 1
        if passed >= (kills + 0.5) * period and passed < seconds and not away:
            name = chance.choice(NAMES)
            it.boards[name].end()
            pause = 1.0 if kills % 2 else min(INHERIT_SECONDS * 2.5, period * 0.8)
            away.append(Kill(name, passed + pause))
            kills += 1
        for kill in [kill for kill in away if passed >= kill.back]:
            it.boards[kill.name].start()
            away.remove(kill)
        time.sleep(max(0.0, began + asked * ASK_SECONDS - time.monotonic()) if passed < seconds else 0.1)
    return kills
