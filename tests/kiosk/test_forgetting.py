"""A visitor leaves, and nothing of theirs is left: on the screen, in memory, in storages, on the board's disk."""

from __future__ import annotations

import time

import pytest

from tests.clients import User
from tests.conftest import wait_until
from tests.kiosk import heap
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
SECRET = "xylophone-7351"
QUESTION = f"What is the capital of France? I ask for {SECRET}."
ANSWER = "Paris"
SHORT = {"idle_seconds": 3, "idle_warning_seconds": 3}
EMPTY = """async () => JSON.stringify([
    localStorage.length, sessionStorage.length, document.cookie, (await indexedDB.databases()).length,
    (await caches.keys()).length, history.length, location.href])"""


def test_an_idle_page_warns_and_forgets(bundle, pages, tmp_path):
    """The real model was asked, and has answered; afterwards the word is nowhere."""
    with box(tmp_path, bundle, SHORT) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        before = visitor.page.evaluate(EMPTY)
        files = here.files()
        assert ANSWER in visitor.ask(QUESTION).answered()
        assert SECRET in visitor.says()
        visitor.part("idle-warning").wait_for()
        assert "Everything is forgotten in" in visitor.part("idle-warning").inner_text()
        visitor.part("attract-start").wait_for()
        wait_until(lambda: SECRET not in visitor.page.content(), 10)
        wait_until(lambda: visitor.page.evaluate(EMPTY) == before, 10)
        assert [each for each in heap.strings(visitor.page) if SECRET in each] == []
        wait_until(lambda: here.kept(SECRET) + here.kept(ANSWER) == [], 10)
        assert here.files() == files


def test_the_board_keeps_answers_of_who_wants_them_kept(bundle, tmp_path):
    """What the test above looks for can be found: an asker who does not say `keep` leaves it there."""
    with box(tmp_path, bundle) as here, User(here.port, "edge/test/reply/someone") as asker:
        here.wait_online()
        asker.publish("edge/test/request/someone", {"prompt": QUESTION, "id": "q", "max_tokens": 16})
        assert ANSWER in asker.answer()[1]["text"]
        assert here.kept(ANSWER)


def test_who_is_still_there_goes_on(pages, tmp_path):
    """A touch, and the conversation is as it was."""
    with box(tmp_path, config=SHORT) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Is it raining?")
        visitor.answered()
        visitor.part("idle-stay").wait_for()
        visitor.part("idle-stay").click()
        visitor.wait_gone("[data-part=idle-warning]")
        assert "Is it raining?" in visitor.says()


def test_a_long_answer_is_no_idleness(pages, tmp_path):
    """Nobody is thrown out while they read what comes."""
    with box(tmp_path, config=SHORT, scripted=("--pieces=100", "--pause-seconds=0.1")) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Tell me everything.")
        started = time.monotonic()
        visitor.answered()
        assert time.monotonic() - started > 8
        assert visitor.screen == "ask"
        assert visitor.text == "word " * 100


@pytest.mark.parametrize("way", ["new", "reload"])
def test_starting_over_forgets(pages, tmp_path, way):
    """By the button as by the browser."""
    with box(tmp_path) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask(f"What is {SECRET}?")
        visitor.answered()
        if way == "new":
            visitor.part("new").click()
        else:
            visitor.page.reload()
        visitor.enter().wait_ready()
        wait_until(lambda: SECRET not in visitor.page.content(), 10)
        assert [each for each in heap.strings(visitor.page) if SECRET in each] == []
        wait_until(lambda: here.kept(SECRET) == [], 10)
