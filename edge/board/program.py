"""A program that tells what no file does, within bounds: one at a time, so many bytes, so many seconds, then killed."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence

SECONDS_MAX = 15.0
BYTES_MAX = 1 << 16


class Program:
    """One program, run anew for each answer. seconds: after which it is killed."""

    def __init__(self, command: Sequence[str], seconds: float = SECONDS_MAX) -> None:
        self.command, self._seconds = list(command), seconds
        self._runs = threading.Lock()

    def first(self, end: bytes = b"") -> str:
        """What it says up to `end`, or up to its own end, where that is empty; then it is ended.

        OSError where it cannot be started; TimeoutError where it has not said it in time, or still runs for another.
        """
        if not self._runs.acquire(blocking=False):
            raise TimeoutError(f"{self.command[0]} still runs")
        try:
            return self._said(end).decode(errors="replace")
        finally:
            self._runs.release()

    def _said(self, end: bytes) -> bytes:
        with subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={name: value for name, value in os.environ.items() if not name.startswith("EDGE_")} | {"LC_ALL": "C"},
            start_new_session=True,
        ) as process:
            try:
                assert process.stdout is not None
                return self._until(process.stdout.fileno(), end)
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # with what a script has started

    def _until(self, descriptor: int, end: bytes) -> bytes:
        said, until = b"", time.monotonic() + self._seconds
        with selectors.DefaultSelector() as waiting:
            waiting.register(descriptor, selectors.EVENT_READ)
            while not (end and end in said) and len(said) < BYTES_MAX:
                if not waiting.select(max(0.0, until - time.monotonic())):
                    raise TimeoutError(f"{self.command[0]} has said nothing for {self._seconds:g} s")
                piece = os.read(descriptor, BYTES_MAX)
                if not piece:
                    break
                said += piece
        return said[:BYTES_MAX]
