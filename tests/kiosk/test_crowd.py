"""Twenty screens of one board at once: every question is answered, and a tab's memory stays what it was."""

from __future__ import annotations

from tests.kiosk.boxes import box
from tests.kiosk.conftest import KIOSK
from tests.kiosk.crowd import CONFIG, ROOM, visits

pytestmark = KIOSK


def test_a_minute_of_twenty_visitors(bundle, pages, tmp_path):
    """The real model; `make figures ONLY=kiosk` takes ten minutes of them."""
    with box(tmp_path, bundle, CONFIG, **ROOM) as here:
        here.wait_online()
        tabs = [pages(viewport={"width": 800, "height": 480}) for _ in range(20)]
        told = visits(tabs, here.url, 60, 20, print)
        assert (told.lost, told.failed) == (0, [])
        assert told.visitors >= 20
        assert told.growth_bytes(20) < 2_000_000
