"""`edge browser`: a page on this board's screen, and nothing else, whatever becomes of browser, page or server."""

from __future__ import annotations

import argparse
import asyncio
import http.client
import logging
import time
from contextlib import suppress
from html import escape
from typing import Any
from urllib.parse import SplitResult, urlsplit

from edge.board.systemd import Notifier
from edge.commands.kiosk_chromium import with_chromium
from edge.commands.kiosk_pipe import LostError, Pipe, RefusedError
from edge.commands.logs import set_up
from edge.commands.running import run
from edge.errors import Interrupted, StartError, UsageError

log = logging.getLogger(__name__)

DELAY_SECONDS, DELAY_SECONDS_MAX = 0.5, 5.0
LOAD_SECONDS = 60.0
FETCH_SECONDS = 5.0
STARTS_MAX = 5
"""So many browsers in a row that never showed the page: whoever started us may know better."""
CRASHES_MAX, CRASH_SECONDS = 3, 60.0
"""A page that takes its renderer with it more often than so gets another browser."""
EMPTY = "about:blank"
PARTS_OF_THE_BROWSER = ".top-chrome/"
"""In the address of what Chromium's own window is made of."""
WAITING = """\
<!doctype html><meta charset="utf-8"><title>{text}</title><body style="margin:0;height:100vh;display:grid;
place-items:center;background:#111;color:#eee;font:6vmin sans-serif;cursor:none"><p dir="auto" role="status">{text}</p>
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which page, and how patient to be."""
    parser.add_argument("url", type=address, metavar="URL", help="the page: http or https")
    parser.add_argument("--cage", action="store_true", help="under the compositor cage, where there is no desktop")
    parser.add_argument("--waiting", default="Starting…", metavar="TEXT", help="what is shown until the page is there")
    parser.add_argument("--ask-seconds", type=seconds, default=10.0, metavar="S", help="how often it is to answer")
    parser.add_argument(
        "--silence-seconds", type=seconds, default=30.0, metavar="S", help="how long it may not, before it is ended"
    )
    parser.add_argument("--flag", action="append", default=[], metavar="FLAG", help="one more for Chromium; repeatable")


def address(text: str) -> str:
    """A page's address. ArgumentTypeError for another kind."""
    try:
        parts = urlsplit(text)
        is_page = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_page = False
    if not is_page:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a page, such as http://127.0.0.1:9001/")
    return text


def seconds(text: str) -> float:
    """Between 0.1 and 3600. ArgumentTypeError otherwise."""
    with suppress(ValueError):
        if 0.1 <= float(text) <= 3600:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.1 to 3600")


def main(options: argparse.Namespace) -> int:
    """Show the page until a signal ends it, with 0; StartError where no browser will, UsageError for a wrong flag."""
    set_up("info")
    if wrong := [flag for flag in options.flag if not flag.startswith("--")]:
        raise UsageError(f"--flag={wrong[0]}: a flag of Chromium begins with --")
    try:
        return run(keep(Kiosk(options)))
    except Interrupted:
        return 0


async def keep(kiosk: Kiosk) -> int:
    """One browser after the other. StartError after STARTS_MAX that never showed the page."""
    failed = 0
    while True:
        kiosk.shown = 0
        try:
            flags = [names(kiosk.options.url), *kiosk.options.flag]
            await with_chromium(flags, kiosk.event, kiosk.show, kiosk.options.cage)
        except (LostError, RefusedError) as error:
            failed = 0 if kiosk.shown else failed + 1
            if failed >= STARTS_MAX:
                raise StartError(f"{failed} browsers in a row did not show the page; the last: {error}") from error
            log.warning("%s; it is begun anew", error)
            kiosk.notifier.status(f"the browser is begun anew: {error}")
            kiosk.notifier.watchdog()
        await asyncio.sleep(DELAY_SECONDS)


class Kiosk:
    """A page in a browser, watched."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.notifier = Notifier()
        self.shown = 0
        """How often this browser has shown the page."""
        self._target = ""
        self._session = ""
        self._loaded, self._away = asyncio.Event(), asyncio.Event()
        self._crashes: list[float] = []

    async def show(self, pipe: Pipe) -> None:
        """The page, as long as the browser bears it. LostError or RefusedError where it does not."""
        self._target, self._pipe, self._crashes = "", pipe, []
        await self._attach()
        while True:
            await self._wait()
            if why := await self._open():
                log.warning("%s: %s", self.options.url, why)
                await asyncio.sleep(DELAY_SECONDS)
                continue
            self.shown += 1
            self.notifier.ready(f"showing {self.options.url}")
            log.info("showing %s", self.options.url)
            await self._watch()
            log.warning("the page is gone; it is opened again")

    async def _attach(self) -> None:
        """To the browser's one page."""
        targets = (await self._call("Target.getTargets"))["targetInfos"]
        self._target = next(each["targetId"] for each in targets if each["type"] == "page" and each["url"] == EMPTY)
        answer = await self._call("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = answer["sessionId"]
        for domain in ("Page", "Inspector"):
            await self._call(f"{domain}.enable", self._session)
        await self._call("Target.setDiscoverTargets", discover=True)

    async def _wait(self) -> None:
        """Say in words that there is nothing yet, until the page's server has it."""
        delay = DELAY_SECONDS
        frame = (await self._call("Page.navigate", self._session, url=EMPTY))["frameId"]
        html = WAITING.format(text=escape(self.options.waiting))
        await self._call("Page.setDocumentContent", self._session, frameId=frame, html=html)
        while why := await asyncio.to_thread(missing, urlsplit(self.options.url)):
            log.info("waiting for %s: %s", self.options.url, why)
            self.notifier.starting(f"waiting for {self.options.url}: {why}")
            await self._ask()
            await asyncio.sleep(delay)
            delay = min(2 * delay, DELAY_SECONDS_MAX)

    async def _open(self) -> str | None:
        """Load the page; what is wrong where that fails."""
        self._loaded.clear()
        self._away.clear()
        answer = await self._call("Page.navigate", self._session, url=self.options.url)
        if "errorText" in answer:
            return str(answer["errorText"])
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                await self._loaded.wait()
        except TimeoutError:
            return f"it has not loaded in {LOAD_SECONDS:g} s"
        await self._call("Page.resetNavigationHistory", self._session)  # Alt and an arrow lead nowhere
        return None

    async def _watch(self) -> None:
        """Until the page is gone; LostError where nobody answers for it."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.options.ask_seconds):
                    await self._away.wait()
                return
            await self._ask()

    async def _ask(self) -> None:
        """A sign of life, from the page's own thread to systemd."""
        await self._call("Runtime.evaluate", self._session, expression="1")
        self.notifier.watchdog()

    async def _call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        return await self._pipe.call(method, session, self.options.silence_seconds, **parameters)

    def event(self, method: str, parameters: dict[str, Any]) -> None:
        """What the browser says unasked."""
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Page.frameNavigated":
            self._navigated(parameters["frame"])
        elif method == "Inspector.targetCrashed":
            self._crashed()
        elif method in ("Target.targetDestroyed", "Target.detachedFromTarget"):
            if parameters.get("targetId") == self._target:
                raise LostError("the page was closed")
        elif method == "Target.targetCreated":
            self._created(parameters["targetInfo"])

    def _navigated(self, frame: dict[str, Any]) -> None:
        """Away from the page's server, or to an error."""
        if "parentId" not in frame:
            is_here = origin(urlsplit(frame["url"])) == origin(urlsplit(self.options.url))
            if "unreachableUrl" in frame or not is_here:
                self._away.set()

    def _crashed(self) -> None:
        now = time.monotonic()
        self._crashes = [*(each for each in self._crashes if now - each < CRASH_SECONDS), now]
        if len(self._crashes) > CRASHES_MAX:
            raise LostError(f"the page has crashed {len(self._crashes)} times in {CRASH_SECONDS:g} s")
        log.warning("the page has crashed")
        self._away.set()
        self._loaded.set()

    def _created(self, target: dict[str, Any]) -> None:
        """Nobody opens a second page here."""
        if (
            target["type"] == "page"
            and target["targetId"] != self._target
            and PARTS_OF_THE_BROWSER not in target["url"]
        ):
            log.info("closing what was opened beside the page")
            self._pipe.tell("Target.closeTarget", targetId=target["targetId"])


def names(url: str) -> str:
    """The flag by which no name but the page's own is looked up, whatever part of Chromium wants to call whom."""
    return f"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE {urlsplit(url).hostname}"


def origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Of an address."""
    return parts.scheme, parts.hostname, parts.port


def missing(parts: SplitResult) -> str | None:
    """What is wrong with the page's server; None where it hands out the page."""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=FETCH_SECONDS)
    try:
        connection.request("GET", parts._replace(scheme="", netloc="", fragment="").geturl() or "/")
        status = connection.getresponse().status
        return None if status < 400 else f"its server answers {status}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
