"""The daemon with its Assist door, as a process: asked by the wyoming library's own client."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wyoming.asr import Transcript
from wyoming.client import AsyncTcpClient

from tests.clients import User
from tests.conftest import free_port, running, wait_for_port, wait_until
from tests.edge.doors.assist.test_visit import asked


@contextmanager
def board(folder: Path, broker: int, *arguments: str, **settings: str) -> Iterator[tuple[int, Path]]:
    """A scripted daemon; its door's port and its log."""
    port = free_port()
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(broker), "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env |= {"EDGE_TELEMETRY__PERIOD_SECONDS": "0.2"}
    env |= {"EDGE_ASSIST__ADDRESS": f"127.0.0.1:{port}"}
    log = folder / "daemon.log"
    with running([sys.executable, "-m", "edge.testing", *arguments], log, env | settings):
        wait_for_port(port)
        yield port, log


def test_it_answers_two_at_once(broker, tmp_path):
    """Each of them the whole, in pieces; nothing is logged as wrong."""

    async def play(port: int) -> None:
        for events in await asyncio.gather(asked(port, "a", conversation_id="a"), asked(port, "b")):
            chunks = [each.data["text"] for each in events if each.type == "handled-chunk"]
            (whole,) = [each.data["text"] for each in events if each.type == "handled"]
            assert "".join(chunks) == whole == "word " * 5

    with board(tmp_path, broker, "--pieces=5") as (port, log), User(broker) as user:
        user.wait_online("pi")
        asyncio.run(play(port))
        assert "Traceback" not in log.read_text()
        assert "WARNING" not in log.read_text()


def test_who_leaves_has_the_request_cancelled(broker, tmp_path):
    """So that its row is free for the next: the telemetry counts it as cancelled."""

    async def leave(port: int) -> None:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Transcript("x").event())
            assert (await asyncio.wait_for(client.read_event(), 20)).type == "handled-start"

    at = User(broker, "edge/pi/telemetry")
    with board(tmp_path, broker, "--pieces=100000", "--pause-seconds=0.01") as (port, _), at as user:
        asyncio.run(leave(port))
        wait_until(lambda: json.loads(user.next(15).payload)["inference"]["requests"].get("499") == 1)


def test_it_answers_without_a_broker(tmp_path):
    """A door needs none."""
    with board(tmp_path, free_port()) as (port, _):
        assert asyncio.run(asked(port, "x"))[-2].data["text"] == "word word "
