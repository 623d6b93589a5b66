"""Waiting: whose turn it is, and for how long."""

from __future__ import annotations

import re

from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK

pytestmark = KIOSK
PLACE = re.compile(r"(\d+) questions? (?:are|is) before yours")
STORY = "Tell me a story about a lighthouse."
SECONDS = re.compile(r"About (\d+) seconds?")


def test_who_waits_reads_their_place_and_the_seconds(bundle, pages, tmp_path):
    """Each as many as are before; the seconds count down, and every answer comes."""
    slowly = {"EDGE_ENGINE__ROWS": "1", "EDGE_ENGINE__THREADS": "1", "EDGE_ENGINE__DRAFTS": "false"}
    with box(tmp_path, bundle, {"max_tokens": 300}, **slowly) as here:
        here.wait_online()
        tabs = [pages().open(here.url).wait_ready() for _ in range(4)]
        tabs[0].ask(STORY).answered()  # so that the board knows how long it takes
        for number, tab in enumerate(tabs, 1):  # one after the other, while the first is answered
            tab.ask(f"{number}. {STORY}")
        lines = [tab.wait_state("queued").part("queue").last.inner_text() for tab in reversed(tabs[1:])][::-1]
        assert [place(line) for line in lines] == [1, 2, 3]
        seconds = [int(SECONDS.search(line)[1]) for line in lines]
        assert seconds == sorted(seconds)
        left = [int(SECONDS.search(line)[1]) for line in lines_of(tabs[3]) if SECONDS.search(line)]
        assert len(left) > 1
        assert left == sorted(left, reverse=True)
        assert all(tab.answered() and tab.answer_state == "done" for tab in tabs)


def lines_of(tab):
    """What stands there while it waits."""
    found = []
    while tab.answer_state == "queued":
        line = tab.part("queue").last.inner_text()
        found += [line] if PLACE.search(line) and line not in found else []
        tab.page.wait_for_timeout(100)
    return found


def place(line):
    """How many are before it, as the line says."""
    found = PLACE.search(line)
    return int(found[1])
