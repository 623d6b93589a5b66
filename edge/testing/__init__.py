"""Stand-ins for what is slow or must break on demand; shipped, for our tests and for yours.

They are real implementations of the service's protocols, never patches: a `Daemon` over a `MemoryTransport`
and a `ScriptedEngine` is the whole daemon without a broker and without a model. `python -m edge.testing` is the
daemon over a real broker with a scripted engine; its settings are `edge serve`'s. Start reading in this file.

    __main__.py  the daemon with a scripted engine
    inside.py    the inside of a door that is tried without a daemon
    vectors.py   vectors that a scripted engine makes
    choices.py   several answers of one
    bundles.py   bundles whose engine is scripted, for a store
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import selectors
import struct
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from edge.bundle import Manifest
from edge.engine import Finished, Job, Part
from edge.errors import BrokerError, EngineFailed, Fault, StartError
from edge.testing.choices import ended, said
from edge.testing.vectors import scripted_vectors
from edge.wire.message import JSON, Delivery, Message

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class MemoryTransport:
    """A transport whose other side is the test: `arrive` puts a message in, `published` is what came out."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[Message | BrokerError] = asyncio.Queue()
        self.birth: list[Message] = []
        self.at_connect: Callable[[], None] = lambda: None
        self.at_trouble: Callable[[str], None] = lambda _why: None
        self.is_connected = self.is_looping = self.has_session = False
        self.subscriptions: list[str] = []
        self.ended_session = False
        self.delivery: Delivery | None = Delivery.TAKEN
        """What the broker says of each message; None leaves them without a word until `lose`."""
        self.receive_maximum, self.maximum_packet_size = 65535, 268_435_460
        self.acknowledged: list[Message] = []
        self.published: list[Message] = []
        self.closed = False
        self._open: list[Callable[[Delivery], None]] = []
        self._news = asyncio.Event()

    def start(self) -> None:
        """Publish the birth messages, as a connect does."""
        self.published += self.birth
        self.is_connected = True
        self.at_connect()

    def lose(self) -> None:
        """The connection is gone, with what the broker said nothing of; `start` brings it back."""
        self.is_connected = False
        self.settle(Delivery.LOST)

    def settle(self, delivery: Delivery) -> None:
        """The broker says of all that it has left without a word what became of it."""
        left, self._open = self._open, []
        for done in left:
            done(delivery)

    def publish(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        """Keep a message for the test to see."""
        self.published.append(message)
        self._news.set()
        if done and self.delivery:
            asyncio.get_running_loop().call_soon(done, self.delivery)
        elif done:
            self._open.append(done)

    def acknowledge(self, message: Message) -> None:
        """Keep what was acknowledged, in order."""
        self.acknowledged.append(message)

    def subscribe(self, topics: Sequence[str]) -> None:
        """Keep what is listened to."""
        self.subscriptions += topics

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """As much less."""
        self.subscriptions = [each for each in self.subscriptions if each not in topics]

    async def close(self, last: Message | None = None, ends_session: bool = False) -> None:
        """Keep the last message."""
        if last is not None:
            self.publish(last)
        self.closed, self.ended_session = True, self.ended_session or ends_session

    def arrive(self, message: Message) -> None:
        """Let a message come in."""
        self.received.put_nowait(message)

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        """The published payloads of a type (`delta`, `reply`, `queued`), in order."""
        bodies = [json.loads(message.payload) for message in self.published if message.content_type == JSON]
        return [body for body in bodies if body.get("type") == kind]

    async def wait_for(self, kind: str, count: int = 1, seconds: float = 5) -> list[dict[str, Any]]:
        """Return once so many payloads of a type were published; TimeoutError else."""
        async with asyncio.timeout(seconds):
            while len(found := self.bodies(kind)) < count:
                self._news.clear()
                await self._news.wait()
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time passes only when nothing is left to do, and then at once: days in seconds.

    What runs in threads is waited for in real time. Use it as `asyncio.Runner(loop_factory=SimulatedLoop)`.
    """

    def __init__(self) -> None:
        super().__init__(_Skipping(self))
        self.skipped_seconds = 0.0
        self.threads_at_work = 0

    def time(self) -> float:
        """Seconds since the loop was made, by its own reckoning."""
        return self.skipped_seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """As ever, with a note that something is under way."""
        self.threads_at_work += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(lambda _future: self._rest())
        return future

    def _rest(self) -> None:
        self.threads_at_work -= 1


class _Skipping(selectors.DefaultSelector):
    """A selector that does not wait for timers: it moves its loop's clock on."""

    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; waits for threads alone."""
        if timeout is None or (timeout > 0 and self._loop.threads_at_work):
            return super().select(1)
        ready = super().select(0)
        self._loop.skipped_seconds += 0 if ready else timeout
        return ready


class ScriptedEngine:
    """An engine that says what it is told to.

    pieces: the text of every answer; says: of the answer to a job, in their place.
    pause_seconds: before each piece. fault: raised instead of an answer.
    dies_after: pieces after which it dies as a killed process does; dies_of: the prompt that kills it.
    hold: an event that answers wait for. is_overgrown: until the next start.
    figures: seconds of prefill and of decode that it says an answer took. why_not: why it does not start.
    log: a file that gets the prompt of each job as it is begun, in place of the list `jobs`.
    """

    def __init__(
        self, pieces: tuple[str, ...] = ("Hello", " world"), pause_seconds: float = 0.0, log: Path | None = None
    ) -> None:
        self.pieces, self.pause_seconds = pieces, pause_seconds
        self._log = log.open("a", buffering=1) if log else None
        self.says: Callable[[Job], Sequence[str]] | None = None
        self.fault: Fault | None = None
        self.dies_after: int | None = None
        self.dies_of: str | None = None
        self.hold: asyncio.Event | None = None
        self.is_overgrown = False
        self.why_not = ""
        self.progress = ""
        self.pid: int | None = None
        self.threads = 0
        self.gained: Callable[[int, int], None] = lambda _job_id, _tokens: None
        self.duties: list[float] = []
        self.eased = 0
        self.forgotten: list[str] = []
        self.figures = (0.01, 0.01)
        self.jobs: list[Job] = []
        self.starts = 0
        self.rows = 1
        self._cancelled: set[int] = set()
        self._heard = time.monotonic()
        self._death = asyncio.Event()

    async def start(self) -> None:
        """Be ready at once; StartError where it is not to be."""
        if self.why_not:
            raise StartError(self.why_not)
        self.starts += 1
        self.is_overgrown = False
        self._death.clear()

    def pace(self, duty: float, _period_seconds: float) -> None:
        """Keep what it was told."""
        self.duties.append(duty)

    def ease(self) -> None:
        """Count how often."""
        self.eased += 1

    def forget(self, salt: str) -> None:
        """Keep whose."""
        self.forgotten.append(salt)

    async def stop(self) -> None:
        """End."""
        self._death.set()

    @property
    def alive(self) -> bool:
        """Whether it was started and has not died."""
        return self.starts > 0 and not self._death.is_set()

    async def died(self) -> None:
        """Return when it has ended."""
        await self._death.wait()

    @property
    def silent_seconds(self) -> float:
        """Seconds since the last piece."""
        return time.monotonic() - self._heard

    def counters(self) -> Mapping[str, int | float]:
        """Nothing to tell."""
        return {}

    def memory_bytes(self) -> int | None:
        """Nothing to tell."""
        return None

    def cancel(self, job_id: int) -> None:
        """Stop the job at its next piece."""
        self._cancelled.add(job_id)

    async def generate(self, job: Job) -> AsyncGenerator[str | Part | Finished, None]:
        """The scripted answer to any job."""
        if self._log:
            print(job.messages[-1]["content"] if job.texts is None else job.texts, file=self._log)
        else:
            self.jobs.append(job)
        if self.hold is not None:
            await self.hold.wait()
        if self.fault is not None:
            raise self.fault
        if job.texts is not None:
            yield scripted_vectors(job)
            return
        pieces = self.pieces if self.says is None else self.says(job)
        for count, piece in enumerate(pieces):
            await asyncio.sleep(self.pause_seconds)
            if job.id in self._cancelled:
                yield ended(job, "cancelled", count)
                return
            if count == self.dies_after or job.messages[-1]["content"] == self.dies_of:
                self._death.set()
            if self._death.is_set():
                raise EngineFailed("the engine process ended while it was answering (signal 9)")
            self._heard = time.monotonic()
            self.gained(job.id, 1)
            for part in said(job, piece):
                yield part
        yield ended(job, "stop", len(pieces), *self.figures)


def scripted_manifest(**changes: Any) -> Manifest:
    """A manifest of a model that does not exist."""
    fields: dict[str, Any] = {
        "name": "scripted",
        "version": "1",
        "family": "llama",
        "provider": "cpu",
        "capabilities": ["text"],
        "quantization": {
            "method": "rtn",
            "bits": 4,
            "block_size": 32,
            "is_symmetric": True,
            "accuracy_level": 4,
            "bits_per_weight": 5.0,
        },
        "context_length": 128,
        "vocab_size": 64,
        "stop_token_ids": [2],
        "chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}",
        "weights_bytes": 1,
        "kv_bytes_per_token": 1,
        "memory_floor_bytes": 1,
        "origin": {"name": "none", "revision": "none", "sha256": "0" * 64, "licence": "none"},
        "files": {},
    }
    return Manifest.model_validate({**fields, **changes})


class ScriptedFirmware:
    """A Raspberry Pi's firmware behind /dev/vcio_gencmd: answers by command, in the layout of vcgencmd.c and vcio.c.

    answers: may be changed; nodes: which there are, with an errno where opening fails.
    """

    def __init__(self, answers: Mapping[str, str], nodes: Mapping[str, int] | None = None) -> None:
        self.answers, self.nodes = dict(answers), dict({"vcio_gencmd": 0} if nodes is None else nodes)
        self.asked: list[str] = []

    def __call__(self, path: Path, message: bytearray) -> None:
        """Overwrite a message by its answer; OSError, as the kernel has it, for one that is no such message."""
        if number := self.nodes.get(path.name, errno.ENOENT):
            raise OSError(number, os.strerror(number), str(path))
        size, request, tag, room, _, _ = struct.unpack_from("=6I", message)
        ends = int.from_bytes(message[-4:], sys.byteorder)
        if size != len(message) or request or room > size - 20 or ends:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if tag != 0x00030080:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        command = bytes(message[24:-4]).partition(b"\0")[0].decode()
        self.asked.append(command)
        name, _, only = command.partition(" ")
        lines = self.answers.get(name, 'error=1 error_msg="Command not registered"').splitlines(keepends=True)
        text = "".join(line for line in lines if only in line).encode()[: room - 5] + b"\0"
        struct.pack_into("=6I", message, 0, size, 0x80000000, tag, room, 0x80000000 | len(text) + 4, 0)
        message[24 : 24 + len(text)] = text


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """Files below a folder by their paths, for readers of /proc and /sys."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
