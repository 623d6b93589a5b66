"""One Chromium for all tests of the page, and what none of them may do: ask anybody else, or complain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kiosk import netlog, offline
from tests.kiosk.browser import Log, chromium, playing
from tests.kiosk.visitor import Visitor

KIOSK = [
    pytest.mark.kiosk,
    pytest.mark.checkout,
    pytest.mark.skipif("RUN_KIOSK" not in os.environ, reason="wants Chromium and Playwright: make kiosk-test"),
]
Open = Callable[..., Visitor]


@pytest.fixture(scope="session")
def playwright() -> Iterator[Any]:
    """What drives all browsers."""
    with playing() as started:
        yield started


@pytest.fixture(scope="session")
def browser(playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium; at the end its own log has nobody in it but this machine."""
    assert offline.is_offline(), "there is a network here: python -m tests.kiosk.offline COMMAND"
    log = tmp_path_factory.mktemp("chromium") / "net.json"
    with chromium(playwright, log) as started:
        yield started
    assert netlog.foreign(log) == []


@pytest.fixture
def pages(browser: Any) -> Iterator[Open]:
    """Opens tabs, each of a visitor with a browser's profile of their own; what they ask and say is looked at last."""
    log, contexts = Log(), []

    def opened(**options: Any) -> Visitor:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 720}, "locale": "en-GB", **options})
        contexts.append(context)
        context.on("page", log.follow)
        return Visitor(context.new_page())

    yield opened
    for context in contexts:
        context.close()
    assert log.foreign() == []
    assert log.complaints == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a box keeps its things."""
    return tmp_path
