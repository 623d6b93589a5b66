"""Whether any context ends the engine: all from 16 to 300 and every recipe's, with both caches and rotary tables."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from tests import contexts


def measure(_bundle: Path) -> list[Figure]:
    """How many cases ended an engine, or an answer before its context did."""
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = contexts.write_source(folder)
        for case in contexts.cases([*contexts.EVERY, *contexts.of_recipes()]):
            found = contexts.deaths(folder / "bundle", checkpoint, case)
            print(*found, sep="\n", end="\n" if found else "", flush=True)
            wrong += found[:1]
    return [Figure("engine_deaths_by_context", len(wrong), "cases", "==", 0)]
