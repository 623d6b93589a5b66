"""Text that changes from call to call, laid last: behind all that stays, in front of what the user says now.

A text's keys and values can be had again as far as it begins like an earlier one, to the token (decision 62). So the
time of day at the head of a long prompt costs all of it. Here it leaves its place and becomes the first part of the
last turn of `user`; nothing else of a conversation changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal, Protocol, Self

Cache = Literal["volatile"]
"""What a part or a turn may say of itself: it changes from call to call."""
LINE = re.compile(r"[^\n]*\n|[^\n]+")
DIGITS = str.maketrans("0123456789", "##########")
LINE_CHARACTERS = 1024
"""A longer line is never taken for a volatile one that nobody marked."""


class Turn(Protocol):
    """A turn of a conversation; edge.wire.turns.ChatMessage is the real one."""

    @property
    def role(self) -> str:
        """Whose it is."""
        ...

    def volatile(self) -> list[str]:
        """Its texts that change from call to call."""
        ...

    def lasting(self) -> Self | None:
        """The same without them; None where nothing is left."""
        ...

    def turn(self) -> dict[str, str]:
        """As a chat template reads it."""
        ...


def laid(turns: Sequence[Turn], before: Sequence[str] = ()) -> list[dict[str, str]]:
    """A conversation as a chat template reads it, with what is volatile before the last turn of `user` laid into it.

    What stands in that turn and behind it stays where it is; so does all of it where no turn is the user's.
    before: volatile texts that were before the first turn.
    """
    last = next((number for number in reversed(range(len(turns))) if turns[number].role == "user"), None)
    if last is None:
        return [turn.turn() for turn in turns]
    moved = [*before, *(text for turn in turns[:last] for text in turn.volatile())]
    kept = [lasting.turn() for turn in turns[:last] if (lasting := turn.lasting()) is not None]
    own, *behind = (turn.turn() for turn in turns[last:])
    return [*kept, {**own, "content": "\n".join([*moved, own["content"]])}, *behind]


def split(text: str, is_volatile: Callable[[str], bool]) -> tuple[str, list[str]]:
    """A text without those of its lines that are volatile, and these, without their line breaks."""
    kept: list[str] = []
    found: list[str] = []
    for line in LINE.findall(text):
        bare = line.rstrip("\r\n")
        if len(bare) <= LINE_CHARACTERS and is_volatile(bare):
            found.append(bare)
        else:
            kept.append(line)
    return "".join(kept), found


class Forms:
    """Forms of lines: `*` stands for any characters, or none, `#` for a digit (as any digit does), all else for itself.

    White space at both ends counts for nothing.
    No regular expressions: whoever asks writes the lines, and there are lines over which a backtracking one hangs.
    Here a line is walked once for each form.
    """

    def __init__(self, forms: Sequence[str]) -> None:
        self._forms = [tuple(form.strip().translate(DIGITS).split("*")) for form in forms]
        self._least = min((sum(map(len, form)) for form in self._forms), default=0)

    def __bool__(self) -> bool:
        return bool(self._forms)

    def fit(self, line: str) -> bool:
        """Whether a line is of one of them, as a whole."""
        bare = line.strip().translate(DIGITS)
        return len(bare) >= self._least and any(_fits(bare, form) for form in self._forms)


def _fits(line: str, form: tuple[str, ...]) -> bool:
    """Whether a line has the fixed texts of a form in their order, the first and the last at its ends.

    Taking each at its first place never misses: whatever follows has the more room.
    """
    first, *rest = form
    if not rest:
        return line == first
    *middle, last = rest
    if not (line.startswith(first) and line.endswith(last)):
        return False
    start, stop = len(first), len(line) - len(last)
    for each in middle:
        place = line.find(each, start, stop) if start <= stop else -1
        if place < 0:
            return False
        start = place + len(each)
    return start <= stop
