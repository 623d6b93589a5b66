"""Where indexes of documents lie, for who lists them and reads none: nothing is loaded for that."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edge.wire.topics import LEVEL

DOCUMENTS = "documents"
"""The folder of a bundle that has its own."""
ENDING = ".index"
NAMES_MAX = 256
"""That are listed; more can be asked for all the same."""


def names_in(folders: Iterable[Path]) -> list[str]:
    """What can be asked for by name; a folder that cannot be read has nothing."""
    found: set[str] = set()
    for folder in folders:
        try:
            found |= {path.stem for path in folder.iterdir() if path.suffix == ENDING and LEVEL.fullmatch(path.stem)}
        except OSError:
            continue
    return sorted(found)[:NAMES_MAX]
