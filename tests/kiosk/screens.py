"""Every screen of the page, one after the other, of a real board with documents of its own."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.conftest import EDGE, ROOT
from tests.kiosk.boxes import Box, box
from tests.kiosk.visitor import Visitor

PIN = "2580"
THEMES = ("light", "dark", "contrast")
SIZES = ((800, 480), (480, 800), (1280, 720), (1080, 1920), (3840, 2160))
PAPERS = {
    "keepers.md": """# The keepers

## The first keeper

Amelia Brandt was the first keeper of Corvo. She lit the lamp in 1887 and kept it for thirty years.

## The last keeper

Her daughter Ida left the tower in 1954, when the lamp became electric.
""",
    "lens.md": """# The lens

## Prisms

The lens has 242 prisms of French glass.

## Mercury

It floats on a bath of mercury and turns once in twelve seconds.
""",
    "visit.html": """<h1>Your visit</h1>
<h2>Opening hours</h2>
<p>The tower is open from nine to five, but not on Mondays. The last visitors climb the stairs at half past four.</p>
<h2>Stairs</h2>
<p>There are 211 steps and no lift.</p>
""",
    "boats.md": """# Boats

## The Petrel

The rescue boat Petrel has six oars and a red sail.

## The storm

In the storm of 1903 she brought home eleven sailors.
""",
}
QUESTION = "When is the tower open?"
CONFIG: dict[str, Any] = {
    "title": {"en": "Corvo Lighthouse", "ar": "منارة كورفو"},
    "welcome": {"en": "What would you like to know about the lighthouse?", "ar": "ماذا تود أن تعرف عن المنارة؟"},
    "suggestions": {
        "en": [QUESTION, "What does the lens float on?", "Who lit the lamp?"],
        "ar": ["متى يفتح البرج؟", "من أشعل المصباح؟"],
    },
    "documents": "museum",
    "documents_url": "/documents/museum/",
    "idle_seconds": 600,
    "staff_pin_sha256": hashlib.sha256(PIN.encode()).hexdigest(),
    "max_tokens": 60,
}


@contextmanager
def lighthouse(folder: Path, bundle: Path) -> Iterator[Box]:
    """A museum's box: the real model, and two documents."""
    papers, into = folder / "papers", folder / "indexes"
    papers.mkdir()
    into.mkdir()
    for name, text in PAPERS.items():
        (papers / name).write_text(text, encoding="utf-8")
    add = [*EDGE, "documents", "add", str(papers), "--name=museum", f"--into={into}"]
    subprocess.run(add, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    serve = (f"--serve=/documents/museum={papers}",)
    with box(folder, bundle, CONFIG, serve=serve, EDGE_DOCUMENTS__FOLDER=str(into)) as here:
        here.wait_online()
        yield here


class Walk:
    """One visitor's way through all screens. look: called on each, by its name."""

    def __init__(self, visitor: Visitor, url: str, look: Callable[[str], None], **config: Any) -> None:
        self.visitor, self.look, self._url, self._config = visitor, look, url, config

    def _open(self, **changes: Any) -> Visitor:
        """The page anew, with other settings."""
        config = {"device": "test", **CONFIG, **self._config, **changes}
        page = self.visitor.page
        page.unroute_all()
        page.route("**/kiosk.json", lambda route: route.fulfill(json=config))
        page.goto(self._url)
        return self.visitor

    def all(self) -> None:
        """Every screen."""
        self.first()
        self.answer()
        self.choices()
        self.staff()
        self.faults()

    def first(self) -> None:
        """Before anything is asked."""
        visitor = self._open()
        visitor.part("attract-start").and_(visitor.page.locator(":not(:empty)")).wait_for()
        self.look("attract")
        visitor.enter()
        visitor.part("suggestion").first.wait_for()
        visitor.part("state").and_(visitor.page.locator("[data-kind=ready]")).wait_for()
        self.look("ask")
        visitor.part("keyboard-toggle").click()
        if visitor.part("keyboard").is_visible():
            self.look("keyboard")
            visitor.part("keyboard-toggle").click()

    def answer(self) -> None:
        """An answer with its sources."""
        visitor = self.visitor
        visitor.ask(QUESTION).answered()
        visitor.page.wait_for_timeout(300)
        self.look("answer")
        visitor.part("source").first.click()
        visitor.part("source-dialog").wait_for()
        self.look("source")
        visitor.part("source-open").click()
        visitor.page.wait_for_timeout(300)
        self.look("document")
        visitor.page.keyboard.press("Escape")

    def choices(self) -> None:
        """Languages and themes."""
        for name in ("language", "theme"):
            self.visitor.part(name).click()
            self.visitor.part("choice-dialog").wait_for()
            self.look(name)
            self.visitor.page.keyboard.press("Escape")

    def staff(self) -> None:
        """The PIN and what is behind it."""
        visitor = self.visitor
        visitor.part("staff-open").click()
        visitor.part("staff-pin").wait_for()
        visitor.part("staff-pin").fill("1")
        visitor.part("staff-enter").click()
        self.look("pin")
        visitor.part("staff-pin").fill(PIN)
        visitor.part("staff-enter").click()
        visitor.part("chart").first.wait_for()
        visitor.page.wait_for_timeout(2500)
        self.look("staff")

    def faults(self) -> None:
        """What can be in the way, one by one."""
        visitor = self._open(idle_seconds=2, idle_warning_seconds=60).enter()
        visitor.part("idle-warning").wait_for()
        self.look("idle-warning")
        visitor = self._open(device="nobody", idle_seconds=0).enter().ask(QUESTION)
        visitor.part("state").and_(visitor.page.locator("[data-kind=wrong], [data-kind=waiting]")).wait_for()
        visitor.page.wait_for_timeout(3500)
        self.look("away")
        visitor = self._open(idle_seconds=0, documents=None, deadline_seconds=1, max_tokens=600, colour="red").enter()
        visitor.ask("Tell me a very long story about a lighthouse and its keepers.").answered()
        visitor.page.wait_for_timeout(300)
        self.look("late")
        visitor = self._open(idle_seconds=0, documents=None, max_tokens=200).enter()
        visitor.ask("Tell me a long story about a lighthouse.").wait_state("streaming")
        self.look("streaming")
