"""`edge serve`: the daemon from its settings to its exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from edge.board.host import Board, Cpu, Memory, available_bytes, total_bytes
from edge.board.source import Source
from edge.board.systemd import Notifier
from edge.board.thermal import Thermal
from edge.board.verified import VerifiedFiles
from edge.bundle import Bundle, Manifest, check_hashes, open_bundle
from edge.commands import logs
from edge.config import Engine as EngineSettings
from edge.config import Settings, describe, load_settings
from edge.errors import EdgeError, StartError
from edge.mqtt.transport import MqttTransport
from edge.service.announcements import status_message
from edge.service.daemon import Daemon
from edge.service.journal_file import Bounds, JournalFile
from edge.service.protocols import Engine
from edge.service.worker import Worker

log = logging.getLogger(__name__)

VERIFIED = "verified.json"
"""In the cache folder."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said on the command line; everything else is a setting."""
    parser.add_argument(
        "--print-config", action="store_true", help="show every setting in force, secrets hidden, and end"
    )


def main(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until the loop listens for it
    try:
        settings = load_settings()
        if options.print_config:
            print(print_config(settings), end="")
        else:
            run(settings)
    except EdgeError as error:
        Notifier().status(str(error))  # what `systemctl status` shows until the next start
        raise
    return 0


def run(settings: Settings) -> None:
    """From the bundle to the end; StartError where the system has not what every process needs."""
    logs.set_up(settings.log_level)
    Notifier().starting("looking at the bundle")
    try:
        bundle = checked_bundle(settings, verify_hashes=False)
        engine = Worker(settings.engine, check=partial(check_hashes_of, bundle, settings.engine))
        asyncio.run(serve(settings, bundle.manifest, engine))
    except (OSError, MemoryError) as error:
        log.error("this was not foreseen", exc_info=error)
        raise StartError(f"the system refuses what the daemon needs: {error or 'memory'}") from error


def checked_bundle(settings: Settings, verify_hashes: bool = True) -> Bundle:
    """The configured bundle, if it is whole and fits this board."""
    engine, root = settings.engine, settings.telemetry.root
    free, board = available_bytes(root), total_bytes(root)
    return open_bundle(engine.bundle, engine.provider, free, verify_hashes, board_bytes=board)


def check_hashes_of(bundle: Bundle, settings: EngineSettings, tell: Callable[[str], None]) -> None:
    """What sizes do not show. tell: how far it is.

    Files that were verified before, and were not touched since, are not read again (edge/board/verified.py).
    """
    if not settings.verify_hashes:
        return
    total, done = sum(entry.size_bytes for entry in bundle.manifest.files.values()) or 1, 0

    def progress(_name: str, size: int) -> None:
        nonlocal done
        done += size
        tell(f"checking the bundle: {100 * done / total:.1f} % of {total / 1e9:.2f} GB")

    verified = VerifiedFiles(settings.cache_folder / VERIFIED)
    try:
        check_hashes(bundle.path, bundle.manifest, progress, verified)
    finally:
        verified.save()


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
