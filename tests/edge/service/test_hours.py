"""Hours of lost connections: nothing is lost with them, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hours import OBJECTS, day


@pytest.mark.slow
def test_hours_of_reconnects_leave_nothing_behind(tmp_path: Path) -> None:
    """Each request is answered once and in order, and nothing grows; `make figures ONLY=hours` takes a whole day."""
    found = day(tmp_path, 6)
    assert found.hours >= 6
    assert found.descriptors_grown == 0
    assert found.objects_grown < OBJECTS
