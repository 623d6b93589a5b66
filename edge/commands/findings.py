"""What `edge doctor` finds, and how well: `ok`, a thing to look at, or BAD, each in a line that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from edge.commands.logs import visible
from edge.errors import EdgeError, Interrupted, OutputError
from edge.mqtt.client import UNREADABLE

Grade = Literal["ok", "look", "BAD"]
SHOWN = 600
"""Characters of a line; a board's own words are among them."""


class Finding(NamedTuple):
    """One line. look: it may slow or surprise, BAD: it keeps the board from its work. What is merely absent is ok."""

    text: str
    grade: Grade = "ok"


def look(text: str) -> Finding:
    """Something that somebody should look at."""
    return Finding(text, "look")


def bad(text: str) -> Finding:
    """Something that somebody must put right."""
    return Finding(text, "BAD")


Reading = Mapping[str, Any]
"""A telemetry body, of this machine's own sensors or from a board: then it is somebody else's JSON."""
Check = Callable[[], Iterable[Finding]]


def found_by(check: Check) -> Iterator[Finding]:
    """What a check finds; an error that names itself is BAD, and so is a board that is not understood."""
    try:
        yield from check()
    except (Interrupted, OutputError):
        raise
    except (EdgeError, OSError) as error:
        yield bad(str(error))
    except UNREADABLE as error:
        yield bad(f"what the board says cannot be read ({type(error).__name__}): are board and program of one version?")


def report(checks: Mapping[str, Check]) -> int:
    """Print what all of them find, a line each, and how much of it wants something; how many are BAD."""
    grades: list[Grade] = []
    for name, check in checks.items():
        for text, grade in found_by(check):
            shown = visible(text)
            print(f"{grade:4} {name:10} {shown if len(shown) <= SHOWN else f'{shown[:SHOWN]}…'}", flush=True)
            grades.append(grade)
    print(sentence(grades.count("BAD"), grades.count("look"), len(grades)))
    return grades.count("BAD")


def sentence(is_bad: int, to_look_at: int, lines: int) -> str:
    """All of it in a few words."""
    if is_bad:
        return f"{is_bad} of {lines} lines are BAD, {to_look_at} to look at: each says what to do"
    if to_look_at:
        return f"nothing is BAD; {to_look_at} of {lines} lines to look at: each says what to do"
    return "all is well"
