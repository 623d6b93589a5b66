"""`edge doctor`: one look at everything that has to be right, each with what to do where it is not."""

from __future__ import annotations

import argparse
import platform
import shutil
import tempfile
from collections.abc import Callable

from edge.board.host import available_bytes
from edge.board.source import sample
from edge.commands.connection import add_connection, connected_settings
from edge.commands.logs import visible
from edge.commands.running import run
from edge.commands.serve import board_sources, checked_bundle
from edge.config import Settings, config_file
from edge.errors import ConfigError, EdgeError, Interrupted, OutputError
from edge.mqtt.client import Client

Check = Callable[[Settings], str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which broker; all else is this machine's."""
    add_connection(parser, "check the broker for")


def main(options: argparse.Namespace) -> int:
    """Run every check; exit status 0 where all are well, else 1. ConfigError where no setting can be read."""
    try:
        settings = connected_settings(options)
    except ConfigError:
        print("BAD  settings   nothing else can be looked at before they are mended:")
        raise
    good = [report(name, check, settings) for name, check in CHECKS.items()]
    bad = good.count(False)
    print("all is well" if not bad else f"{bad} of {len(good)} need a look: their lines say what is wrong")
    return 1 if bad else 0


def report(name: str, check: Check, settings: Settings) -> bool:
    """One check, one line."""
    try:
        text, good = check(settings), True
    except (Interrupted, OutputError):
        raise
    except (EdgeError, OSError) as error:
        text, good = str(error), False
    print(f"{'ok  ' if good else 'BAD '} {name:10} {visible(text)}")
    return good


def machine(_settings: Settings) -> str:
    """Which machine and Python this is."""
    return f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}"


def configuration(settings: Settings) -> str:
    """Where the settings come from."""
    return f"{config_file() or 'defaults and environment'}; this board is {settings.device}"


def memory(settings: Settings) -> str:
    """What is free."""
    free = available_bytes(settings.telemetry.root)
    disk = shutil.disk_usage(settings.telemetry.root).free
    return f"{(free or 0) / 2**20:.0f} MiB of memory and {disk / 2**30:.1f} GiB of disk free"


def bundle(settings: Settings) -> str:
    """Whether the configured bundle may be loaded."""
    found = checked_bundle(settings)
    need = found.manifest.memory_floor_bytes / 2**20
    return f"{found.manifest.name} at {found.path} is whole, and the {need:.0f} MiB of memory that it needs are free"


def journal(settings: Settings) -> str:
    """Whether what is accepted can be written down."""
    folder = settings.journal.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    return f"in {folder}, {shutil.disk_usage(folder).free / 2**30:.1f} GiB free"


def sensors(settings: Settings) -> str:
    """What can be read; a missing sensor is no fault."""
    taken = sample(board_sources(), settings.telemetry.root)
    if taken.failed:
        raise OSError("; ".join(f"{name}: {reason}" for name, reason in taken.failed.items()))
    absent = f"; not on this machine: {', '.join(taken.absent)}" if taken.absent else ""
    return f"{', '.join(taken.readings)}{absent}"


def broker(settings: Settings) -> str:
    """Whether a broker answers, and takes us."""
    run(_connect(settings))
    return f"{settings.broker.host}:{settings.broker.port} takes us with MQTT {settings.broker.protocol}"


async def _connect(settings: Settings) -> None:
    async with Client(settings.broker, settings.device):
        pass


CHECKS: dict[str, Check] = {
    "machine": machine,
    "settings": configuration,
    "memory": memory,
    "sensors": sensors,
    "bundle": bundle,
    "journal": journal,
    "broker": broker,
}
