"""`python -m tests.kiosk.measure BUNDLE SECONDS`: the page's figures, as a line of JSON; for benchmarks/kiosk.py.

To be run where there is no network, with the packages of .venv-kiosk.
"""

from __future__ import annotations

import gzip
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.clients import User
from tests.kiosk import axe, crowd, netlog
from tests.kiosk.boxes import PAGE, Box, box
from tests.kiosk.browser import chromium, playing
from tests.kiosk.screens import THEMES, Walk, lighthouse
from tests.kiosk.visitor import Visitor

LOADS = 9
QUESTIONS = (
    "Tell me about the sea.",
    "What does a lighthouse do?",
    "Why is the sky blue?",
    "How do ships find their way?",
    "Who invented the wheel?",
    "What is glass made of?",
)
VISITORS = 20
MANY = (240, 60)
"""Visitors of one tab, and after which of them its memory should stay what it is."""
INTERACTIVE = """
new MutationObserver((_, observer) => {
    const part = name => document.querySelector(`[data-part=${name}]`);
    const [field, state] = [part('prompt'), part('state')];
    if (!field?.checkVisibility() || field.disabled || state?.dataset.kind !== 'ready') return;
    window.interactiveAt = performance.now();
    observer.disconnect();
}).observe(document, {subtree: true, childList: true, attributes: true, characterData: true});
"""
PAINTED = """
window.painted = [];
new MutationObserver(() => requestAnimationFrame(() => {
    const text = [...document.querySelectorAll('[data-part=answer-text]')].at(-1)?.textContent ?? '';
    window.painted.push([text.length, Date.now()]);
})).observe(document, {subtree: true, childList: true, characterData: true});
"""
"""The frame after the one in which an answer has changed has begun: that one is on the screen."""


def page_kb() -> float:
    """All that is handed out, each file gzipped."""
    files = [path for path in PAGE.rglob("*") if path.is_file()]
    return sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) / 1000


def interactive_ms(browser: Any, here: Box) -> float:
    """From a navigation's start until a question can be asked of a board that is there; the median, nothing cached."""
    return statistics.median(one_load(browser, here.url) for _ in range(LOADS))


def one_load(browser: Any, url: str) -> float:
    """Of one fresh profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.add_init_script(INTERACTIVE)
    page.goto(url)
    while (at := page.evaluate("window.interactiveAt")) is None:
        page.wait_for_timeout(20)
    context.close()
    return float(at)


def delta_ms(browser: Any, here: Box) -> list[float]:
    """Of each piece of real answers: from when another subscriber has it until it is on the screen."""
    found: list[float] = []
    clock = time.time() - time.monotonic()
    with User(here.port, "answers/#") as beside:
        page = browser.new_page()
        page.add_init_script(PAINTED)
        visitor = Visitor(page).open(here.url).wait_ready()
        for question in QUESTIONS:
            page.evaluate("window.painted.length = 0")
            visitor.ask(question).answered()
            page.wait_for_timeout(200)
            painted = page.evaluate("window.painted")
            found += latencies(pieces(beside, clock), painted)
            visitor.part("new").click()
        page.close()
    return found


def pieces(beside: User, clock: float) -> list[tuple[int, float]]:
    """Letters of the answer after each piece, and when it came (ms since 1970)."""
    found, letters = [], 0
    while True:
        message = beside.next()
        body = json.loads(message.payload)
        if body["type"] == "reply":
            return found
        if body["type"] == "delta":
            letters += len(body["text"].encode("utf-16-le")) // 2
            found.append((letters, (message.timestamp + clock) * 1000))


def latencies(told: list[tuple[int, float]], painted: list[tuple[int, float]]) -> list[float]:
    """For each piece, until as many letters were on the screen."""
    return [next(at for length, at in painted if length >= letters) - when for letters, when in told]


def axe_of_all(browser: Any, here: Box) -> tuple[int, list[str]]:
    """Screens that were looked at in every theme, both ways of writing; what was found."""
    looked: list[str] = []
    found: list[str] = []
    for theme in THEMES:
        for language in ("en", "ar"):
            context = browser.new_context(viewport={"width": 1280, "height": 720}, bypass_csp=True)
            page = context.new_page()

            def look(name: str, page: Any = page, where: str = f"{theme} {language}") -> None:
                looked.append(name)
                found.extend(f"{where} {name}: {each}" for each in axe.violations(page))

            Walk(Visitor(page), here.url, look, theme=theme, language=language).all()
            context.close()
    return len(looked), found


def crowd_of(browser: Any, here: Box, seconds: float) -> crowd.Told:
    """Visitors in tabs with profiles of their own."""
    contexts = [browser.new_context(viewport={"width": 800, "height": 480}) for _ in range(VISITORS)]
    tabs = [Visitor(context.new_page()) for context in contexts]
    told = crowd.visits(tabs, here.url, seconds, max(5.0, seconds / 10), say)
    for context in contexts:
        context.close()
    return told


def say(words: str) -> None:
    """To who waits."""
    print(f"  {words}", file=sys.stderr, flush=True)


def measured(bundle: Path, seconds: float, folder: Path) -> dict[str, float]:
    """All figures, by their names in benchmarks/kiosk.py."""
    places = [folder / name for name in ("quiet", "museum", "many", "crowd")]
    for place in places:
        place.mkdir()
    with playing() as playwright, chromium(playwright, folder / "net.json") as browser:
        with box(places[0], bundle, {"max_tokens": 120}) as here:
            here.wait_online()
            interactive = interactive_ms(browser, here)
            deltas = sorted(delta_ms(browser, here))
        say(f"{len(deltas)} pieces, median {statistics.median(deltas):.1f} ms, most {deltas[-1]:.1f} ms")
        with lighthouse(places[1], bundle) as here:
            screens, against = axe_of_all(browser, here)
        with box(places[2], scripted=("--pieces=30",)) as here:
            here.wait_online()
            grown = crowd.parade(Visitor(browser.new_page()).open(here.url).wait_ready(), *MANY)
        with box(places[3], bundle, crowd.CONFIG, **crowd.ROOM) as here:
            here.wait_online()
            told = crowd_of(browser, here, seconds)
    foreign = netlog.foreign(folder / "net.json")
    for words in [*against, *told.failed, *foreign]:
        say(words)
    return {
        "page_kb": page_kb(),
        "interactive_ms": interactive,
        "delta_ms_p95": deltas[int(len(deltas) * 0.95)],
        "off_loopback_requests": len(foreign),
        "axe_screens": screens,
        "axe_violations": len(against),
        "visitors": told.visitors,
        "answers_lost": told.lost,
        "heap_growth_of_many_mb": grown / 1e6,
        "heap_growth_mb": told.growth_bytes(seconds / 5) / 1e6,
    }


def main(bundle: str, seconds: str) -> None:
    """Print them."""
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(Path(bundle), float(seconds), Path(folder))))


if __name__ == "__main__":
    main(*sys.argv[1:])
