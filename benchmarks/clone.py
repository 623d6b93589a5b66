"""The two commands of the README from a fresh clone with an empty HOME."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PASSED_ON = ("PATH", "LANG", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_PROXY", "CI")


def measure_demo(_bundle: Path) -> list[Figure]:
    """Cold, then warm; what was answered; how much the environment weighs."""
    with fresh_clone() as (clone, home):
        cold, cold_seconds, text = make(clone, home, "demo", "ARGS=--once")
        warm, warm_seconds, _ = make(clone, home, "demo", "ARGS=--once")
        cuda = [path.name for path in clone.glob(".venv/lib/python*/site-packages/*nvidia*")]
    return [
        Figure("demo_cold_exit_status", cold, "", "==", 0),
        Figure("demo_cold_seconds", round(cold_seconds, 1), "s", "<", 300),
        Figure("demo_warm_exit_status", warm, "", "==", 0),
        Figure("demo_warm_seconds", round(warm_seconds, 1), "s", "<", 15),
        Figure("demo_sensible_answers", sensible(text), "of 3", "==", 3),
        Figure("demo_cuda_packages", len(cuda), "packages", "==", 0),
    ]


def measure_test(_bundle: Path) -> list[Figure]:
    """The whole suite."""
    with fresh_clone() as (clone, home):
        status, seconds, _ = make(clone, home, "test")
    return [
        Figure("test_fresh_exit_status", status, "", "==", 0),
        Figure("test_fresh_seconds", round(seconds, 1), "s", "<", 1200),
    ]


def measure_two(_bundle: Path) -> list[Figure]:
    """A demo and tests started together in one clone that has nothing yet: one makes what both need."""
    commands = (("demo", "ARGS=--once"), ("test", "ARGS=tests/edge/commands/test_commands.py"))
    with fresh_clone() as (clone, home), ThreadPoolExecutor(2) as both:
        done = [both.submit(make, clone, home, *command) for command in commands]
    statuses = [each.result()[0] for each in done]
    return [Figure("two_makes_at_once_failed", sum(map(bool, statuses)), "of 2", "==", 0)]


def measure_wheel(_bundle: Path) -> list[Figure]:
    """The suite against an installed wheel, the clone's code out of reach."""
    with fresh_clone() as (clone, home):
        status, _, _ = make(clone, home, "wheel-test")
    return [Figure("wheel_suite_exit_status", status, "", "==", 0)]


@contextmanager
def fresh_clone() -> Iterator[tuple[Path, Path]]:
    """A clone of what is committed and an empty HOME, both gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        clone, home = Path(folder) / "edge-slm", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        yield clone, home


def make(clone: Path, home: Path, *arguments: str) -> tuple[int, float, str]:
    """Exit status, seconds and output of a make target; only what leads to the registries is passed on."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {"HOME": str(home)}
    started = time.monotonic()
    done = subprocess.run(
        ["make", *arguments], cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    text = done.stdout.decode(errors="replace")
    if done.returncode:
        print(text[-4000:], file=sys.stderr)
    return done.returncode, time.monotonic() - started, text


def sensible(text: str) -> int:
    """How many of the demo's three answers are: two say Paris, the third is an object with a city."""
    answers = re.findall(r"^> .*\n(.+)$", text, re.MULTILINE)
    plain = sum("Paris" in answer for answer in answers[:2])
    try:
        held = json.loads(answers[2])
    except (IndexError, ValueError):
        return plain
    return plain + (set(held) == {"city", "country"} and held["city"] == "Paris")
