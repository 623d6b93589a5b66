"""`edge serve`: the daemon from its settings to its exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from typing import Any

from edge.board.host import Board, Cpu, Memory, available_bytes
from edge.board.source import Source
from edge.board.thermal import Thermal
from edge.bundle import Bundle, Manifest, open_bundle
from edge.commands import logs
from edge.config import Settings, describe, load_settings
from edge.mqtt.transport import MqttTransport
from edge.service.announcements import status_message
from edge.service.daemon import Daemon
from edge.service.journal_file import Bounds, JournalFile
from edge.service.protocols import Engine
from edge.service.worker import Worker


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said on the command line; everything else is a setting."""
    parser.add_argument(
        "--print-config", action="store_true", help="show every setting in force, secrets hidden, and end"
    )


def main(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = load_settings()
    if options.print_config:
        print(print_config(settings), end="")
        return 0
    logs.set_up(settings.log_level)
    bundle = checked_bundle(settings)
    asyncio.run(serve(settings, bundle.manifest, Worker(settings.engine)))
    return 0


def checked_bundle(settings: Settings) -> Bundle:
    """The configured bundle, if it is whole and fits this board."""
    engine = settings.engine
    free = available_bytes(settings.telemetry.root)
    return open_bundle(engine.bundle, engine.provider, free, engine.verify_hashes)


async def serve(settings: Settings, manifest: Manifest, engine: Engine) -> None:
    """Put the parts together and run them until a signal."""
    topics = settings.topics
    transport = MqttTransport(
        settings.broker,
        f"edge-{settings.device}",
        topics.subscriptions,
        status_message(topics, "offline"),
        acknowledges=True,
    )
    journal = opened_journal(settings)
    service = Daemon(settings, manifest, transport, engine, board_sources(), journal)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()


def opened_journal(settings: Settings) -> JournalFile:
    """The device's journal, whatever the last daemon left in it."""
    kept = settings.journal
    bounds = Bounds(kept.keep_seconds, kept.keep_count, kept.max_bytes)
    return JournalFile(kept.folder / f"{settings.device}.journal", bounds)


def board_sources() -> list[Source]:
    """What every board can be asked."""
    return [Board(), Thermal(), Memory(), Cpu()]


def print_config(settings: Settings) -> str:
    """The settings as an edge.toml with a comment for each key, secrets hidden."""
    values = settings.model_dump(mode="json")
    lines: list[str] = []
    section = ""
    for path, meaning in describe():
        if len(path) == 2 and path[0] != section:
            section = path[0]
            lines += ["", f"[{section}]"]
        value = values[path[0]][path[1]] if len(path) == 2 else values[path[0]]
        setting = f"# {path[-1]} =" if value is None else f"{path[-1]} = {_toml(value)}"
        lines.append(f"{setting}  # {meaning}")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML spells it, which for these is JSON's way."""
    return json.dumps(value)
