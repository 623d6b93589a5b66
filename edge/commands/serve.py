"""`edge serve`: the daemon from its settings to its exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from edge.board import heap
from edge.board.instruments import Instruments
from edge.board.mailbox import Mailbox, by_ioctl
from edge.board.memory import Processes, available_bytes, total_bytes
from edge.board.sensors import Sensors
from edge.board.source import Source
from edge.board.sources import every_source
from edge.board.systemd import Notifier
from edge.board.verified import VerifiedFiles
from edge.board.wattmeter import Wattmeter, fast_meters
from edge.bundle import MANIFEST, Bundle, check_hashes, open_bundle
from edge.commands import logs
from edge.commands.drafting import draft_bytes, draft_of
from edge.config import Engine as EngineSettings
from edge.config import Model, Scorer, Settings, describe, load_settings
from edge.config.tools import TOOL_KINDS, described
from edge.doors import places
from edge.errors import BundleError, ConfigError, EdgeError, StartError
from edge.mqtt.fleet import FleetConnections
from edge.mqtt.transport import MqttTransport
from edge.service.announcements import status_message
from edge.service.board_tools import topics_of
from edge.service.bundles import Bundles
from edge.service.daemon import Daemon
from edge.service.journal_file import Bounds, JournalFile
from edge.service.protocols import Door, Engine, Upstream
from edge.service.seat import Seat
from edge.service.served import Origin, Served
from edge.service.shelf import Shelf, Standby
from edge.service.worker import Worker
from edge.store.store import Store

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
    heap.one_for_all_threads()
    logs.set_up(settings.log_level)
    Notifier().starting("looking at the bundle")
    try:
        bundles = Bundles(Store(settings.store.folder), partial(opened, settings))
        asyncio.run(serve(settings, bundles))
    except (OSError, MemoryError) as error:
        log.error("this was not foreseen", exc_info=error)
        raise StartError(f"the system refuses what the daemon needs: {error or 'memory'}") from error


def opened(settings: Settings, digest: str | None) -> Served:
    """A bundle of the store, or `engine.bundle` (None), and an engine for it that is yet to be started.

    Its hashes are looked at then, since that takes its time. Raises BundleError where it cannot be used.
    """
    path = Store(settings.store.folder).place(digest, settings.engine.bundle)
    if digest is not None and not path.is_dir():
        raise BundleError(f"{path} is not there any more")
    return served_from(settings, path, "engine.bundle" if digest is None else "store")


def served_from(settings: Settings, path: Path, source: Origin) -> Served:
    """A bundle in a folder, and an engine for it."""
    bundle = open_bundle(path, settings.engine.provider, verify_hashes=False)
    draft = draft_of(settings) if source != "models" else None
    engine = settings.engine.model_copy(update={"bundle": path, "draft": str(draft.path) if draft else ""})
    check = partial(check_hashes_of, [bundle, *([draft] if draft else [])], engine)
    worker = Worker(engine, check=check, documents=settings.documents, scorers=settings.scorers)
    beside = draft.manifest.memory_floor_bytes if draft else 0
    return Served(bundle.manifest, worker, bundle.digest, source, path, beside)


def opened_shelf(settings: Settings) -> Shelf:
    """The bundles that requests may name beside the engine's, each by its table's name. BundleError for a bad one."""
    return Shelf(
        {name: _standby(settings, name, model) for name, model in settings.models.items()},
        settings.telemetry.root,
        settings.engine.growth_bytes,
    )


def _standby(settings: Settings, name: str, model: Model) -> Standby:
    try:
        served = served_from(settings, model.bundle, "models")
    except BundleError as error:
        raise BundleError(f"models.{name}.bundle: {error}") from error
    manifest = served.manifest.model_copy(update={"name": name})
    return Standby(replace(served, manifest=manifest), model.keep_alive_seconds)


def check_room(settings: Settings, served: Served) -> None:
    """BundleError where the board has not the memory for a bundle, or not now."""
    digest = None if served.source == "engine.bundle" else served.digest
    path = Store(settings.store.folder).place(digest, settings.engine.bundle)
    if (path / MANIFEST).is_file():  # a scripted one takes none
        checked_bundle(settings, path, verify_hashes=False)


def checked_bundle(settings: Settings, path: Path | None = None, verify_hashes: bool = True) -> Bundle:
    """A bundle, the configured one by default, if it is whole and fits this board."""
    root = settings.telemetry.root
    free, board = available_bytes(root), total_bytes(root)
    path, provider = path or settings.engine.bundle, settings.engine.provider
    return open_bundle(path, provider, free, verify_hashes, board_bytes=board, beside_bytes=draft_bytes(settings))


def check_hashes_of(bundles: Sequence[Bundle], settings: EngineSettings, tell: Callable[[str], None]) -> None:
    """What sizes do not show, of bundles that are loaded together. tell: how far it is.

    Files that were verified before, and were not touched since, are not read again (edge/board/verified.py).
    """
    if not settings.verify_hashes:
        return
    sizes = (entry.size_bytes for bundle in bundles for entry in bundle.manifest.files.values())
    total, done = sum(sizes) or 1, 0

    def progress(_name: str, size: int) -> None:
        nonlocal done
        done += size
        tell(f"checking the bundle: {100 * done / total:.1f} % of {total / 1e9:.2f} GB")

    verified = VerifiedFiles(settings.cache_folder / VERIFIED)
    try:
        for bundle in bundles:
            check_hashes(bundle.path, bundle.manifest, progress, verified)
    finally:
        verified.save()


async def serve(settings: Settings, bundles: Bundles) -> None:
    """Put the parts together and run them until a signal. Raises BundleError where no bundle can be served."""
    served = bundles.first()
    check_room(settings, served)
    seat, topics, doors = Seat(served, opened_shelf(settings)), settings.topics, open_doors(settings)
    ordered = [topics.command] if settings.limits.commands else []
    ordered += topics.wishes if settings.store.desired and settings.store.repository else []
    listens = [*topics.subscriptions, *ordered, *(each for door in doors for each in door.subscriptions)]
    transport = MqttTransport(
        settings.broker,
        f"edge-{settings.device}",
        listens,
        status_message(topics, "offline"),
        acknowledges=True,
        passing=[each for each in topics_of(settings.tools.values()) if each not in listens],
    )
    transport.unsubscribe(topics.shared)  # where an older version's session has them: they have a connection now
    journal = opened_journal(settings)
    fleet = FleetConnections(settings) if settings.fleet else None
    upstream = opened_upstream(settings)
    service = Daemon(settings, seat, transport, instruments(settings, seat), journal, doors, bundles, fleet, upstream)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    await service.run()


def instruments(settings: Settings, engine: Engine) -> Instruments:
    """What the board can be asked, and moved by."""
    daemon, root = os.getpid(), settings.telemetry.root
    sources = board_sources(settings, lambda: {"daemon": daemon, "engine": engine.pid})
    return Instruments(Sensors(sources, root), Wattmeter(fast_meters(Mailbox(by_ioctl)), root))


def open_doors(settings: Settings) -> list[Door]:
    """The other ways in and out that the settings ask for; what they need is imported for them alone."""
    doors: list[Door] = []
    if settings.home_assistant.announce or places.announced(settings).is_file():
        from edge.doors.home_assistant import home_assistant

        doors += home_assistant(settings)
    if settings.prometheus.textfile or settings.prometheus.address:
        from edge.doors.prometheus import Prometheus

        doors.append(Prometheus(settings.prometheus))
    if settings.http.address:
        with _wanting("http.address", "http"):
            from edge.doors.http.server import Http

            doors.append(Http(settings))
    if settings.assist.address:
        with _wanting("assist.address", "assist"):
            from edge.doors.assist.door import Assist

            doors.append(Assist(settings))
    return doors


def opened_upstream(settings: Settings) -> Upstream | None:
    """What answers in the board's place, where the operator has it."""
    if settings.upstream.url is None:
        return None
    with _wanting("upstream.url", "upstream"):
        from edge.doors.upstream import Upstream

        return Upstream(settings.upstream)


@contextmanager
def _wanting(key: str, extra: str) -> Iterator[None]:
    """ConfigError where what a setting needs is not installed. extra: of ours, that brings it."""
    try:
        yield
    except ModuleNotFoundError as error:
        missing = f"{key} wants {error.name}, which is not installed: pip install 'edge-slm[{extra}]'"
        raise ConfigError(missing) from error


def opened_journal(settings: Settings) -> JournalFile:
    """The device's journal, whatever the last daemon left in it."""
    kept = settings.journal
    bounds = Bounds(kept.keep_seconds, kept.keep_count, kept.max_bytes)
    return JournalFile(kept.folder / f"{settings.device}.journal", bounds)


def board_sources(settings: Settings, processes: Processes = dict) -> list[Source]:
    """What a board can be asked."""
    return every_source({"bundle": settings.engine.bundle, "journal": settings.journal.folder}, processes)


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
        is_elsewhere = value is None or path in (("models",), ("scorers",), ("tools",))
        setting = f"# {path[-1]} =" if is_elsewhere else f"{path[-1]} = {_toml(value)}"
        lines.append(f"{setting}  # {meaning}")
    tables = (*print_tables("models", Model, values["models"]), *print_tables("scorers", Scorer, values["scorers"]))
    return "\n".join([*lines, *tables, *print_tools(values["tools"])]) + "\n"


def print_tables(kind: str, section: type[BaseModel], tables: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A table of each further bundle or scorer; where there is none, what such a table has."""
    meanings = {name: field.description for name, field in section.model_fields.items()}
    if not tables:
        yield from ("", f"# [{kind}.NAME]", *(f"# {key} =  # {meaning}" for key, meaning in meanings.items()))
    for name, table in tables.items():
        yield from ("", f"[{kind}.{json.dumps(name)}]" if "." in name else f"[{kind}.{name}]")
        yield from (f"{key} = {_toml(table[key])}  # {meaning}" for key, meaning in meanings.items())


def print_tools(tools: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A table of each tool; where there is none, what a table of each kind has."""
    for kind in TOOL_KINDS if not tools else ():
        yield from ("", "# [tools.NAME]", f'# kind = "{kind}"')
        yield from (f"# {key} =  # {meaning}" for key, meaning in described(kind) if key != "kind")
    for name, tool in tools.items():
        yield from ("", f"[tools.{name}]")
        yield from (f"{key} = {_toml(tool[key])}  # {meaning}" for key, meaning in described(tool["kind"]))


def _toml(value: Any) -> str:
    """A value as TOML spells it: JSON's way, but for tables."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{json.dumps(name)} = {_toml(each)}' for name, each in value.items())}}}"
    return f"[{', '.join(map(_toml, value))}]" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
