"""Beginnings of texts that a bundle knows from its first start: read here, by the engine that will use them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.engine import Job
from edge.engine.cache.whose import FILE_SUFFIX, PREFIXES
from export import golden
from export.errors import SourceError

QUESTIONS = ("Yes?", "No.")
"""The engine keeps what two texts have in common; these have nothing in common but what is before them."""


def warm(folder: Path, texts: Sequence[Path]) -> None:
    """Put what the engine remembers of some system prompts into a bundle; SourceError where one cannot be read."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as cache:
        options = {"cache_folder": cache, "prefix_disk_bytes": 1 << 50, "packs": False}
        golden.answers(folder, jobs_of(texts), options)
        (folder / PREFIXES).mkdir()
        for path in Path(cache).rglob(f"*{FILE_SUFFIX}"):
            shutil.move(path, folder / PREFIXES / path.name)


def jobs_of(texts: Sequence[Path]) -> Iterator[Job]:
    """Two questions behind each text."""
    for number, path in enumerate(texts):
        system = {"role": "system", "content": read_prompt(path)}
        for place, question in enumerate(QUESTIONS):
            yield Job(2 * number + place + 1, [system, {"role": "user", "content": question}], 1)


def read_prompt(path: Path) -> str:
    """A system prompt; SourceError where the file holds none."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read as text: {getattr(error, 'strerror', error)}") from error
    if not text:
        raise SourceError(f"{path} is empty; a system prompt to know is wanted")
    return text
