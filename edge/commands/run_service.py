"""A model that answers `edge run`: a daemon that is there, one that an earlier call left, or one for this call."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edge.commands.boards import READY
from edge.commands.inputs import read_file
from edge.commands.streams import progress
from edge.config import Settings
from edge.errors import EdgeError, StartError
from edge.mqtt.client import Client, json_object

CONNECT_SECONDS, LOOK_SECONDS, POLL_SECONDS = 1.0, 1.5, 0.2
"""For a broker's port, for what a board has retained there, between two looks at a record."""
END_SECONDS = 40.0
"""For a host to end its daemon and its broker."""
RECORD_BYTES_MAX = 4096
MODELS_MAX = 64
"""Of a board's list that are looked at."""
HOST = [sys.executable, "-m", "edge.commands.run_host"]


@dataclass(frozen=True)
class Host:
    """What `edge run --keep` left: a process, the broker's port, and the bundle that it serves."""

    pid: int
    port: int
    bundle: Path


def standing(settings: Settings, names: tuple[str, ...]) -> str | None:
    """What the configured board calls a model, if it is there and has it. names: those that the model goes by.

    BrokerError where the broker is there and does not take us.
    """
    with contextlib.suppress(OSError):
        socket.create_connection((settings.broker.host, settings.broker.port), CONNECT_SECONDS).close()
        info = asyncio.run(_info(settings))
        return next((name for name in models_of(info) if name.casefold() in map(str.casefold, names)), None)
    return None


async def _info(settings: Settings) -> Mapping[str, Any]:
    """A board's `info` where it answers who asks now; else an empty one."""
    async with Client(settings.broker, settings.device, (settings.topics.info,)) as client:
        info: Mapping[str, Any] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                async for message in client.messages():
                    if message.topic == client.topics.info:
                        info = json_object(message.payload) or {}
                    if info and client.state is not None:
                        break
        return info if client.state in READY else {}


def models_of(info: Mapping[str, Any]) -> list[str]:
    """What requests may call the models of a board, by its `info`: its own, and those of its shelf."""
    further = info.get("models")
    shelf = [each.get("model") for each in further[:MODELS_MAX] if isinstance(each, dict)] if further else []
    return [name for name in (info.get("model"), *shelf) if isinstance(name, str)]


def kept() -> Iterator[Host]:
    """The hosts that earlier calls left and that still run."""
    with contextlib.suppress(StartError, OSError):
        for record in sorted(_folder().glob("run-*.json")):
            if (host := _host_of(record)) is not None:
                yield host


@contextlib.contextmanager
def served(bundle: Path, keep_seconds: float | None) -> Iterator[int]:
    """A broker's port on this machine, with a daemon named `run` behind it that serves a bundle.

    keep_seconds: leave it until nobody has asked for so long; None ends it with the call, unless an earlier left it.
    Raises StartError, and what the host ends with, where the model does not start.
    """
    while True:
        port = _left_by_another(_record(bundle))
        if port is not None:
            yield port
            return
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(_for_this_call(bundle) if keep_seconds is None else _left(bundle, keep_seconds))
            if port is not None:
                yield port
                return


def _record(bundle: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(bundle.resolve())).hexdigest()[:16]
    return _folder() / f"run-{digest}.json"


def _folder() -> Path:
    """Ours alone: who can write a record can have us ask where they want. StartError where it is not."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(given) / "edge-slm" if given else Path(tempfile.gettempdir()) / f"edge-slm-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise StartError(f"{folder} is not ours alone: remove it, or set XDG_RUNTIME_DIR")
    return folder


def _left_by_another(record: Path) -> int | None:
    """The port of a host that an earlier call left, once it answers; None where none runs."""
    while _is_held(record):
        if (host := _host_of(record)) is not None:
            return host.port
        progress("another call loads the model")
        time.sleep(POLL_SECONDS)
    return None


def _is_held(record: Path) -> bool:
    """Whether a host that runs has this record; one that was killed has not."""
    try:
        with record.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _host_of(record: Path) -> Host | None:
    """What a record says; None where its host has gone, or is not yet there."""
    if not _is_held(record):
        return None
    try:
        said = json.loads(read_file(record, RECORD_BYTES_MAX))
        return Host(int(said["pid"]), int(said["port"]), Path(said["bundle"]))
    except (EdgeError, ValueError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _for_this_call(bundle: Path) -> Iterator[int | None]:
    """A host that ends with us, however we end: its standard input is ours to close."""
    process = subprocess.Popen(
        [*HOST, f"--bundle={bundle}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        yield _ready(process)
    finally:
        _end(process)


@contextlib.contextmanager
def _left(bundle: Path, keep_seconds: float) -> Iterator[int | None]:
    """A host that stays; None where another call was quicker. Where we are ended while it loads, it ends, too."""
    record = _record(bundle)
    log = record.with_suffix(".log")
    words = [*HOST, f"--bundle={bundle}", f"--record={record}", f"--keep-alive={keep_seconds}"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        port = _ready(process)
    except BaseException:
        _end(process)
        print(log.read_text(errors="replace"), end="", file=sys.stderr)
        log.unlink()
        raise
    yield port


def _ready(process: subprocess.Popen[bytes]) -> int | None:
    """Wait for a host's word: its port; None where another has the record. EdgeError where it ends without one."""
    assert process.stdout is not None
    started = time.monotonic()
    try:
        for said in _lines(process.stdout, started):
            if "port" in said or "taken" in said:
                return said.get("port")
    finally:
        progress("")
    status = process.wait()
    failed = EdgeError("" if status > 0 else f"the process that loads the model ended ({status}) without a word")
    failed.status = max(status, failed.status)  # what it has said is enough
    raise failed


def _lines(stream: IO[bytes], started: float) -> Iterator[dict[str, Any]]:
    """What is JSON of a host's lines, with the time that passes shown meanwhile."""
    os.set_blocking(stream.fileno(), False)
    data, told = b"", ""
    while True:
        piece = stream.read()
        if piece == b"":
            return
        data += piece or b""
        *whole, data = data.split(b"\n")
        yield from filter(None, map(json_object, whole))
        text = f"loading the model: {time.monotonic() - started:.0f} s"
        if text != told:
            progress(text)
        told = text
        if piece is None:
            time.sleep(POLL_SECONDS / 4)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    else:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
