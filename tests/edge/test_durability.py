"""The daemon and the broker are killed while many ask: nothing is lost, nothing is answered in two ways."""

from __future__ import annotations

import pytest

from tests.storm import storm


@pytest.mark.mosquitto
def test_kills_lose_nothing(tmp_path):
    """Every request has one terminal message, however often it arrives; only what a kill interrupted runs again."""
    outcome = storm(tmp_path, requests=120, askers=4, daemon_kills=2, broker_kills=1)
    assert (outcome.lost, outcome.contradicted, outcome.failed) == (0, 0, 0)
    assert outcome.kills == {"daemon": 2, "broker": 1}
    assert set(outcome.begun) == set(outcome.answers)
