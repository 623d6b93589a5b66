"""Every language that the page has: whole, in its own direction, with its own plurals."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ROOT, wait_until
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
LANGUAGES = sorted(path.stem for path in (ROOT / "deploy/kiosk/languages").glob("*.json"))
UNSAID = r"""() => [...document.querySelectorAll('[data-words], [data-words-label], [data-words-placeholder]')]
    .filter(each => each.dataset.words !== undefined && !each.textContent.trim()
        || each.dataset.wordsLabel !== undefined && !(each.getAttribute('aria-label') ?? '').trim())
    .map(each => each.outerHTML.slice(0, 120))"""


def words(code):
    """A language's table."""
    return json.loads((ROOT / f"deploy/kiosk/languages/{code}.json").read_text(encoding="utf-8"))


def test_there_are_all_of_them():
    """Those of Phi-3.5."""
    assert len(LANGUAGES) == 23


def test_every_language_loads_whole(pages, tmp_path):
    """No text is missing, none is a key, the page says its language and its direction; it fits its width."""
    with box(tmp_path, config={"language": None, "suggestions": ["Why?"]}) as here:
        here.wait_online()
        for code in LANGUAGES:
            visitor = pages(locale=code).open(here.url)
            said = words(code)
            visitor.wait_says(said["state_online"])
            page = visitor.page
            assert page.evaluate("document.documentElement.lang") == code
            assert page.evaluate("document.documentElement.dir") == said["direction"], code
            assert page.title() == said["title"]
            assert visitor.part("prompt").get_attribute("placeholder") == said["placeholder"]
            assert page.evaluate(UNSAID) == [], code
            visitor.ask("?").answered()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), code


@pytest.mark.parametrize("code", ["ar", "he"])
def test_right_to_left_is_mirrored(pages, tmp_path, code):
    """The button to ask is on the left, the bar begins on the right, an English answer keeps its own direction."""
    with box(tmp_path, config={"language": code}) as here:
        here.wait_online()
        visitor = pages().open(here.url)
        visitor.ask("Where is left?").answered()
        field, ask = (visitor.part(name).bounding_box() for name in ("prompt", "ask"))
        assert ask["x"] + ask["width"] <= field["x"]
        title, state = (visitor.part(name).bounding_box() for name in ("title", "state"))
        assert state["x"] < title["x"]
        direction = "element => getComputedStyle(element).direction"
        assert visitor.part("answer-text").last.evaluate(direction) == "ltr"


def test_a_visitor_chooses_their_language(pages, tmp_path):
    """In the middle of a conversation, which stays; who comes next finds the kiosk's own."""
    with box(tmp_path, config={"idle_seconds": 2, "idle_warning_seconds": 1}) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        visitor.ask("What is it?").answered()
        visitor.part("language").click()
        visitor.page.get_by_role("button", name="Deutsch").or_(
            visitor.page.get_by_role("radio", name="Deutsch")
        ).click()
        visitor.wait_says(words("de")["state_online"])
        assert "What is it?" in visitor.says()
        visitor.part("attract-start").wait_for()
        wait_until(lambda: visitor.page.evaluate("document.documentElement.lang") == "en", 10)
