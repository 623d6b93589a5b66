"""Twenty-four simulated hours of a connection that is lost every five minutes: no answer is, and nothing grows."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from tests.hours import OBJECTS, day

HOURS = 24


def measure(_bundle: Path) -> list[Figure]:
    """Hours that passed with every request answered once, and growth from the second of them to the last."""
    with tempfile.TemporaryDirectory() as folder:
        found = day(Path(folder), HOURS)
    return [
        Figure("hours_of_reconnects", round(found.hours, 2), "hours", ">=", HOURS),
        Figure("hours_descriptors_grown", found.descriptors_grown, "descriptors", "<=", 0),
        Figure("hours_objects_grown", found.objects_grown, "objects", "<=", OBJECTS),
    ]
