"""The Assist door before the real model."""

from __future__ import annotations

import asyncio
from pathlib import Path

from wyoming.info import Describe, Info

from tests.conftest import free_port, serving, wait_for_port
from tests.edge.doors.assist.test_visit import AsyncTcpClient, asked, heard


async def described(port: int) -> Info:
    """What it says it offers."""
    async with AsyncTcpClient("127.0.0.1", port) as client:
        await client.write_event(Describe().event())
        return Info.from_event((await heard(client, "info"))[0])


def test_pieces_are_the_whole_and_a_conversation_goes_on(bundle: Path, tmp_path: Path):
    """Without a broker; the second sentence is answered after the first, under the same name."""
    port = free_port()
    settings = {"EDGE_ASSIST__ADDRESS": f"127.0.0.1:{port}", "EDGE_ASSIST__MAX_TOKENS": "24"}
    with serving(bundle, 1, tmp_path, **settings):
        wait_for_port(port, 120)
        for text in ("What is the capital of France?", "And how large is it?"):
            events = asyncio.run(asked(port, text, conversation_id="c1"))
            chunks = "".join(each.data["text"] for each in events if each.type == "handled-chunk")
            (whole,) = [each.data["text"] for each in events if each.type == "handled"]
            assert chunks.strip() == whole.strip() != ""
        (program,) = asyncio.run(described(port)).handle
        assert program.models[0].name
