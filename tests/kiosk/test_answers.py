"""Asking, reading, stopping, rating; two tabs; what a board refuses."""

from __future__ import annotations

import json

from tests.clients import User
from tests.conftest import wait_until
from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
SLOW = ("--pieces=200", "--pause-seconds=0.05")


def test_a_visitor_asks_the_real_model(bundle, pages, tmp_path):
    """The answer grows on the screen, and ends as what the board has said to the last letter."""
    with box(tmp_path, bundle) as here, User(here.port, "answers/#") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("What is the capital of France?")
        visitor.wait_state("streaming", "done")
        _, reply = beside.answer()
        assert "Paris" in visitor.answered()
        assert visitor.text == reply["text"]
        assert visitor.answer_state == "done"


def test_it_goes_on_where_the_visitor_goes_on(bundle, pages, tmp_path):
    """The second question goes out with the first and its answer."""
    with box(tmp_path, bundle) as here, User(here.port, "edge/test/request/#") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("What is the capital of France?")
        first = visitor.answered() and visitor.text
        visitor.ask("And of Italy?").answered()
        asked = [json.loads(beside.next().payload) for _ in range(2)]
        said = [turn["content"] for turn in asked[1]["messages"]]
        assert said == ["What is the capital of France?", first, "And of Italy?"]
        assert [each["keep"] for each in asked] == [False, False]


def test_an_answer_is_stopped(pages, tmp_path):
    """What was said stays, and the board says no more."""
    with box(tmp_path, scripted=SLOW) as here, User(here.port, "answers/#") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Tell me everything.").wait_text("word word")
        visitor.part("stop").click()
        assert "Stopped." in visitor.answered(10)
        assert visitor.answer_state == "stopped"
        deltas, reply = beside.answer()
        assert reply["code"] == 499
        assert 2 <= len(deltas) < 200
        assert visitor.ask("And now?").wait_text("word").answer_state == "streaming"


def test_two_tabs_see_their_own_answer_alone(pages, tmp_path):
    """At once, under the same name at the broker."""
    with box(tmp_path, scripted=("--pieces=30", "--pause-seconds=0.05")) as here:
        here.wait_online()
        tabs = [pages().open(here.url).wait_ready() for _ in range(2)]
        for number, tab in enumerate(tabs):
            tab.ask(f"Question {number}")
        for number, tab in enumerate(tabs):
            tab.answered()
            assert f"Question {number}" in tab.part("turn-user").inner_text()
            assert tab.part("turn-answer").count() == 1
            assert tab.text == "word " * 30
            assert f"Question {1 - number}" not in tab.says()


def test_an_answer_is_rated(pages, tmp_path):
    """The board counts it."""
    with box(tmp_path) as here, User(here.port, "edge/test/telemetry") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Are you well?")
        visitor.answered()
        visitor.part("rate-good").click()
        visitor.part("rate-good").and_(visitor.page.locator("[aria-pressed=true]")).wait_for()
        until = [json.loads(beside.next().payload)["inference"]["ratings"] for _ in range(3)]
        assert until[-1] == {"good": 1, "bad": 0}


def test_a_full_board_says_so_in_words(pages, tmp_path):
    """Who comes when the queue is full reads when to ask again, and is free to then."""
    with box(tmp_path, scripted=SLOW, EDGE_LIMITS__QUEUE_LENGTH="1", EDGE_LIMITS__QUEUE_PER_CLIENT="1") as here:
        here.wait_online()
        first, second, third = [pages().open(here.url).wait_ready() for _ in range(3)]
        first.ask("One").wait_text("word")
        second.ask("Two").wait_state("queued", "reading")
        third.ask("Three").wait_state("failed")
        third.wait_says("Too many questions wait.")
        assert third.part("again").last.is_disabled()


def test_a_question_that_comes_too_late_is_told_so(pages, tmp_path):
    """A deadline that passes while it is answered."""
    with box(tmp_path, config={"deadline_seconds": 2}, scripted=("--pieces=200", "--pause-seconds=0.1")) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("What takes long?")
        assert "took too long" in visitor.answered(20)
        assert visitor.answer_state == "failed"


def test_an_answer_is_copied(pages, tmp_path):
    """To the letter; and the clipboard is emptied when the visitor has left."""
    with box(tmp_path, config={"idle_seconds": 3, "idle_warning_seconds": 1}) as here:
        here.wait_online()
        visitor = pages(permissions=["clipboard-read", "clipboard-write"]).open(here.url).wait_ready().ask("Well?")
        visitor.answered()
        visitor.part("copy").click()
        visitor.wait_says("Copied")
        read = "navigator.clipboard.readText()"
        assert visitor.page.evaluate(read) == "word " * 8
        visitor.part("attract-start").wait_for()
        wait_until(lambda: visitor.page.evaluate(read).strip() == "", 10)


def test_without_a_voice_there_is_nothing_to_read_aloud(pages, tmp_path):
    """Debian's Chromium has none by itself."""
    with box(tmp_path) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Well?")
        visitor.answered()
        assert visitor.page.evaluate("speechSynthesis.getVoices().length") == 0
        assert not visitor.part("speak").is_visible()


def test_a_hot_board_is_told(pages, tmp_path):
    """Its event, here from somebody who stands in for a board that gets hot."""
    with box(tmp_path, EDGE_TELEMETRY__PERIOD_SECONDS="600") as here, User(here.port) as board:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        event = {"time": 0, "event": "throttled", "reason": "the firmware lowers the clock"}
        board.publish("edge/test/event", {**event, "is_on": True})
        visitor.wait_says("The board is hot and works more slowly.")
        board.publish("edge/test/event", {**event, "is_on": False})
        visitor.wait_ready()
