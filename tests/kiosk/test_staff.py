"""The staff's screen: behind its PIN, with the board's health."""

from __future__ import annotations

import hashlib

from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
PIN = "2580"
CONFIG = {"staff_pin_sha256": hashlib.sha256(PIN.encode()).hexdigest()}


def enter(visitor, pin):
    """Touch the digits, and the button."""
    for digit in pin:
        visitor.part("pin-keys").get_by_text(digit, exact=True).click()
    visitor.part("staff-enter").click()


def test_staff_see_the_boards_health(bundle, pages, tmp_path):
    """By the right PIN alone; three wrong ones in a row make one wait. The charts have what the real board tells."""
    with box(tmp_path, bundle, CONFIG) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        visitor.ask("What is the capital of France?").answered()
        visitor.part("staff-open").click()
        enter(visitor, "1111")
        visitor.wait_says("This PIN is wrong.")
        assert visitor.screen == "ask"
        enter(visitor, PIN)
        visitor.part("staff-panel").wait_for()
        visitor.wait_screen("staff")
        visitor.page.wait_for_timeout(2500)
        assert visitor.part("chart").count() == 4
        shown = dict(
            visitor.part("chart").evaluate_all("all => all.map(each => [each.dataset.reading, each.innerText])")
        )
        assert float(shown["queue"].splitlines()[-1]) == 0
        assert float(shown["speed"].splitlines()[-1]) > 1
        assert "GB" in shown["memory"]
        assert "smollm2" in visitor.part("staff-panel").inner_text().lower()
        visitor.part("staff-close").click()
        visitor.wait_screen("ask")


def test_guessing_is_slow(pages, tmp_path):
    """The third wrong PIN is one too many: a wait, whose seconds are told."""
    with box(tmp_path, config=CONFIG) as here:
        visitor = pages().open(here.url)
        visitor.part("staff-open").click()
        for _ in range(3):
            enter(visitor, "0000")
        visitor.wait_says("Try again in")
        assert visitor.part("staff-enter").is_disabled()


def test_without_a_pin_there_is_no_door(pages, tmp_path):
    """Nothing to touch."""
    with box(tmp_path) as here:
        assert not pages().open(here.url).part("staff-open").is_visible()
