"""The kiosk's page in Debian's Chromium, with nothing but loopback there: size, speed, whom it calls, who is lost.

`KIOSK_SECONDS=60 make figures ONLY=kiosk` for a look; without it there are ten minutes of visitors.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv-kiosk/bin/python"
SECONDS = os.environ.get("KIOSK_SECONDS", "600")
VISITORS_MIN = 100 * float(SECONDS) / 600
SCREENS = 84
"""Fourteen screens, three themes, both ways of writing."""


def measure(bundle: Path) -> list[Figure]:
    """All of it in one browser; RuntimeError where that, Playwright or a namespace is missing."""
    said = measured(bundle)
    return [
        Figure("kiosk_page_kb", round(said["page_kb"], 1), "kB", "<=", 250),
        Figure("kiosk_interactive_ms", round(said["interactive_ms"]), "ms", "<=", 1000),
        Figure("kiosk_delta_ms_p95", round(said["delta_ms_p95"], 1), "ms", "<=", 100),
        Figure("kiosk_off_loopback_requests", said["off_loopback_requests"], "requests", "==", 0),
        Figure("kiosk_axe_screens", said["axe_screens"], "screens", ">=", SCREENS),
        Figure("kiosk_axe_violations", said["axe_violations"], "violations", "==", 0),
        Figure("kiosk_visitors", said["visitors"], "visitors", ">=", VISITORS_MIN),
        Figure("kiosk_answers_lost", said["answers_lost"], "answers", "==", 0),
        Figure("kiosk_heap_growth_of_many_mb", round(said["heap_growth_of_many_mb"], 2), "MB", "<=", 1),
        Figure("kiosk_heap_growth_mb", round(said["heap_growth_mb"], 2), "MB", "<=", 2),
    ]


def measured(bundle: Path) -> dict[str, float]:
    """What tests/kiosk/measure.py says."""
    if not PYTHON.exists() or shutil.which("unshare") is None:
        raise RuntimeError("it needs unshare and what `make kiosk-env` installs")
    module = [str(PYTHON), "-m", "tests.kiosk.measure", str(bundle.resolve()), SECONDS]
    command = [sys.executable, "-m", "tests.kiosk.offline", *module]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise RuntimeError("it ended early; the lines above say why")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said
