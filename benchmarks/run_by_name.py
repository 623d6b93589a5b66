"""`edge run NAME QUESTION` where nothing is there yet: no cache, no board, no broker. The package index is reached."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.clone import PASSED_ON
from benchmarks.figure import Figure
from benchmarks.proofs import ROOT

MODEL, QUESTION = "smollm2", "What is the capital of France?"


def measure(_bundle: Path) -> list[Figure]:
    """How it ended, what it said on standard output, and how long all of it took: download, export, loading, answer."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        status, answer = run(Path(folder))
        seconds = time.monotonic() - began
    print(f"  {answer!r}", file=sys.stderr, flush=True)
    return [
        Figure("run_by_name_exit_status", status, "", "==", 0),
        Figure("run_by_name_answered_words", len(answer.split()), "words", ">=", 1),
        Figure("run_by_name_seconds", round(seconds, 1), "s", ">=", 0),
    ]


def run(home: Path) -> tuple[int, str]:
    """The exit status and the answer, with an empty HOME."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {"HOME": str(home), "PYTHONPATH": str(ROOT), "EDGE_BROKER__PORT": "1"}
    command = [sys.executable, "-m", "edge", "run", "--yes", MODEL, QUESTION]
    done = subprocess.run(command, cwd=home, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout.strip()
