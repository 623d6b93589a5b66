"""Whether Home Assistant takes what boards announce: its own schemas over every board that the tests know.

Needs the environments that `make ha-test` makes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from edge.config import Limits, Settings
from edge.doors.discovery import discovery
from edge.doors.entities import entities
from tests.edge.doors.bodies import BODIES
from tests.edge.doors.home_assistants import WHERE_NOT, accepted, home_assistant, pythons

BOARD = Settings(device="pi", limits=Limits(commands=True))


def measure(_bundle: Path) -> list[Figure]:
    """Components that every release accepts, over all; RuntimeError where none is installed."""
    if not pythons():
        raise RuntimeError(WHERE_NOT)
    messages = {name: discovery(BOARD, body, entities(body), {}).payload.decode() for name, body in BODIES.items()}
    count = refused = 0
    for python in pythons():
        with tempfile.TemporaryDirectory() as folder, home_assistant(python, Path(folder)) as told:
            found, against = accepted(told, messages)
        count, refused = count + found, refused + len(against)
    return [
        Figure("home_assistant_components", count, "components", ">=", 100),
        Figure("home_assistant_accepted_ratio", (count - refused) / count, "ratio", "==", 1),
    ]
