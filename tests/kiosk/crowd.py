"""Twenty visitors, each at a screen of their own, one after another, for as long as it takes; and what that leaves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.kiosk import heap
from tests.kiosk.visitor import Visitor

CONFIG: dict[str, Any] = {"idle_seconds": 8, "idle_warning_seconds": 2, "max_tokens": 24}
"""Who says nothing for so long has left."""
ROOM = {"EDGE_LIMITS__QUEUE_LENGTH": "40", "EDGE_LIMITS__QUEUE_PER_CLIENT": "40"}
"""All of them are one client to the board, whose usual limits are for eight."""
QUESTIONS = ("What is the capital of {}?", "And what do people eat there?")
PLACES = ("France", "Italy", "Spain", "Japan", "Norway", "Egypt", "Peru", "Kenya", "Greece", "Poland")
SEEN = """() => {
    const answer = [...document.querySelectorAll('[data-part=turn-answer]')].at(-1);
    return {
        screen: document.documentElement.dataset.screen,
        answers: document.querySelectorAll('[data-part=turn-answer]').length,
        state: answer?.dataset.state ?? '',
        text: answer?.querySelector('[data-part=answer-text]').textContent ?? '',
    };
}"""


@dataclass
class Told:
    """What came of it. heaps: by the second, the bytes of one tab's script after its garbage was collected."""

    visitors: int = 0
    asked: int = 0
    answered: int = 0
    failed: list[str] = field(default_factory=list)
    heaps: list[tuple[float, int]] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Questions without a whole answer."""
        return self.asked - self.answered

    def growth_bytes(self, since: float) -> int:
        """How much more the tab holds at the end than at the first sample after so many seconds."""
        first = next(used for at, used in self.heaps if at >= since)
        return self.heaps[-1][1] - first


class Screen:
    """A tab through which visitors go."""

    def __init__(self, visitor: Visitor, number: int, told: Told) -> None:
        self._visitor, self._told = visitor, told
        self._next, self._place = 0, number
        self.is_open = False
        """Whether a question waits for its answer."""

    def step(self, may_begin: bool) -> None:
        """Do what the next visitor would do now, if anything."""
        seen = self._visitor.page.evaluate(SEEN)
        if self.is_open:
            self._read(seen)
        elif seen["screen"] == "attract":
            if may_begin:
                self._arrive()
        elif self._next < len(QUESTIONS):
            self._ask(seen["answers"])

    def _arrive(self) -> None:
        self._visitor.part("attract-start").click()
        self._next, self._place = 0, self._place + 1
        self._told.visitors += 1

    def _ask(self, answers: int) -> None:
        self._visitor.part("prompt").fill(QUESTIONS[self._next].format(PLACES[self._place % len(PLACES)]))
        self._visitor.part("ask").click()
        self._next, self._wanted, self.is_open = self._next + 1, answers + 1, True
        self._told.asked += 1

    def _read(self, seen: dict[str, Any]) -> None:
        if seen["answers"] < self._wanted or seen["state"] not in ("done", "failed", "stopped"):
            return
        self.is_open = False
        if seen["state"] == "done" and seen["text"].strip():
            self._told.answered += 1
        else:
            self._told.failed.append(f"{seen['state']} {self._visitor.part('answer-note').last.inner_text()}")


def visits(tabs: list[Visitor], url: str, seconds: float, sample_seconds: float, tell: Callable[[str], None]) -> Told:
    """Have visitors come and go in all tabs, the last ones answered to the end; look at the first tab's memory."""
    told = Told()
    for tab in tabs:
        tab.page.goto(url)
    screens = [Screen(tab, number, told) for number, tab in enumerate(tabs)]
    started, due = time.monotonic(), 0.0
    while (at := time.monotonic() - started) < seconds or any(screen.is_open for screen in screens):
        for screen in screens:
            screen.step(may_begin=at < seconds)
        if at >= due:
            due += sample_seconds
            told.heaps.append((at, heap.used_bytes(tabs[0].page)))
            tell(f"{at:.0f} s: {told.answered} of {told.asked} answered, {told.heaps[-1][1] / 1e6:.2f} MB")
        if at > seconds + 120:
            break
    tabs[0].part("attract-start").wait_for(timeout=60_000)
    told.heaps.append((time.monotonic() - started, heap.used_bytes(tabs[0].page)))
    return told


def parade(visitor: Visitor, visitors: int, since: int) -> int:
    """Have so many go through one tab, two questions each; by how many bytes it grows from one of them to the end."""
    first = 0
    for number in range(visitors):
        for question in QUESTIONS:
            visitor.ask(question.format(PLACES[number % len(PLACES)])).answered()
        visitor.part("new").click()
        visitor.part("welcome").wait_for()
        if number == since:
            first = heap.used_bytes(visitor.page)
    return heap.used_bytes(visitor.page) - first
