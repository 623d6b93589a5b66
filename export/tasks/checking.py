"""What somebody answered, read strictly: the answer, the whole answer, and nothing but the answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from export.tasks.questions import Check, Question

NUMBER = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?")
ENDS = ".!。 \t\r\n"
"""What may stand behind a word, and changes nothing."""
ANSWER_MAX = 2000
"""Characters of an answer that is looked at."""


def read(question: Question, text: str) -> Any:
    """What a generated text answers, in a form that can be compared; None where it is no answer of the wanted form."""
    return READERS[question.part.check](text.strip(), question.part.labels) if len(text) <= ANSWER_MAX else None


def is_right(question: Question, text: str) -> bool:
    """Whether a generated text is the answer to a question."""
    found = read(question, text)
    return found is not None and found == read(question, question.answer)


def is_same(question: Question, one: str, other: str) -> bool:
    """Whether two texts give one answer; of what is none, whether they are alike to the letter."""
    found = [read(question, text) for text in (one, other)]
    return one.strip() == other.strip() if found[0] is None else found[0] == found[1]


def _number(text: str, _labels: tuple[str, ...]) -> float | None:
    """19, 19.0 and "19." are one number; "19 litres" is none."""
    text = text.rstrip(ENDS)
    return float(text) if NUMBER.fullmatch(text) else None


def _object(text: str, _labels: tuple[str, ...]) -> str | None:
    """A JSON object, its keys in one order; a key twice, or anything beside it, makes it none."""
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return json.dumps(found, sort_keys=True) if isinstance(found, dict) else None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key twice")
    return made


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's")


def _label(text: str, labels: tuple[str, ...]) -> str | None:
    """One of the labels, in any case."""
    word = text.rstrip(ENDS).casefold()
    return word if word in {label.casefold() for label in labels} else None


def _word(text: str, _labels: tuple[str, ...]) -> str | None:
    """A single word, in any case."""
    word = text.rstrip(ENDS).casefold()
    return word if word and not re.search(r"\s", word) else None


READERS: Mapping[Check, Callable[[str, tuple[str, ...]], Any]] = {
    "number": _number,
    "object": _object,
    "label": _label,
    "word": _word,
}
"""A reader a form of answer; what it makes of equal answers is equal."""
