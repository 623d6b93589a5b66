"""Whether the daemon still hears and speaks while the model reads a long prompt."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from benchmarks.figure import Figure
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.mqtt.client import Client

ROUNDS = 3
PROMPT = "the keeper climbs the stairs of the tower and lights the lamp again " * 107
"""1,500 tokens of the default model, about."""
PERIOD_SECONDS = 0.25
EVERY_SECONDS = 0.05


def measure(bundle: Path) -> list[Figure]:
    """Over three prefills: the worst round trip of a refused request, the worst lateness of a telemetry message."""
    tokens, trips, late = asyncio.run(worst(bundle))
    return [
        Figure("prefill_prompt_tokens", tokens, "tokens", ">=", 1500),
        Figure("prefill_worst_round_trip_ms", round(max(trips) * 1000, 1), "ms", "<", 200),
        Figure("prefill_worst_telemetry_late_ms", round(max(late) * 1000, 1), "ms", "<", 200),
    ]


async def worst(bundle: Path) -> tuple[int, list[float], list[float]]:
    """Tokens of the prompt, round trips and latenesses in seconds, all taken before the first token."""
    trips: list[float] = []
    late: list[float] = []
    tokens = 0
    topics = (f"edge/{DEVICE}/status", f"edge/{DEVICE}/telemetry")
    period = {"EDGE_TELEMETRY__PERIOD_SECONDS": str(PERIOD_SECONDS)}
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, **period) as daemon,
        Client(Broker(port=port), DEVICE, topics) as client,
        Client(Broker(port=port), DEVICE) as asker,
    ):
        await wait_until_online(client, daemon)
        for number in range(ROUNDS):
            watching = asyncio.create_task(watch(client, trips, late))
            async for body in asker.ask({"prompt": f"{number} {PROMPT}", "max_tokens": 2}):
                if body["type"] in ("delta", "reply"):  # an answer may end at once, without a delta
                    watching.cancel()
                if body["type"] == "reply":
                    tokens = body["usage"]["prompt_tokens"]
            await asyncio.gather(watching, return_exceptions=True)
    return tokens, trips, late


async def watch(client: Client, trips: list[float], late: list[float]) -> None:
    """Send a request that is refused, again and again; note how long each refusal and each telemetry took."""
    sent: dict[str, float] = {}
    probing = asyncio.create_task(probe(client, sent))
    last = time.monotonic()
    try:
        async for message in client.messages():
            now, body = time.monotonic(), json.loads(message.payload)
            if message.topic == client.topics.telemetry:
                late.append(max(body["late_seconds"], now - last - PERIOD_SECONDS))
                last = now
            elif body.get("id") in sent:
                trips.append(now - sent.pop(body["id"]))
    finally:
        probing.cancel()
        trips += [time.monotonic() - at for at in sent.values()]


async def probe(client: Client, sent: dict[str, float]) -> None:
    """An empty prompt every 50 ms; the daemon answers each with a 400."""
    for number in range(1_000_000):
        name = f"probe-{number}"
        sent[name] = time.monotonic()
        client.publish(client.topics.request(client.name), json.dumps({"id": name, "prompt": ""}).encode())
        await asyncio.sleep(EVERY_SECONDS)
