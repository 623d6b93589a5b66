"""`edge bench`: how fast the model is on this board, through MQTT and straight at the engine, in one run."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from pathlib import Path

from edge.client import Client
from edge.config import Broker
from edge.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.engine import Job, Options, TextEngine, answer
from edge.engine.opening import open_engine

PROMPT = "Write a long story about a lighthouse keeper and the sea."
ROUNDS = 5
TOKENS = 192


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle, how often, how much."""
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"medians are taken over (default: {ROUNDS})")
    parser.add_argument("--tokens", type=int, default=TOKENS, help=f"length of an answer (default: {TOKENS})")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")


def main(options: argparse.Namespace) -> int:
    """Measure and print."""
    figures = asyncio.run(bench(options.bundle, options.rounds, options.tokens))
    print(json.dumps(figures, indent=2) if options.json else table(figures))
    return 0


async def bench(bundle: Path, rounds: int, tokens: int) -> dict[str, float]:
    """Decode speed both ways, the order alternated, medians and the ratio of them.

    Tokens a second count from the end of the prefill, as the engine reports it, to the last byte of the answer,
    as its asker sees it.
    """
    direct: list[float] = []
    through: list[float] = []
    engine = open_engine(bundle, Options())
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port) as daemon,
        Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) as client,
    ):
        await wait_until_online(client, daemon)
        for number in range(rounds):
            for mqtt in (True, False) if number % 2 else (False, True):
                if mqtt:
                    through.append(await decode_through_mqtt(client, tokens))
                else:
                    direct.append(await asyncio.to_thread(decode_directly, engine, tokens))
    ratios = [ours / theirs for ours, theirs in zip(through, direct, strict=True)]
    return {
        "decode_direct_tokens_per_second": round(statistics.median(direct), 2),
        "decode_mqtt_tokens_per_second": round(statistics.median(through), 2),
        "decode_mqtt_over_direct": round(statistics.median(ratios), 4),
    }


async def decode_through_mqtt(client: Client, tokens: int) -> float:
    """Tokens a second of one streamed answer."""
    started = time.monotonic()
    async for body in client.ask({"prompt": PROMPT, "max_tokens": tokens}):
        if body["type"] == "reply":
            spent = time.monotonic() - started - body["timings"]["prefill_seconds"]
            return float(body["usage"]["completion_tokens"] / spent)
    raise RuntimeError("the answer did not end")


def decode_directly(engine: TextEngine, tokens: int) -> float:
    """Tokens a second of the same answer without MQTT and without a second process."""
    job = Job(id=1, messages=[{"role": "user", "content": PROMPT}], max_tokens=tokens)
    started = time.monotonic()
    finished = answer(engine, job)
    return finished.completion_tokens / (time.monotonic() - started - finished.prefill_seconds)


def table(figures: dict[str, float]) -> str:
    """The figures, a line each."""
    return "\n".join(f"{name:36} {value:10g}" for name, value in figures.items())
