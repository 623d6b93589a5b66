"""Waiting: whose turn it is, and for how long."""

from __future__ import annotations

import re

from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
PLACE = re.compile(r"(\d+) questions? (?:are|is) before yours|Your question is next")
SECONDS = re.compile(r"About (\d+) seconds?")


def test_who_waits_reads_their_place_and_the_seconds(pages, tmp_path):
    """Each as many as are before; the places fall, and every answer comes."""
    with box(tmp_path, scripted=("--pieces=40", "--pause-seconds=0.1")) as here:
        here.wait_online()
        tabs = [pages().open(here.url).wait_ready() for _ in range(4)]
        tabs[0].ask("First").answered()  # so that the board knows how long it takes
        for number, tab in enumerate(tabs):
            tab.ask(f"Number {number}").wait_state("queued" if number else "streaming")
        lines = [tab.part("queue").last.inner_text() for tab in tabs[1:]]
        assert [place(line) for line in lines] == [0, 1, 2]
        seconds = [int(SECONDS.search(line)[1]) for line in lines]
        assert seconds == sorted(seconds)
        assert all(1 <= each <= 30 for each in seconds)
        tabs[3].wait_says("Your question is next.")
        assert all(tab.answered() and tab.answer_state == "done" for tab in tabs)


def place(line):
    """How many are before it, as the line says."""
    found = PLACE.search(line)
    return int(found[1] or 0)
