"""The questions: templates of `material/` with their slots filled in, the same on every machine."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle, islice, zip_longest
from pathlib import Path
from string import Template
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

MATERIAL = Path(__file__).with_name("material")
OF_A_KIND = 40
"""Questions that a file has at most."""
DRAWS = 20
"""Tries to fill a template in as it was not before."""
Check = Literal["number", "object", "label", "word"]


class Pair(NamedTuple):
    """A question, or the template of one, and its answer."""

    question: str
    answer: str


class Passage(BaseModel):
    """A text and what is asked of it; empty where the questions tell everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = ""
    asks: tuple[Pair, ...]


class Span(BaseModel):
    """Whole numbers, both ends among them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    first: int
    last: int


class Part(BaseModel):
    """Questions that are answered in one form.

    check: that form. instruction: what a conversation begins with. labels: the answers that there are, where check is
    `label`. examples: questions with answers that a conversation begins with, and that are not counted.
    templates, slots: `$slot` in a template is one of the slot's words or numbers. `$sum`, `$difference` and `$product`
    are those of the slots a and b, of b and c for the last.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    check: Check
    instruction: str
    labels: tuple[str, ...] = ()
    examples: tuple[Pair, ...]
    templates: tuple[Passage, ...]
    slots: dict[str, Span | tuple[str, ...]] = {}


class Kind(BaseModel):
    """A file of material. language: ISO 639-1."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, eq=False)
class Question:
    """A question, itself alone like itself. kind: of which file. part: what it shares with others."""

    kind: str
    language: str
    part: Part
    prompt: str
    answer: str


@cache
def kinds() -> Mapping[str, Kind]:
    """All material by its files' names."""
    files = sorted(MATERIAL.glob("*.toml"))
    return {file.stem: Kind(**tomllib.loads(file.read_text(encoding="utf-8"))) for file in files}


QUESTIONS_MAX = OF_A_KIND * len(list(MATERIAL.glob("*.toml")))
"""All that there are."""


def questions(count: int) -> list[Question]:
    """The first `count`, kinds by turns; QUESTIONS_MAX at most. Fewer of them are always the beginning of more."""
    return list(_all()[:count])


@cache
def _all() -> tuple[Question, ...]:
    by_turns = zip_longest(*(_of_kind(name, kind) for name, kind in kinds().items()))
    return tuple(each for each in chain.from_iterable(by_turns) if each is not None)


def _of_kind(name: str, kind: Kind) -> Iterator[Question]:
    """A kind's, its parts by turns."""
    drawn = [_drawn(part, random.Random(f"{name} {number}")) for number, part in enumerate(kind.parts)]  # noqa: S311
    turns = islice(chain.from_iterable(zip(*drawn, strict=False)), OF_A_KIND)
    for part, (prompt, answer) in zip(cycle(kind.parts), turns, strict=False):
        yield Question(name, kind.language, part, prompt, answer)


def _drawn(part: Part, chance: random.Random) -> Iterator[Pair]:
    """Pairs of a part, none twice, each template once before one comes again, until all is said."""
    pairs = [Pair(f"{each.text} {ask.question}".strip(), ask.answer) for each in part.templates for ask in each.asks]
    seen: set[str] = set()
    said = -1
    while said < len(seen):
        said = len(seen)
        chance.shuffle(pairs)
        for pair in pairs:
            tries = (_filled(pair, part, chance) for _ in range(DRAWS))
            if new := next((each for each in tries if each.question not in seen), None):
                seen.add(new.question)
                yield new


def _filled(pair: Pair, part: Part, chance: random.Random) -> Pair:
    values = {name: _one_of(choices, chance) for name, choices in part.slots.items()}
    a, b, c = (int(values.get(name, 0)) for name in "abc")
    values |= {"sum": str(a + b), "difference": str(a - b), "product": str(b * c)}
    return Pair(*(Template(text).substitute(values) for text in pair))


def _one_of(choices: Span | tuple[str, ...], chance: random.Random) -> str:
    if isinstance(choices, Span):
        return str(chance.randint(choices.first, choices.last))
    return chance.choice(choices)
