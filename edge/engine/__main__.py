"""The child process: jobs from standard input, events to standard output, a JSON object a line."""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from edge.board.heap import give_back
from edge.bundle import Bundle, read_manifest
from edge.engine import Event, Finished, Job, Options, Part, TextEngine, answer
from edge.engine.embedding import Embedding
from edge.engine.opening import open_engine
from edge.engine.pace import Pace
from edge.engine.text.late_sentences import LateSentences
from edge.errors import FINAL, MAY_PASS, BundleError, EdgeError, StartError

NICENESS = 5
"""Below the daemon: on a busy board MQTT and telemetry go first, the model takes what is left."""

COALESCE_SECONDS = 0.05
"""Pieces that come faster than this travel together: nobody reads faster, and each message costs the parent."""
COALESCE_ROWS_MAX = 3
"""Where several answers grow, each one's pieces wait longer, up to so many times."""

COUNTERS_SECONDS = 2.0
PASSING = (errno.ENOMEM, errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EAGAIN)
SHORT = ("bad_alloc", "Failed to allocate", *map(os.strerror, PASSING))
"""Words of the runtimes, whose errors have no numbers, for what may be otherwise the next time."""
ADVICE = "stop what else runs, or take a smaller bundle"
MESSAGE_CHARACTERS = 600
"""A runtime's word for what is wrong has its own source's signatures in it."""


class Write(Protocol):
    """Sends one event to the parent."""

    def __call__(self, event: str, **fields: Any) -> None:
        """event: its kind; fields: plain values."""


class Commands:
    """Standard input on a thread of its own: a cancel reaches the engine in the middle of what it does."""

    def __init__(self, descriptor: int, engine: TextEngine, embedding: Embedding) -> None:
        self._descriptor, self._engine, self._embedding = descriptor, engine, embedding
        self.arrived = threading.Event()
        self.closed = self.is_to_ease = False
        self.to_forget: deque[str] = deque()
        self.pace = Pace()
        threading.Thread(target=self._read, name="commands", daemon=True).start()

    def _read(self) -> None:
        begun: list[bytes] = []  # of a line, which has megabytes where it has pictures
        while piece := os.read(self._descriptor, 1 << 16):  # sys.stdin's lock would be in the way of exiting
            *ends, rest = piece.split(b"\n")
            for end in ends:
                self._take(json.loads(b"".join([*begun, end])))
                begun = []
            begun.append(rest)
            self.arrived.set()
        self.closed = True
        self.arrived.set()
        self.pace.wake()

    def _take(self, command: dict[str, Any]) -> None:
        if command["op"] == "generate":
            job = Job.from_plain(command["job"])
            (self._engine if job.texts is None else self._embedding).submit(job)
        elif command["op"] == "cancel":
            if not self._embedding.cancel(command["id"]):
                self._engine.cancel(command["id"])
            self.pace.wake()
        elif command["op"] == "pace":
            self._engine.step_seconds = command["step_seconds"]
            for pace in (self.pace, self._embedding.pace):
                pace.set(command["duty"], command["rest_seconds"])
        elif command["op"] == "forget":
            self.to_forget.append(command["salt"])
        else:
            self.is_to_ease = True


class Pieces:
    """Text of one answer on its way to the parent; small pieces wait for each other a little.

    choice: which of the job's answers it is, None where it has one.
    """

    def __init__(self, write: Write, job_id: int, choice: int | None) -> None:
        self._write, self._id, self._choice = write, job_id, choice
        self._text, self._tokens = "", 0
        self._sent = 0.0

    def emit(self, text: str, rows: int) -> None:
        """Take a piece; pass on what has gathered if it is time. rows: answers that grow."""
        self._text += text
        self._tokens += bool(text)
        if time.monotonic() - self._sent >= COALESCE_SECONDS * min(rows, COALESCE_ROWS_MAX):
            self.flush()

    def flush(self) -> None:
        """Pass on what has gathered; without text it still says that the engine lives."""
        self._write("progress", id=self._id, text=self._text, tokens=self._tokens, choice=self._choice)
        self._text, self._tokens, self._sent = "", 0, time.monotonic()


class Events:
    """What the engine says, as the parent reads it."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._pieces: dict[int, dict[int | None, Pieces]] = {}
        """Of each job, by its answers."""

    def pass_on(self, event: Event) -> None:
        """A piece may wait for the next; an end comes after all of them."""
        what, number = event.what, event.job_id
        if isinstance(what, str | Part):
            choice, text = (what.choice, what.text) if isinstance(what, Part) else (None, what)
            its = self._pieces.setdefault(number, {})
            its.setdefault(choice, Pieces(self._write, number, choice)).emit(text, sum(map(len, self._pieces.values())))
            return
        for pieces in self._pieces.pop(number, {}).values():
            pieces.flush()
        if isinstance(what, Finished):
            self._write("finished", id=number, **asdict(what))
        else:
            self._write("fault", id=number, code=what.code, message=what.message, param=what.param)


def main() -> int:
    """Load the bundle, answer a warm-up, say ready, then serve until standard input closes."""
    parser = argparse.ArgumentParser(prog="edge.engine", description=main.__doc__, allow_abbrev=False)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--options", type=json.loads, default={}, help="edge.engine.Options as JSON")
    arguments = parser.parse_args()
    write = _events()
    for number in (signal.SIGTERM, signal.SIGINT):  # sent to all of us they mean the daemon, which lets us end
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    loaded = threading.Event()
    threading.Thread(target=leave_with_parent, args=(sys.stdin.fileno(), loaded), daemon=True).start()
    started = time.monotonic()
    try:
        sentences = LateSentences(Bundle(arguments.bundle, read_manifest(arguments.bundle)))
        engine = opened(arguments.bundle, Options(**arguments.options), sentences)
        warm = answer(engine, Job(id=0, messages=[{"role": "user", "content": "Hello"}], max_tokens=2))
    except EdgeError as error:
        status = error.exit_status if error.exit_status in FINAL else MAY_PASS
        write("failed", message=" ".join(str(error).split())[:MESSAGE_CHARACTERS], status=status)
        return status
    loaded.set()
    give_back()  # packing weights has left as much as a quarter gigabyte behind
    with contextlib.suppress(BrokenPipeError):  # the parent is gone, and nobody is left to tell
        write("ready", load_seconds=time.monotonic() - started, warm_up=asdict(warm), rows=engine.rows)
        embedding = Embedding(sentences, Events(write).pass_on)
        serve(engine, Commands(sys.stdin.fileno(), engine, embedding), write)
        embedding.close()
    engine.close()
    return 0


def opened(bundle: Path, options: Options, sentences: LateSentences) -> TextEngine:
    """The engine for a bundle. Raises BundleError where it never will be, StartError where it may be another time."""
    try:
        return open_engine(bundle, options, sentences)
    except EdgeError as error:
        if isinstance(error, BundleError) and _is_short(error):
            raise StartError(f"{error}; {ADVICE}") from error
        raise
    except ValueError as error:  # a file that is not what it should be: its checksum was not looked at
        traceback.print_exc()
        raise BundleError(f"{bundle} cannot be understood: {error}; `edge bundle verify` names the file") from error
    except Exception as error:
        traceback.print_exc()
        advice = ADVICE if _is_short(error) else "the lines above say where"
        raise StartError(f"the engine cannot be opened: {error or type(error).__name__}; {advice}") from error


def _is_short(error: Exception) -> bool:
    """Whether it is about what the board lacks now."""
    return isinstance(error, MemoryError) or any(word in str(error) for word in SHORT)


def leave_with_parent(descriptor: int, loaded: threading.Event) -> None:
    """While a model loads nobody reads commands: where the parent ends meanwhile, nobody is left to load it for.

    A runtime that holds Python's lock while it loads keeps us until it lets go.
    """
    look = select.poll()
    look.register(descriptor, select.POLLRDHUP)
    look.poll()
    if not loaded.is_set():
        os._exit(0)


def serve(engine: TextEngine, commands: Commands, write: Write) -> None:
    """Answer whatever comes, and tell now and then what was done."""
    events, told = Events(write), 0.0
    while not commands.closed:
        commands.arrived.clear()
        while not (engine.is_idle or commands.closed):
            began = time.monotonic()
            for event in engine.step():
                events.pass_on(event)
            if time.monotonic() - told >= COUNTERS_SECONDS:
                told = time.monotonic()
                write("counters", counters=dict(engine.counters()))
            ease(engine, commands)
            commands.pace.rest(time.monotonic() - began)
        ease(engine, commands)
        if not commands.closed:
            write("counters", counters=dict(engine.counters()))
            commands.arrived.wait()


def ease(engine: TextEngine, commands: Commands) -> None:
    """Let go of what is to be forgotten, and give memory back, where the daemon wants it."""
    while commands.to_forget:
        engine.forget(commands.to_forget.popleft())
    if commands.is_to_ease:
        commands.is_to_ease = False
        engine.ease()
        give_back()


def _events() -> Write:
    """A writer to the real standard output, which is then closed to all native code that likes to print.

    For any thread.
    """
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def write(event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, **fields}).encode() + b"\n"
        with lock:
            channel.write(line)

    return write


if __name__ == "__main__":
    raise SystemExit(main())
