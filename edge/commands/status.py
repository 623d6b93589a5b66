"""`edge status`: what a board says of itself, from its retained messages and its next reading."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Iterator
from typing import Any

from edge.commands.connection import add_connection, connected_settings, seconds
from edge.errors import BrokerError
from edge.mqtt.client import Client

WORDS = 0.75
"""English words a token, about."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which board, and how long to wait for its reading."""
    parser.add_argument("--wait", type=seconds, default=12, metavar="SECONDS", help="for a reading (default: 12)")
    parser.add_argument("--json", action="store_true", help="print everything as one JSON object")
    add_connection(parser, "look at")


def main(options: argparse.Namespace) -> int:
    """Print the state; exit status 0 where the board is online, else 1."""
    found = asyncio.run(collect(options))
    if not found.get("status"):
        raise BrokerError(f"no board named {found['device']} is known to this broker")
    print(json.dumps(found, indent=2) if options.json else describe(found))
    return 0 if found["status"]["state"] == "online" else 1


async def collect(options: argparse.Namespace) -> dict[str, Any]:
    """status, info and telemetry, as far as they come in time."""
    settings = connected_settings(options)
    device = settings.device
    found: dict[str, Any] = {"device": device}
    topics = settings.topics
    async with Client(settings.broker, device, (topics.status, topics.info, topics.telemetry)) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.wait):
                async for message in client.messages():
                    found[message.topic.rpartition("/")[2]] = json.loads(message.payload)
                    away = found.get("status", {}).get("state") == "offline"
                    if {"status", "info", "telemetry"} <= set(found) or (away and "info" in found):
                        break
    return found


def describe(found: dict[str, Any]) -> str:
    """A line a thing for a person, with what its number means."""
    reason = f": {found['status']['reason']}" if "reason" in found["status"] else ""
    parts = [("board", f"{found['device']} is {found['status']['state']}{reason}")]
    if info := found.get("info"):
        parts.append(("model", describe_model(info)))
    if telemetry := found.get("telemetry"):
        parts += describe_reading(telemetry, found.get("info", {}))
    return "\n".join(f"{name:10} {text}" for name, text in parts)


def describe_model(info: dict[str, Any]) -> str:
    """Which, on what, and how much it can read."""
    tokens = info["context_length"]
    held = f"a question and its answer have {tokens} tokens together, about {round(tokens * WORDS, -2):.0f} words"
    return f"{info['model']} on the {info['provider']} provider; {held}"


def describe_reading(reading: dict[str, Any], info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a board tells of itself, as names and texts."""
    thermal, memory, cpu = (reading.get(name) for name in ("thermal", "memory", "cpu"))
    slows = "most boards slow down at 80 to 85"
    yield "heat", f"{thermal['hottest_celsius']:.1f} °C; {slows}" if thermal else "no temperature sensor"
    if memory:
        yield "memory", f"{gibibytes(memory['available_bytes'])} of {gibibytes(memory['total_bytes'])} GiB free"
    if cpu:
        yield "processor", f"{cpu['used_percent']:.0f} % busy"
    if answers := reading.get("inference"):
        yield from describe_answers(answers, info)


def describe_answers(answers: dict[str, Any], info: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What the daemon does and has done since it was started."""
    rows, length = info.get("rows", 1), info.get("queue_length", 0)
    yield "queue", f"{answers['running']} of {rows} answers grow now, {answers['queue_length']} of {length} places wait"
    if rate := answers["decode_tokens_per_second"]:
        read = answers["prefill_tokens_per_second"]
        yield (
            "speed",
            f"an answer grows by {rate:.1f} tokens a second, about {rate * WORDS:.0f} words; read at {read:.0f}",
        )
    counts = answers["requests"]
    others = ", ".join(f"{count} × {code}" for code, count in sorted(counts.items()) if code != "200")
    yield "answers", f"{counts.get('200', 0)} given since the start{f'; others: {others}' if others else ''}"


def gibibytes(count: int) -> str:
    """With one digit."""
    return f"{count / 2**30:.1f}"


def describe_telemetry(reading: dict[str, Any]) -> str:
    """Heat, memory, load and speed in a line."""
    thermal, memory, cpu = (reading.get(name) for name in ("thermal", "memory", "cpu"))
    parts = [f"{thermal['hottest_celsius']:.1f} °C" if thermal else "no temperature sensor"]
    if memory:
        parts.append(f"{gibibytes(memory['available_bytes'])} of {gibibytes(memory['total_bytes'])} GiB memory free")
    if cpu:
        parts.append(f"processor {cpu['used_percent']:.0f} % busy")
    rate = reading.get("inference", {}).get("decode_tokens_per_second")
    return ", ".join([*parts, f"{rate:.1f} tokens/s"] if rate else parts)
