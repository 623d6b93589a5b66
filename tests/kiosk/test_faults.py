"""What the page does when what it stands on goes away: broker, daemon, itself."""

from __future__ import annotations

import json

import pytest

from tests.clients import User
from tests.conftest import wait_until
from tests.kiosk.boxes import box, password_file
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
STORY = "Tell me a long story about a lighthouse, with many people in it."
LONG = {"max_tokens": 400}
SLOW = ("--pieces=400", "--pause-seconds=0.05")


def running(port):
    """How many answers the daemon makes, by its next reading."""
    with User(port, "edge/test/telemetry") as user:
        return json.loads(user.next().payload)["inference"]["running"]


def test_a_reload_shows_nothing_of_before(pages, tmp_path):
    """Nothing stale is seen, and the answer that nobody hears any more ends."""
    with box(tmp_path, scripted=SLOW) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("What is the zebrafish?").wait_text("word")
        wait_until(lambda: running(here.port) == 1)
        visitor.page.reload()
        visitor.enter().wait_ready()
        assert "zebrafish" not in visitor.says()
        assert visitor.part("turn-answer").count() == 0
        wait_until(lambda: running(here.port) == 0, 10)
        assert visitor.ask("And now?").wait_text("word").part("turn-answer").count() == 1


def test_a_tab_that_dies_ends_its_answer(pages, tmp_path):
    """Without a word of farewell: the broker finds nobody who reads it."""
    with box(tmp_path, scripted=SLOW) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask("Who is there?").wait_text("word")
        wait_until(lambda: running(here.port) == 1)
        with visitor.page.expect_event("crash"), pytest.raises(Exception, match="chrome://crash"):
            visitor.page.goto("chrome://crash")
        wait_until(lambda: running(here.port) == 0, 15)


def test_a_broker_that_is_killed_costs_no_answer(bundle, pages, tmp_path):
    """The page says that the connection is gone, comes back by itself, and has its answer, once."""
    with box(tmp_path, bundle, LONG) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask(STORY).wait_state("streaming")
        here.broker.kill(lambda: visitor.wait_says("There is no connection."))
        visitor.wait_ready()
        visitor.answered()
        assert visitor.answer_state == "done"
        assert visitor.part("turn-answer").count() == 1
        assert len(visitor.text) > 200


def test_a_daemon_that_is_killed_begins_anew(bundle, pages, tmp_path):
    """The page says that it was interrupted; the answer arrives once, and is what the board has said."""
    with box(tmp_path, bundle, LONG) as here, User(here.port, "answers/#") as beside:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready().ask(STORY).wait_letters(60)
        here.daemon.kill(lambda: visitor.wait_says("The assistant is away."))
        visitor.wait_says("The answer was interrupted and begins anew.")
        visitor.answered()
        _, reply = beside.answer()
        assert visitor.answer_state == "done"
        assert visitor.part("turn-answer").count() == 1
        assert visitor.text == reply["text"]


def test_a_board_that_is_away_is_waited_for(pages, tmp_path):
    """What was asked meanwhile is answered when it is back."""
    with box(tmp_path) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        here.daemon.stop()
        visitor.wait_says("The assistant is away.")
        visitor.ask("Are you there?")
        visitor.page.wait_for_timeout(1000)
        assert visitor.answer_state in ("sending", "reading")
        here.daemon.start()
        assert "word" in visitor.answered()
        assert visitor.wait_ready().answer_state == "done"


def test_a_question_before_the_broker_is_there_waits(pages, tmp_path):
    """The page was loaded, and the broker went: what is typed then goes out when it is back."""
    with box(tmp_path) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_ready()
        here.broker.stop()
        visitor.wait_says("There is no connection.").ask("Are you there?")
        here.broker.start()
        assert "word" in visitor.answered()


def test_a_wrong_password_is_told_in_words(pages, tmp_path):
    """And nothing else is believed of the board."""
    passwords = password_file(tmp_path, kiosk="right")
    config = {"username": "kiosk", "password": "wrong"}
    with box(tmp_path, config=config, serve=(f"--password-file={passwords}",)) as here:
        pages().open(here.url).wait_says("This page may not speak to the broker. Its password is wrong.")


def test_a_wrong_setting_is_told_in_words(pages, tmp_path):
    """By the key's name; the page works with the rest."""
    with box(tmp_path, config={"idle_secnods": 5, "rate": "often"}) as here:
        here.wait_online()
        visitor = pages().open(here.url).wait_says("idle_secnods").wait_says("rate")
        assert "word" in visitor.wait_ready().ask("Does it work?").answered()
