"""The program in any surroundings, and a board that says what a test has it say."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.clients import User
from tests.conftest import EDGE, ROOT, running

SECONDS = 60


def started(env: dict[str, str], *words: Any, bare: bool = False, **options: Any) -> subprocess.Popen[bytes]:
    """One command as a process with pipes, in the project's folder unless told otherwise.

    bare: with the variables of `env` alone, not with ours beneath them.
    """
    pipe = subprocess.PIPE
    defaults = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "cwd": ROOT}
    environment = {"PYTHONPATH": str(ROOT), **({} if bare else os.environ), **env}
    return subprocess.Popen([*EDGE, *words], **{"env": environment, **defaults, **options})


def ended(process: subprocess.Popen[bytes], data: bytes | None = None) -> tuple[int, str, str]:
    """Exit status and what was printed; whatever happened, it ended without a trace."""
    out, errors = process.communicate(data, timeout=SECONDS)
    said = (errors or b"").decode(errors="replace")
    assert "Traceback" not in said, said
    assert "Exception ignored" not in said, said
    return process.returncode, (out or b"").decode(errors="surrogateescape"), said


def in_terminal(env: dict[str, str], *words: str, columns: int = 80, **options: Any) -> tuple[subprocess.Popen, int]:
    """One command in a terminal of its own; the process and our end of the terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = started({"TERM": "xterm", **env}, *words, **{"stdout": theirs, "stderr": theirs, **options})
    os.close(theirs)
    return process, ours


def shown_on(terminal: int) -> str:
    """All that comes on a terminal until its program has ended."""
    data = b""
    while select.select([terminal], [], [], SECONDS)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
        data += piece
    os.close(terminal)
    assert b"Traceback" not in data, data
    return data.decode(errors="replace").replace("\r\n", "\n")


def until(stream: Any, words: str) -> str:
    """The lines of a stream up to one with some words."""
    lines = ""
    for line in stream:
        lines += line.decode()
        if words in lines:
            return lines
    raise AssertionError(f"{words!r} never came: {lines}")


@contextmanager
def scripted(port: int, folder: Path, device: str = "test", pieces: int = 3, pause: float = 0.0) -> Iterator[None]:
    """The shipped stand-in engine behind a broker, online."""
    settings = {
        "EDGE_DEVICE": device,
        "EDGE_BROKER__PORT": str(port),
        "EDGE_JOURNAL__FOLDER": str(folder / device),
        "EDGE_TELEMETRY__PERIOD_SECONDS": "0.3",
    }
    command = [sys.executable, "-m", "edge.testing", f"--pieces={pieces}", f"--pause-seconds={pause}"]
    with running(command, folder / f"{device}.log", settings), User(port) as user:
        user.wait_online(device)
        yield


class Board:
    """A board named `odd` that answers as a test says."""

    def __init__(self, port: int) -> None:
        self.env = {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "odd"}
        self.user = User(port, "edge/odd/request/+", "edge/odd/cancel/+")
        self.reply_topic = self.id = ""

    def __enter__(self) -> Board:
        self.user.__enter__()
        self.state("online")
        return self

    def __exit__(self, *_: object) -> None:
        for kind in ("status", "info"):
            self.user.publish(f"edge/odd/{kind}", b"", retain=True)
        self.user.__exit__()

    def state(self, state: Any) -> None:
        """Say how it is."""
        self.user.publish("edge/odd/status", {"state": state}, retain=True)

    def info(self, **body: Any) -> None:
        """Say what it is."""
        self.user.publish("edge/odd/info", body, retain=True)

    def asked(self) -> dict[str, Any]:
        """The next request, which is answered from now on."""
        message = self.user.next(SECONDS)
        self.reply_topic = message.topic.replace("/request/", "/reply/")
        body = dict(json.loads(message.payload))
        self.id = body["id"]
        return body

    def says(self, kind: str, **body: Any) -> None:
        """One message of the request."""
        self.user.publish(self.reply_topic, {"type": kind, "id": self.id, **body})

    def pieces(self, *pieces: tuple[int, str]) -> None:
        """Deltas by index."""
        for index, text in pieces:
            self.says("delta", index=index, text=text)

    def ends(self, text: str, code: int = 200, index: int = 0, **body: Any) -> None:
        """The terminal message."""
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "cached_tokens": 0}
        times = {"queue_seconds": 0, "prefill_seconds": 0.1, "decode_seconds": 0.1, "first_token_seconds": None}
        reason = "stop" if code == 200 else "error"
        known = {"code": code, "finish_reason": reason, "text": text, "index": index}
        self.says("reply", **{**known, "usage": usage, "timings": times, "warnings": [], **body})
