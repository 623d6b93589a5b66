"""Debian's Chromium, driven by Playwright, and all that its pages ask for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.kiosk import netlog

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FEATURES = (
    "AutofillServerCommunication",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "PaintHolding",
    "HttpsUpgrades",
)
ARGUMENTS = [
    "--no-sandbox",  # root has none
    # Chromium itself asks its maker how forms are filled in, and for a model of its own, whatever its policies say:
    f"--disable-features={','.join(FEATURES)}",
    "--component-updater=url-source=http://127.0.0.1:9/",
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # a camera that shows a green clock
]
WHERE_NOT = "Playwright is not installed: make kiosk-test"
EXPECTED = (
    "WebSocket connection to",
    "WebSocket is already in CLOSING",
    "ERR_CONNECTION_REFUSED",
    "Blocked script execution in",
)
"""What Chromium itself says where a broker is not there, and of a document's script in its sandbox."""


@dataclass
class Log:
    """What pages have asked for and complained of."""

    urls: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def follow(self, page: Any) -> None:
        """Write down what a page does from now on."""
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("websocket", lambda socket: self.urls.append(socket.url))
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        page.on("console", lambda message: self._hear(message.type, message.text))

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and not any(words in text for words in EXPECTED):
            self.complaints.append(f"{kind}: {text}")

    def foreign(self) -> list[str]:
        """Addresses that are not of this machine."""
        hosts = [(url, urlsplit(url)) for url in self.urls]
        return [url for url, parts in hosts if parts.hostname and not netlog.is_local(parts.hostname)]


@contextmanager
def playing() -> Iterator[Any]:
    """Playwright, of which a thread has one at a time. RuntimeError where it or Chromium is missing."""
    if shutil.which(CHROMIUM) is None:
        raise RuntimeError(f"{CHROMIUM} is not there: sudo apt install chromium fonts-dejavu-core, or set CHROMIUM")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise RuntimeError(WHERE_NOT) from error
    with sync_playwright() as playwright:
        yield playwright


@contextmanager
def chromium(playwright: Any, log: Path, *arguments: str) -> Iterator[Any]:
    """A browser without a window; its own log of the network is in a file afterwards."""
    options = [*ARGUMENTS, f"--log-net-log={log}", *arguments]
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
    try:
        yield browser
    finally:
        browser.close()
