"""Settings and what they become."""

from __future__ import annotations

from dataclasses import asdict

from edge.config import Engine
from edge.engine import Options


def test_the_engine_and_its_settings_have_the_same_defaults(tmp_path):
    """Each option of the engine is a setting of its name, and means the same where nobody sets it."""
    own, settings = asdict(Options()), Engine(cache_folder=tmp_path).model_dump()
    assert own.pop("cache_folder") == ""  # only a daemon has a place for what makes the next start faster
    assert own == {name: settings[name] for name in own}
