"""Ten minutes of requests over a connection that is cut again and again: descriptors, threads and memory stay flat.

`make soak`, or `SOAK_SECONDS=60 make soak` for a look.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure
from tests.conftest import mosquitto
from tests.proxy import Proxy
from tests.storm import Asker, Process, daemon_settings

SECONDS = float(os.environ.get("SOAK_SECONDS", "600"))
CUT_SECONDS = 7.0
WARM_UP = 0.2
"""The share of the time after which things must be flat."""


def measure(_bundle: Path) -> list[Figure]:
    """Growth from the warm-up to the end."""
    with tempfile.TemporaryDirectory() as name, mosquitto(Path(name)) as port, Proxy(port) as proxy:
        folder = Path(name)
        command = [sys.executable, "-m", "edge.testing", "--log=/dev/null"]
        daemon = Process(command, folder / "daemon.log", daemon_settings(folder, proxy.port))
        askers = [Asker(port, f"c{number}", 1 << 30, pause_seconds=0.1) for number in range(4)]
        for asker in askers:
            asker.start()
        first, last = soaked(daemon, proxy, askers)
        answered = sum(len(asker.answers) for asker in askers)
        daemon.stop()
        for asker in askers:
            asker.stop()
    print(f"  {answered} answers, {proxy.connections} connections", file=sys.stderr, flush=True)
    return [
        Figure("soak_descriptors_grown", last[0] - first[0], "descriptors", "<=", 1),
        Figure("soak_threads_grown", last[1] - first[1], "threads", "<=", 0),
        Figure("soak_memory_grown_mb", round((last[2] - first[2]) / 1e6, 2), "MB", "<=", 3),
        Figure("soak_connections", proxy.connections, "connections", ">=", SECONDS / 20),
    ]


Sample = tuple[int, int, int]
"""Descriptors, threads, resident bytes."""


def soaked(daemon: Process, proxy: Proxy, askers: list[Asker]) -> tuple[Sample, Sample]:
    """What the daemon holds after the warm-up and at the end; RuntimeError where it has ended."""
    started = cut = time.monotonic()
    first: Sample | None = None
    while (gone := time.monotonic() - started) < SECONDS:
        if not daemon.is_alive():
            raise RuntimeError("the daemon ended during the soak")
        if time.monotonic() - cut > CUT_SECONDS:
            cut = time.monotonic()
            proxy.cut()
        if first is None and gone > WARM_UP * SECONDS:
            first = daemon.sample()
        for asker in askers:
            asker.step()
        time.sleep(0.01)
    time.sleep(5)  # the last connection is up again
    return first or daemon.sample(), daemon.sample()
