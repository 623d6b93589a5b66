"""The daemon: admit what is asked, have it answered, tell how things are, stop cleanly.

It knows neither paho nor an engine: `Transport` and `Engine` are what it needs of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from edge import __version__, messages
from edge.bundle import Manifest
from edge.config import Settings
from edge.engine import Finished, Job
from edge.errors import (
    BrokerError,
    Cancelled,
    Conflict,
    DeadlineExceeded,
    EdgeError,
    EngineFailed,
    Fault,
    NotFound,
    Unavailable,
)
from edge.messages import Message, Outcome, Request, Timings, Usage
from edge.systemd import Notifier
from edge.telemetry import Source, sample
from edge.telemetry.inference import Inference
from edge.topics import Topics

log = logging.getLogger(__name__)

RESTART_SECONDS = (0, 1, 2, 5, 10, 30)
"""How long to wait before the engine is started again, by how often that has failed in a row."""


class Transport(Protocol):
    """Messages in and out; edge.mqtt.MqttTransport is the real one."""

    received: asyncio.Queue[Message | BrokerError]
    """What arrived; a BrokerError is the end."""
    birth: list[Message]
    """Published at every connect, before anything else."""

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""

    def publish(self, message: Message) -> None:
        """Send a message, or keep it until the connection is back."""

    async def close(self, last: Message | None = None) -> None:
        """Publish a last message and disconnect."""


class Engine(Protocol):
    """What answers; edge.worker.Worker is the real one."""

    async def start(self) -> None:
        """Load the model; BundleError where it cannot be."""

    def generate(self, job: Job) -> AsyncGenerator[str | Finished, None]:
        """Pieces of the answer, then how it finished; raises Fault."""
        ...

    def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped soon."""

    async def stop(self) -> None:
        """End the engine."""

    async def died(self) -> None:
        """Return when the engine has ended."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def silent_seconds(self) -> float:
        """How long ago it last gave a sign of life."""
        ...

    def memory_bytes(self) -> int | None:
        """What it holds; None where that cannot be told."""
        ...


@dataclass
class Waiting:
    """A request from its arrival to its terminal message."""

    number: int
    request: Request
    arrived: float
    text: list[str] = field(default_factory=list)
    index: int = 0
    started: float | None = None
    first_token: float | None = None
    ended_by: Fault | None = None

    @property
    def deadline(self) -> float | None:
        """On the monotonic clock."""
        seconds = self.request.deadline_seconds
        return None if seconds is None else self.arrived + seconds


class Service:
    """One daemon: one transport, one engine, one queue."""

    def __init__(
        self, settings: Settings, manifest: Manifest, transport: Transport, engine: Engine, sources: Sequence[Source]
    ) -> None:
        self._settings, self._manifest = settings, manifest
        self._transport, self._engine = transport, engine
        self._topics = Topics(settings.device)
        self._inference = Inference(lambda: len(self._queue), engine.memory_bytes)
        self._sources = [*sources, self._inference]
        self._notifier = Notifier()
        self._queue: list[Waiting] = []
        self._running: Waiting | None = None
        self._arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._ready = False
        self._count = 0

    async def run(self) -> None:
        """Start, serve until `stop` is called, stop. Raises EdgeError where the daemon cannot go on."""
        self._start_transport()
        tasks = [asyncio.create_task(work) for work in (self._receive(), self._publish_telemetry())]
        try:
            await self._load_engine()
            tasks += [asyncio.create_task(work) for work in (self._answer(), self._watch(), self._feed_watchdog())]
            stopping = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._finish(tasks)

    def stop(self) -> None:
        """Begin to stop; for a signal handler."""
        self._stopping.set()

    # --- start and stop ---

    def _start_transport(self) -> None:
        self._transport.birth = [self._status("loading"), self._info()]
        self._transport.start()
        self._notifier.status("loading the model")

    async def _load_engine(self) -> None:
        self._notifier.extend_start(self._settings.engine.load_seconds + 5)
        await self._engine.start()
        self._ready = True
        self._tell("online")
        self._notifier.ready(f"serving {self._manifest.name} as {self._topics.base}")

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        """Let the running answer end, refuse the waiting ones, say goodbye."""
        self._stopping.set()
        self._notifier.stopping("finishing the running answer")
        for waiting in self._queue:
            self._end(waiting, messages.refusal(Unavailable("the daemon is stopping", retry_after=30)))
        self._queue.clear()
        await self._let_running_end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.stop()
        await self._transport.close(self._status("offline"))

    async def _let_running_end(self) -> None:
        until = time.monotonic() + self._settings.limits.stop_seconds
        while self._running is not None and time.monotonic() < until:
            await asyncio.sleep(0.02)
        if self._running is not None:
            self._interrupt(self._running, Unavailable("the daemon is stopping", retry_after=30))
            while self._running is not None and time.monotonic() < until + 2:
                await asyncio.sleep(0.02)

    # --- what arrives ---

    async def _receive(self) -> None:
        while True:
            message = await self._transport.received.get()
            if isinstance(message, BrokerError):
                raise message
            self._take(message)

    def _take(self, message: Message) -> None:
        """One message; whatever is wrong with it is its sender's to know and never ours to fall over."""
        try:
            kind, _ = self._topics.parse(message.topic)
        except ValueError:
            return log.warning("a message on a topic that is not ours was ignored")
        try:
            if kind == "request":
                self._admit(messages.parse_request(message, self._topics, self._settings.limits.payload_bytes))
            elif kind == "cancel":
                self._cancel(*messages.parse_cancel(message, self._topics))
        except Fault as fault:
            self._refuse(message, fault)
        return None

    def _refuse(self, message: Message, fault: Fault) -> None:
        log.info("refused with %d: %s", fault.code, fault.message)
        outcome = messages.refusal(fault)
        self._inference.count(outcome)
        self._transport.publish(messages.reply(messages.address_of(message, self._topics), outcome))

    def _admit(self, request: Request) -> None:
        """Into the queue, or refused at once with the reason."""
        self._check_model(request)
        self._check_room(request)
        self._count += 1
        self._queue.append(Waiting(self._count, request, time.monotonic()))
        self._arrived.set()
        place = len(self._queue) - 1 + (self._running is not None)
        if request.chat.stream and (place or not self._ready):
            self._transport.publish(messages.queued(request.address, place))

    def _check_model(self, request: Request) -> None:
        wanted = request.chat.model
        if wanted is not None and wanted != self._manifest.name:
            raise NotFound(f"this board serves {self._manifest.name}, not {wanted[:100]!r}", "model")

    def _check_room(self, request: Request) -> None:
        if self._stopping.is_set():
            raise Unavailable("the daemon is stopping", retry_after=30)
        if len(self._queue) >= self._settings.limits.queue_length:
            raise Unavailable(f"the queue is full ({len(self._queue)} requests wait)", retry_after=10)
        if any(each.request.address.names & request.address.names for each in self._open()):
            raise Conflict(f"a request with the id {request.address.id!r} is already waiting or running", "id")

    def _open(self) -> list[Waiting]:
        """Every request without its terminal message, the running one first."""
        return [*([self._running] if self._running else []), *self._queue]

    def _cancel(self, client: str | None, name: bytes) -> None:
        found = next((each for each in self._open() if (client, name) in each.request.address.names), None)
        if found is None:
            return log.info("a cancel for a request that is not open was ignored")
        fault = Cancelled("cancelled as asked")
        if found is self._running:
            return self._interrupt(found, fault)
        self._queue.remove(found)
        return self._end(found, messages.refusal(fault))

    # --- what is answered ---

    async def _answer(self) -> None:
        """One request after the other; a dead engine is started again first, and the queue waits for it."""
        while True:
            if not self._engine.alive:
                await self._restart_engine()
            elif self._queue:
                await self._answer_one(self._queue.pop(0))
            else:
                self._arrived.clear()
                await self._arrived.wait()

    async def _answer_one(self, waiting: Waiting) -> None:
        """One request through the engine to its terminal message."""
        self._running = waiting
        waiting.started = time.monotonic()
        try:
            with self._deadline(waiting):
                finished = await self._generate(waiting)
            self._end(waiting, self._outcome(waiting, finished))
        except Fault as fault:
            self._end(waiting, replace(messages.refusal(fault), text="".join(waiting.text), index=waiting.index))
        finally:
            self._running = None

    @contextlib.contextmanager
    def _deadline(self, waiting: Waiting) -> Iterator[None]:
        """Interrupt the request when its time is up."""
        if waiting.deadline is None:
            yield
            return
        remaining = waiting.deadline - time.monotonic()
        fault = DeadlineExceeded(f"not finished within {waiting.request.deadline_seconds:g} s")
        if remaining <= 0:
            raise fault
        timer = asyncio.get_running_loop().call_later(remaining, self._interrupt, waiting, fault)
        try:
            yield
        finally:
            timer.cancel()

    async def _generate(self, waiting: Waiting) -> Finished:
        async with contextlib.aclosing(self._engine.generate(self._job(waiting))) as pieces:
            async for piece in pieces:
                if isinstance(piece, Finished):
                    return piece
                if piece:
                    self._pass_on(waiting, piece)
        raise EngineFailed("the engine ended an answer without saying how")

    def _pass_on(self, waiting: Waiting, piece: str) -> None:
        waiting.first_token = waiting.first_token or time.monotonic()
        waiting.text.append(piece)
        if waiting.request.chat.stream:
            self._transport.publish(messages.delta(waiting.request.address, waiting.index, piece))
            waiting.index += 1

    def _job(self, waiting: Waiting) -> Job:
        chat = waiting.request.chat
        return Job(
            id=waiting.number,
            messages=chat.conversation(),
            max_tokens=chat.max_tokens or self._settings.limits.max_tokens,
            temperature=chat.temperature,
            top_p=chat.top_p,
            top_k=chat.top_k,
            repetition_penalty=chat.repetition_penalty,
            seed=chat.seed,
            stop=chat.stop,
            guidance=chat.response_format.guidance(),
        )

    def _interrupt(self, waiting: Waiting, fault: Fault) -> None:
        """Stop the running request; it will end with this fault."""
        if waiting is self._running and waiting.ended_by is None:
            waiting.ended_by = fault
            self._engine.cancel(waiting.number)

    def _outcome(self, waiting: Waiting, finished: Finished) -> Outcome:
        ended_by = waiting.ended_by if finished.finish_reason == "cancelled" else None
        outcome = Outcome(200, finished.finish_reason) if ended_by is None else messages.refusal(ended_by)
        return replace(
            outcome,
            text="".join(waiting.text),
            usage=Usage(finished.prompt_tokens, finished.completion_tokens),
            timings=_timings(waiting, finished),
            index=waiting.index,
            warnings=waiting.request.warnings,
        )

    def _end(self, waiting: Waiting, outcome: Outcome) -> None:
        """The terminal message, once."""
        self._inference.count(outcome)
        self._transport.publish(messages.reply(waiting.request.address, outcome))
        log.info("request %s ended with %d (%s)", waiting.request.address.id, outcome.code, outcome.finish_reason)

    # --- the engine's life ---

    async def _watch(self) -> None:
        """Wake `_answer` when the engine dies between two requests."""
        while True:
            await self._engine.died()
            self._arrived.set()
            await asyncio.sleep(0.2)

    async def _restart_engine(self) -> None:
        """Until it stands, waiting longer each time; the queue keeps what arrives meanwhile."""
        self._tell("loading")
        for wait in (*RESTART_SECONDS, *[RESTART_SECONDS[-1]] * 1000):
            await asyncio.sleep(wait)
            self._inference.restarts += 1
            try:
                await self._engine.start()
            except EdgeError as error:
                log.error("the engine did not start: %s", error)
            else:
                return self._tell("online")
        return None

    async def _feed_watchdog(self) -> None:
        """Signs of life to the service manager, as long as work in hand goes on."""
        period = self._notifier.watchdog_seconds
        if period is None:
            await self._stopping.wait()
            return
        while True:
            if self._running is None or self._engine.silent_seconds < self._settings.engine.stall_seconds + period:
                self._notifier.watchdog()
            await asyncio.sleep(period / 3)

    # --- what is told ---

    async def _publish_telemetry(self) -> None:
        """One reading a period, on time whatever the model does."""
        period = self._settings.telemetry.period_seconds
        due = time.monotonic()
        while True:
            taken = sample(self._sources, self._settings.telemetry.root)
            late = max(0.0, time.monotonic() - due)
            body = {"time": round(time.time(), 3), "late_seconds": round(late, 4), **taken.body()}
            self._transport.publish(Message(self._topics.telemetry, messages.dumps(body), content_type=messages.JSON))
            due = max(due + period, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _tell(self, state: str) -> None:
        self._transport.birth = [self._status(state), self._info()]
        self._transport.publish(self._status(state))
        log.info("%s", state)

    def _status(self, state: str) -> Message:
        return status_message(self._topics, state)

    def _info(self) -> Message:
        manifest, limits = self._manifest, self._settings.limits
        body = {
            "version": __version__,
            "model": manifest.name,
            "model_version": manifest.version,
            "family": manifest.family,
            "provider": self._settings.engine.provider,
            "capabilities": manifest.capabilities,
            "context_length": manifest.context_length,
            "max_tokens": limits.max_tokens,
            "payload_bytes": limits.payload_bytes,
            "queue_length": limits.queue_length,
        }
        return messages.retained(self._topics.info, body)


def status_message(topics: Topics, state: str) -> Message:
    """The retained status; with `offline` it is the Will."""
    return messages.retained(topics.status, {"state": state, "version": __version__})


def _timings(waiting: Waiting, finished: Finished) -> Timings:
    started = waiting.started or waiting.arrived
    first = None if waiting.first_token is None else waiting.first_token - waiting.arrived
    return Timings(started - waiting.arrived, finished.prefill_seconds, finished.decode_seconds, first)
