"""`edge status`: what a board says of itself, from its retained messages and its next reading."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from typing import Any

from edge.commands.connection import add_connection, connected_settings
from edge.errors import BrokerError
from edge.mqtt.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which board, and how long to wait for its reading."""
    parser.add_argument("--wait", type=float, default=12, metavar="SECONDS", help="for a reading (default: 12)")
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
    base = f"edge/{device}"
    async with Client(settings.broker, device, (f"{base}/status", f"{base}/info", f"{base}/telemetry")) as client:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(options.wait):
                async for message in client.messages():
                    found[message.topic.rpartition("/")[2]] = json.loads(message.payload)
                    away = found.get("status", {}).get("state") == "offline"
                    if {"status", "info", "telemetry"} <= set(found) or (away and "info" in found):
                        break
    return found


def describe(found: dict[str, Any]) -> str:
    """A few lines for a person."""
    lines = [f"{found['device']}: {found['status']['state']}"]
    if info := found.get("info"):
        lines.append(f"model {info['model']} on {info['provider']}, context {info['context_length']} tokens")
    if telemetry := found.get("telemetry"):
        lines.append(describe_telemetry(telemetry))
    return "\n".join(lines)


def describe_telemetry(reading: dict[str, Any]) -> str:
    """Heat, memory, load and speed in a line."""
    thermal, memory, cpu = (reading.get(name) for name in ("thermal", "memory", "cpu"))
    parts = [f"{thermal['hottest_celsius']:.1f} °C" if thermal else "no temperature sensor"]
    if memory:
        parts.append(f"{memory['available_bytes'] / 2**30:.1f} of {memory['total_bytes'] / 2**30:.1f} GiB memory free")
    if cpu:
        parts.append(f"processor {cpu['used_percent']:.0f} % busy")
    rate = reading.get("inference", {}).get("decode_tokens_per_second")
    return ", ".join([*parts, f"{rate:.1f} tokens/s"] if rate else parts)
