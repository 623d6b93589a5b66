"""Who stands before the screen: touches, types, reads. Parts of the page go by their `data-part`."""

from __future__ import annotations

import time
from typing import Any

MILLISECONDS = 20_000
NEWEST = "[...document.querySelectorAll('[data-part=turn-answer]')].at(-1)"
NEWEST_TEXT = "[...document.querySelectorAll('[data-part=answer-text]')].at(-1)"
ENDED = ("done", "stopped", "failed")


class Visitor:
    """A tab. page: Playwright's."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(MILLISECONDS)

    def part(self, name: str) -> Any:
        """All elements of a part."""
        return self.page.locator(f"[data-part={name}]")

    def open(self, url: str) -> Visitor:
        """Go to the page, past its attract screen, until something can be asked."""
        self.page.goto(url)
        return self.enter()

    def enter(self) -> Visitor:
        """Past the attract screen, where there is one, until something can be asked."""
        self.page.locator("[data-part=attract-start]:not(:empty):visible, [data-part=prompt]:visible").wait_for()
        if self.screen == "attract":
            self.part("attract").click()
        self.part("prompt").wait_for()
        return self

    @property
    def screen(self) -> str:
        """Which of the page's screens is seen."""
        return str(self.page.evaluate("document.documentElement.dataset.screen"))

    def wait_ready(self) -> Visitor:
        """Until the page knows that the board is there."""
        return self._wait("() => document.querySelector('[data-part=state]').textContent.trim() === 'Ready'", None, 60)

    def ask(self, question: str) -> Visitor:
        """Type it, touch the button, see it on the screen."""
        before = self.part("turn-user").count()
        self.part("prompt").fill(question)
        self.part("ask").click()
        return self._wait("count => document.querySelectorAll('[data-part=turn-user]').length > count", before, 20)

    @property
    def answer(self) -> Any:
        """The newest answer's element."""
        return self.part("turn-answer").last

    @property
    def answer_state(self) -> str | None:
        """Its `data-state`."""
        return self.answer.get_attribute("data-state")  # type: ignore[no-any-return]

    @property
    def text(self) -> str:
        """The newest answer's own text."""
        return str(self.part("answer-text").last.text_content())

    def wait_state(self, *states: str, seconds: float = 60) -> Visitor:
        """Until the newest answer is in one of some states."""
        return self._wait(f"states => states.includes({NEWEST}?.dataset.state)", list(states), seconds)

    def wait_text(self, text: str, seconds: float = 60) -> Visitor:
        """Until a text stands in the newest answer."""
        return self._wait(f"text => {NEWEST}?.textContent.includes(text)", text, seconds)

    def wait_letters(self, count: int, seconds: float = 60) -> Visitor:
        """Until so many of them stand there."""
        return self._wait(f"count => {NEWEST_TEXT}.textContent.length >= count", count, seconds)

    def answered(self, seconds: float = 60) -> str:
        """The newest answer's text once it has ended."""
        self.wait_state(*ENDED, seconds=seconds)
        return str(self.answer.inner_text())

    def says(self) -> str:
        """All text that is on the screen."""
        return str(self.page.locator("body").inner_text())

    def wait_gone(self, selector: str, seconds: float = 20) -> Visitor:
        """Until nothing of it is seen: what a dialog held goes by an event that comes after the dialog is closed."""
        seen = "selector => ![...document.querySelectorAll(selector)].some(each => each.checkVisibility())"
        return self._wait(seen, selector, seconds)

    def wait_screen(self, name: str, seconds: float = 20) -> Visitor:
        """Until this one of the page's screens is seen."""
        return self._wait("name => document.documentElement.dataset.screen === name", name, seconds)

    def wait_says(self, text: str, seconds: float = 60) -> Visitor:
        """Until a text is somewhere on the screen."""
        return self._wait("text => document.body.innerText.includes(text)", text, seconds)

    def _wait(self, what: str, argument: object, seconds: float) -> Visitor:
        until = time.monotonic() + seconds
        while not self.page.evaluate(what, argument):  # Playwright's own waiting is against the page's CSP
            if time.monotonic() > until:
                raise TimeoutError(f"after {seconds} s not {what} of {argument}; there is: {self.says()}")
            self.page.wait_for_timeout(20)
        return self
