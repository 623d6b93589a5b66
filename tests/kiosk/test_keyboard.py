"""Without a pointer, and without keys: by the keyboard alone, by the touch keyboard alone."""

from __future__ import annotations

from tests.conftest import wait_until
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
FOCUS = "document.activeElement?.dataset?.part ?? document.activeElement?.textContent"


def tab_to(visitor, part, most=30, key="Tab"):
    """Press the key until a part has the focus, which must be seen."""
    for _ in range(most):
        if visitor.page.evaluate(FOCUS) == part:
            seen = "getComputedStyle(document.activeElement).outlineStyle"
            assert visitor.page.evaluate(seen) != "none" or part == "prompt", part
            return
        visitor.page.keyboard.press(key)
    raise AssertionError(f"{part} is not reached by {key}; the focus is on {visitor.page.evaluate(FOCUS)}")


def test_from_the_attract_screen_to_the_end_by_keys_alone(pages, tmp_path):
    """Enter begins, typing asks, Escape stops, Tab reaches the answer's buttons, and the way back."""
    config = {"idle_seconds": 90, "suggestions": ["Why is the sky blue?"]}
    with box(tmp_path, config=config, scripted=("--pieces=60", "--pause-seconds=0.05")) as here:
        here.wait_online()
        visitor = pages()
        keys = visitor.page.keyboard
        visitor.page.goto(here.url)
        visitor.part("attract-start").wait_for()
        tab_to(visitor, "attract-start")
        keys.press("Enter")
        visitor.part("prompt").wait_for()
        visitor.wait_ready()
        tab_to(visitor, "suggestion")
        tab_to(visitor, "prompt")
        keys.type("What is red?")
        keys.press("Shift+Enter")
        keys.type("And what is green?")
        keys.press("Enter")
        visitor.wait_text("word")
        assert "What is red?" in visitor.part("turn-user").last.inner_text()
        keys.press("Escape")
        visitor.wait_state("stopped")
        tab_to(visitor, "again")
        keys.press("Enter")
        visitor.wait_state("streaming")
        visitor.answered()
        assert visitor.answer_state == "done"
        tab_to(visitor, "rate-good", key="Shift+Tab")
        keys.press("Space")
        visitor.part("rate-good").and_(visitor.page.locator("[aria-pressed=true]")).wait_for()
        tab_to(visitor, "new", key="Shift+Tab")
        keys.press("Enter")
        visitor.wait_gone("[data-part=turn-answer]")
        tab_to(visitor, "theme")
        keys.press("Enter")
        visitor.page.keyboard.press("Escape")
        wait_until(lambda: visitor.page.evaluate(FOCUS) == "theme", 10)


def test_by_touch_alone(pages, tmp_path):
    """The page's own keys write, erase, shift and ask."""
    with box(tmp_path, config={"keyboard": True}) as here:
        here.wait_online()
        visitor = pages(has_touch=True, viewport={"width": 800, "height": 480}).open(here.url).wait_ready()
        if not visitor.part("keyboard").is_visible():
            visitor.part("keyboard-toggle").tap()
        keys = visitor.part("keyboard")
        keys.wait_for()
        for key in "hix":
            keys.locator(f"[data-key='{key}']").tap()
        keys.locator("[data-key=keyboard_delete]").tap()
        assert visitor.part("prompt").input_value() == "Hi"
        keys.locator("[data-key=ask]").tap()
        visitor.answered()
        assert "Hi" in visitor.part("turn-user").inner_text()
