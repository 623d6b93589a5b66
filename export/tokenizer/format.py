"""The parts of a tokenizer.json that more than one file here looks at."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from export.errors import SourceError

Told = dict[str, Any]
"""A tokenizer.json."""


def parsed(text: str, name: str = "tokenizer.json") -> Told:
    """What a JSON text says; SourceError where it is no object."""
    try:
        told = json.loads(text)
    except ValueError as error:
        raise SourceError(f"{name} is not JSON: {error}; copy it again") from error
    if not isinstance(told, dict):
        raise SourceError(f"{name} should hold a JSON object; copy it again")
    return told


def written(told: Mapping[str, Any]) -> str:
    """As a file says it."""
    return json.dumps(told, ensure_ascii=False, indent=1) + "\n"


def vocabulary(told: Mapping[str, Any]) -> dict[str, int]:
    """The model's tokens with their ids, added ones aside; Unigram keeps a list of pairs."""
    found = told.get("model", {}).get("vocab", {})
    if isinstance(found, list):
        return {each[0]: number for number, each in enumerate(found)}
    return dict(found)


def steps(part: Mapping[str, Any] | None, key: str) -> Iterator[Mapping[str, Any]]:
    """A part's steps one after the other, those within others too. key: what a sequence of such parts calls them."""
    if part and part.get("type") == "Sequence":
        for each in part[key]:
            yield from steps(each, key)
    elif part:
        yield part


def added(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tokens that are matched whole, before anything is cut."""
    return list(told.get("added_tokens") or [])
