"""`edge status`: what a board says of itself, once or as it goes on; or every board at its broker."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from edge.commands.boards import READY
from edge.commands.connection import add_connection, connected_settings, seconds
from edge.commands.running import run
from edge.commands.seen import Boards, check_known, hear, hear_who_is_there
from edge.commands.status_lines import in_a_line, text_of
from edge.commands.streams import is_drawn_on
from edge.config import Settings
from edge.mqtt.client import Client

log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which board, and how it is shown."""
    parser.add_argument("--all", action="store_true", help="every board that its broker knows")
    parser.add_argument("--once", action="store_true", help="print how it is now, and end; so it is without a terminal")
    parser.add_argument("--json", action="store_true", help="print everything once, as one JSON object")
    parser.add_argument("--wait", type=seconds, default=12, metavar="SECONDS", help="for a reading (default: 12)")
    add_connection(parser, "look at")


def main(options: argparse.Namespace) -> int:
    """Show the state; exit status 0 where the board, with --all every one, answers who asks, else 1."""
    settings = connected_settings(options)
    seen = Boards(None if options.all else settings.device)
    watching = watcher() if is_drawn_on() and not options.once and not options.json else None
    if watching is not None:
        run(watching(settings, seen))
    else:
        run(collect(settings, seen, options.wait))
        print(as_json(seen) if options.json else as_text(seen))
    return 0 if all(board.found["status"].get("state") in READY for board in seen.all() if board.is_known) else 1


def watcher() -> Callable[[Settings, Boards], Coroutine[Any, Any, None]] | None:
    """The live view; None where the library is not there that draws it, which is told."""
    try:
        from edge.commands.status_live import watch
    except ImportError:
        log.warning("shown once: `pip install 'edge-slm[live]'` brings what it takes to watch it here")
        return None
    return watch


async def collect(settings: Settings, seen: Boards, wait_seconds: float) -> None:
    """All that comes in time. BrokerError where the board is not known, or none is."""
    async with Client(settings.broker, settings.device, seen.topics) as client:
        end = time.monotonic() + wait_seconds
        await hear_who_is_there(client, seen, wait_seconds)
        await check_known(settings, seen)
        await hear(client, seen, max(0, end - time.monotonic()), lambda: all(each.is_complete for each in seen.all()))


def as_json(seen: Boards) -> str:
    """One board as an object, or all by their names."""
    found: dict[str, Any] = {board.found["device"]: board.found for board in seen.all() if board.is_known}
    return json.dumps(found if seen.named is None else found[seen.named], indent=2)


def as_text(seen: Boards) -> str:
    """One board in a dozen lines, or a line for each of all."""
    if seen.named is not None:
        return text_of(seen.known[seen.named].found)
    more = [f"there are more than {len(seen.known)}: these came first"] if seen.left_out else []
    return "\n".join([*(in_a_line(board.found) for board in seen.all() if board.is_known), *more])
