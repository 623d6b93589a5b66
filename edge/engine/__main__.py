"""The child process: jobs from standard input, events to standard output, a JSON object a line."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edge.engine import Job, TextEngine, open_engine
from edge.errors import EdgeError, Fault

NICENESS = 5
"""Below the daemon: on a busy board MQTT and telemetry go first, the model takes what is left."""

COALESCE_SECONDS = 0.03
"""Pieces that come faster than this travel together: nobody reads faster, and each message costs the parent."""


class Commands:
    """Standard input, a line at a time, without ever blocking a generation."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        self._jobs: list[Job] = []
        self._cancelled: set[int] = set()
        self.closed = False

    def next_job(self) -> Job | None:
        """Wait for a job; None once the parent has closed the pipe."""
        while not self._jobs and not self.closed:
            self._read(None)
        return self._jobs.pop(0) if self._jobs else None

    def cancelled(self, job: Job) -> bool:
        """Whether the job should stop: someone asked for it, or the parent is gone."""
        self._read(0)
        return self.closed or job.id in self._cancelled

    def forget(self, job: Job) -> None:
        """The job has ended."""
        self._cancelled.discard(job.id)

    def _read(self, timeout: float | None) -> None:
        while not self.closed and select.select([self._descriptor], [], [], timeout)[0]:
            piece = os.read(self._descriptor, 1 << 16)
            self.closed = not piece
            *lines, self._buffer = (self._buffer + piece).split(b"\n")
            for line in lines:
                self._take(json.loads(line))
            timeout = 0

    def _take(self, command: dict[str, Any]) -> None:
        if command["op"] == "cancel":
            self._cancelled.add(command["id"])
        else:
            self._jobs.append(Job(**command["job"]))


class Write(Protocol):
    """Sends one event to the parent."""

    def __call__(self, event: str, **fields: Any) -> None:
        """event: its kind; fields: plain values."""


class Pieces:
    """Text on its way to the parent; small pieces wait for each other a little."""

    def __init__(self, write: Write, job: Job) -> None:
        self._write, self._job = write, job
        self._text = ""
        self._sent = 0.0

    def emit(self, text: str) -> None:
        """Take a piece; pass on what has gathered if it is time."""
        self._text += text
        if time.monotonic() - self._sent >= COALESCE_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Pass on what has gathered; without text it still says that the engine lives."""
        self._write("progress", id=self._job.id, text=self._text)
        self._text, self._sent = "", time.monotonic()


def main() -> int:
    """Load the bundle, answer a warm-up, say ready, then serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="edge.engine", description=main.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--provider", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--prefill-slice-tokens", type=int, default=256)
    options = parser.parse_args()
    write = _events()
    os.nice(NICENESS)
    started = time.monotonic()
    try:
        engine = open_engine(options.bundle, options.provider, options.threads, options.prefill_slice_tokens)
        warm = Job(id=0, messages=[{"role": "user", "content": "Hello"}], max_tokens=2)
        finished = engine.generate(warm, lambda _text: None, lambda: False)
    except EdgeError as error:
        write("failed", message=str(error))
        return error.exit_status
    write("ready", load_seconds=time.monotonic() - started, warm_up=asdict(finished))
    return serve(engine, Commands(sys.stdin.fileno()), write)


def serve(engine: TextEngine, commands: Commands, write: Write) -> int:
    """Answer jobs in the order they come."""
    while (job := commands.next_job()) is not None:
        pieces = Pieces(write, job)
        try:
            finished = engine.generate(job, pieces.emit, partial(commands.cancelled, job))
        except Fault as fault:
            write("fault", id=job.id, code=fault.code, message=fault.message, param=fault.param)
        except Exception as error:
            write("fault", id=job.id, code=500, message=f"{type(error).__name__}: {error}", param=None)
        else:
            pieces.flush()
            write("finished", id=job.id, **asdict(finished))
        commands.forget(job)
    return 0


def _events() -> Write:
    """A writer to the real standard output, which is then closed to all native code that likes to print."""
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def write(event: str, **fields: Any) -> None:
        channel.write(json.dumps({"event": event, **fields}).encode() + b"\n")

    return write


if __name__ == "__main__":
    raise SystemExit(main())
