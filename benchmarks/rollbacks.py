"""Bundles exchanged while a board is asked, and killed in the middle of it: what answers then, and what is lost."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import Figure
from tests.exchanges import Course, exchanged, killed

KILLS, REAL_KILLS, EXCHANGES = 40, 6, 10
REAL_SPAN_SECONDS = 10.0
"""Of an exchange of real models, loading and all."""


def measure(bundle: Path) -> list[Figure]:
    """Kills at seeded moments with scripted engines and with real ones, then exchanges without any."""
    scripted = told("scripted", lambda folder: killed(folder, KILLS))
    real = told("real", lambda folder: killed(folder, REAL_KILLS, bundle, REAL_SPAN_SECONDS))
    quiet = told("quiet", lambda folder: exchanged(folder, EXCHANGES))
    return [
        Figure("exchange_kills_whole", scripted.whole, f"of {KILLS}", "==", KILLS),
        Figure("exchange_kills_lost", scripted.lost, "requests", "==", 0),
        Figure("exchange_kills_contradicted", scripted.contradicted, "requests", "==", 0),
        Figure("exchange_kills_real_whole", real.whole, f"of {REAL_KILLS}", "==", REAL_KILLS),
        Figure("exchange_kills_real_lost", real.lost, "requests", "==", 0),
        Figure("exchange_lost", quiet.lost, "requests", "==", 0),
        Figure("exchange_failed", quiet.failed, "requests", "==", 0),
        Figure("exchange_begun_again", begun_again(quiet), "requests", "==", 0),
        Figure("exchange_right_ends", right_ends(quiet), f"of {EXCHANGES}", "==", EXCHANGES),
    ]


def begun_again(course: Course) -> int:
    """Requests of the asker's that more than one engine worked on."""
    return sum(count > 1 for name, count in course.begun.items() if name.startswith("c0-"))


def right_ends(course: Course) -> int:
    """Exchanges that ended as the bundle was: every third is to be rolled back."""
    wanted = ["rolled_back" if number % 3 == 0 else "kept" for number in range(1, len(course.ends) + 1)]
    return sum(end == right for end, right in zip(course.ends, wanted, strict=True))


def told(name: str, run: Callable[[Path], Course]) -> Course:
    """A course, told on standard error."""
    with tempfile.TemporaryDirectory() as folder:
        course = run(Path(folder))
    text = f"{course.kills} kills, {course.whole} whole, ends {course.ends.count('kept')} kept of {len(course.ends)}"
    print(f"  {name}: {text}, {course.requests} requests, {course.lost} lost", file=sys.stderr, flush=True)
    return course
