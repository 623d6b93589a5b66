"""`edge rollout`: say which bundle a board is to run, and wait until it does, or says why not."""

from __future__ import annotations

import argparse
import asyncio
import re
import uuid
from typing import Any

from edge.commands.connection import add_connection, connected_settings, seconds
from edge.commands.logs import visible
from edge.commands.running import run
from edge.config import Settings
from edge.errors import BadRequest
from edge.mqtt.client import Client, json_object
from edge.wire.desired import parse_desired
from edge.wire.message import Message, retained

ENDS = {"kept": 0, "rolled_back": 1, "refused": 1}
"""States that end a wish, with the exit status for each."""
OUT_OF_TIME = 4
NAMED = re.compile(r"[^@]+(@[^@]+)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle, and how long to wait for it."""
    parser.add_argument("bundle", metavar="NAME[@VERSION]", type=named, help="default version: the channel's newest")
    parser.add_argument("--channel", help="default: the board's own, store.channel")
    parser.add_argument("--id", default=uuid.uuid4().hex[:12], help="what the wish is called (default: a new name)")
    parser.add_argument(
        "--wait", type=seconds, metavar="SECONDS", help="for its end: exit status 0 kept, 1 not kept, 4 out of time"
    )
    add_connection(parser, "tell")


def named(text: str) -> dict[str, str]:
    """A bundle by its name, and its version where one is said; ArgumentTypeError for something else."""
    if not NAMED.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no bundle; one is NAME or NAME@VERSION")
    name, _, version = text.partition("@")
    return {"name": name, **({"version": version} if version else {})}


def main(options: argparse.Namespace) -> int:
    """Publish the wish; with --wait, follow it to its end."""
    settings = connected_settings(options)
    bundle = options.bundle | ({"channel": options.channel} if options.channel else {})
    wish = retained(settings.topics.desired, {"bundle": bundle, "id": options.id})
    try:
        parse_desired(wish)
    except BadRequest as fault:
        options.parser.error(fault.message)
    return run(rolled(settings, wish, options.id, options.wait))


async def rolled(settings: Settings, wish: Message, name: str, wait_seconds: float | None) -> int:
    """An exit status. name: the wish's id."""
    reported = settings.topics.reported
    async with Client(settings.broker, settings.device, (reported,)) as client:
        await client.leave(wish)
        print(f"{settings.device} is to run it; the wish is called {name}", flush=True)
        if wait_seconds is None:
            return 0
        try:
            async with asyncio.timeout(wait_seconds):
                return await _followed(client, reported, name)
        except TimeoutError:
            print(f"not done after {wait_seconds:g} s; the wish stands")
            return OUT_OF_TIME


async def _followed(client: Client, topic: str, name: str) -> int:
    before = ""
    async for message in client.messages():
        body = json_object(message.payload) if message.topic == topic else None
        if body is None or body.get("id") != name:
            continue
        if (line := line_of(body)) != before:
            print(line, flush=True)
        before = line
        if (state := body.get("state")) in ENDS:
            return ENDS[str(state)]
    raise AssertionError("messages end with an error alone")


def line_of(body: dict[str, Any]) -> str:
    """A state as a line for a person."""
    share, reason = body.get("progress"), body.get("reason")
    percent = f" {share:.0%}" if isinstance(share, float | int) and not isinstance(share, bool) else ""
    return visible(f"{body.get('state')}{percent}{f': {reason}' if reason else ''}")[:240]
