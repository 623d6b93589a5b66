"""The checks of the other tests see what they are for."""

from __future__ import annotations

from base64 import urlsafe_b64encode

from tests.kiosk import axe, heap, netlog
from tests.kiosk.boxes import box, in_base64
from tests.kiosk.browser import Log, chromium
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
CALLS = "<img src='http://example.org/picture.png'><script>new WebSocket('ws://192.0.2.7:9001/')</script>"


def test_a_call_is_seen_as_a_call(playwright, tmp_path):
    """In a browser of its own, which asks two others for something: its log has both, and so has the page's."""
    page_file, log = tmp_path / "calls.html", Log()
    page_file.write_text(CALLS)
    with chromium(playwright, tmp_path / "net.json") as browser:
        page = browser.new_page()
        log.follow(page)
        page.goto(page_file.as_uri())
        page.wait_for_timeout(1500)
    found = " ".join(netlog.foreign(tmp_path / "net.json"))
    assert "example.org" in found
    assert "192.0.2.7" in found
    assert {"http://example.org/picture.png", "ws://192.0.2.7:9001/"} <= set(log.foreign())


def test_axe_sees_a_button_without_a_name(pages):
    """And says which."""
    page = pages(bypass_csp=True).page
    page.set_content("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><button id=bare></button></main>")
    assert any("button-name: #bare" in each for each in axe.violations(page))


def test_the_heap_has_what_was_said(pages, tmp_path):
    """Before it is forgotten."""
    with box(tmp_path) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Who was Ozymandias?")
        visitor.answered()
        assert any("Ozymandias" in each for each in heap.strings(visitor.page))


def test_a_word_is_found_in_base64():
    """Wherever it begins."""
    for before in range(6):
        text = urlsafe_b64encode(b"x" * before + b"xylophone-7351" + b"y")
        assert any(form in text for form in in_base64(b"xylophone-7351")), before
