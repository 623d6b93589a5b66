"""What a board asks a bundle with each of its adapters before it keeps it, and what it must hear."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.bundle import Adapter, Manifest
from export import golden


def with_questions(folder: Path, manifest: Manifest, sources: Mapping[str, Path]) -> list[Adapter]:
    """The adapters of a bundle's folder; those of `sources` were asked, by an engine of their own.

    A file golden.json in an adapter's own folder has its questions (export/golden.py); without one it is asked what
    the bundle was. sources: PEFT's folders by the adapters' names. Raises FidelityError where one answers otherwise
    than its own file says, or not at all, and SourceError where that file is none.
    """
    return list(_asked(folder, manifest, sources))


def _asked(folder: Path, manifest: Manifest, sources: Mapping[str, Path]) -> Iterator[Adapter]:
    for each in manifest.adapters:
        if each.name not in sources:
            yield each
            continue
        own = sources[each.name] / golden.FILE
        if own.is_file():
            answers = golden.ask_own(folder, own, each.name)
        else:
            answers = golden.ask(folder, _prompts(folder), manifest.context_length, tells=True, adapter=each.name)
        yield each.model_copy(update={"golden": golden.questions(answers)})


def _prompts(folder: Path) -> list[str]:
    """What the bundle itself was asked."""
    file = folder / golden.FILE
    asked = json.loads(file.read_text("utf-8")) if file.is_file() else []
    return [each["messages"][-1]["content"] for each in asked]
