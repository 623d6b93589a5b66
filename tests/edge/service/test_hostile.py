"""Hostile messages: each gets a fault or an answer, none ends the daemon, none is kept."""

from __future__ import annotations

import asyncio
import json

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.message import Message
from tests.hostile import hostile

NAMES = {
    "ContentType": "content_type",
    "ResponseTopic": "response_topic",
    "CorrelationData": "correlation_data",
    "UserProperty": "user_properties",
    "MessageExpiryInterval": "message_expiry_interval",
}
CODES = {200, 400, 404, 408, 409, 413, 415, 429, 503}


def test_hostile_messages_get_a_fault_each():
    """A thousand of nine kinds: a terminal message each, on a topic that is allowed, with a code of the contract."""

    async def work():
        transport, engine = MemoryTransport(), ScriptedEngine()
        settings = Settings(device="test", limits={"queue_length": 10_000, "queue_per_client": 10_000})
        service = Daemon(
            settings, Seat(Served(scripted_manifest(), engine)), transport, Instruments(), JournalFile(None)
        )
        running = asyncio.create_task(service.run())
        for each in hostile(1000):
            properties = {NAMES[name]: value for name, value in each.properties.items()}
            if "user_properties" in properties:
                properties["user_properties"] = tuple(properties["user_properties"])
            transport.arrive(Message("edge/test/request/me", each.payload, 1, each.retain, **properties))
            if not engine.alive:
                await asyncio.sleep(0.01)
        transport.arrive(Message("edge/test/request/me", b'{"prompt": "still there?", "id": "last"}'))
        while not any(body["id"] == "last" for body in transport.bodies("reply")):
            await asyncio.sleep(0.05)
        service.stop()
        await running
        replies = [message for message in transport.published if b'"type":"reply"' in message.payload]
        assert {json.loads(message.payload)["code"] for message in replies} <= CODES
        assert all(message.topic.startswith(("edge/test/reply", "answers")) for message in replies)
        repeated = 1000 - (len(replies) - 1)
        assert 0 <= repeated < 200, "only repeats of an open request are silent"

    asyncio.run(asyncio.wait_for(work(), 60))
