"""The daemon: admit what is asked, have it answered, tell how things are, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from edge.board.heap import keep_giving_back
from edge.board.source import Source
from edge.board.systemd import Notifier
from edge.bundle import Manifest
from edge.config import Settings
from edge.errors import BadRequest, BrokerError, Cancelled, EdgeError, Fault
from edge.service.admission import Admission, unforeseen
from edge.service.announcements import Announcements, status_message
from edge.service.answering import Answering
from edge.service.clock import now
from edge.service.inference import Inference
from edge.service.journal import Journal
from edge.service.journal_file import JournalFile, Known
from edge.service.outbox import Answer, Outbox
from edge.service.protocols import Engine, Transport
from edge.service.queue import Queue, stopping
from edge.service.repeats import Repeats
from edge.service.replies import Replies
from edge.service.speed import Speed
from edge.service.uploads import Uploads
from edge.wire.chunks import Chunk, parse_chunk
from edge.wire.message import Message
from edge.wire.reply import refusal
from edge.wire.request import Cancel, Request, parse_cancel

log = logging.getLogger(__name__)

Understood = Request | Cancel | Chunk | Fault | None
"""What a message asks for: None where it is not for us."""
BATCH_MAX = 64
"""Messages that share one write to the disk."""
PROGRESS_SECONDS = 1.0
"""Between two looks at how far the start is."""
OUTBOX_SECONDS = 2.0
"""How long the broker has, at the end, to take the last answers; what is left goes out at the next start."""


class Daemon:
    """One daemon: one transport, one engine, one queue."""

    def __init__(
        self,
        settings: Settings,
        manifest: Manifest,
        transport: Transport,
        engine: Engine,
        sources: Sequence[Source],
        journal_file: JournalFile,
    ) -> None:
        self._settings, self._manifest = settings, manifest
        self._transport, self._engine = transport, engine
        self._topics = settings.topics
        speed = Speed()
        self._queue = Queue(settings.limits, speed)
        inference = Inference(
            lambda: len(self._queue), lambda: len(self._queue.running), lambda: self._outbox.lost(), engine, speed
        )
        self._journal = Journal(journal_file)
        self._outbox = Outbox(transport, self._journal)
        self._replies = Replies(transport, self._topics, inference, speed, self._journal, self._outbox)
        self._repeats = Repeats(self._journal, self._queue, self._replies)
        self._admission = Admission(
            settings, manifest, self._topics, self._queue, self._journal, self._replies, self._repeats
        )
        self._announcements = Announcements(
            settings, manifest, transport, self._topics, [*sources, inference], lambda: engine.rows
        )
        self._answering = Answering(
            self._queue,
            engine,
            self._replies,
            self._journal,
            settings.limits,
            manifest.sampling,
            inference,
            self._announcements.tell,
        )
        if settings.limits.stop_unheard:
            self._replies.unheard = lambda waiting: self._answering.interrupt(waiting, Cancelled("nobody listens"))
        self._uploads = Uploads(self._admission.bytes_max, self._replies.refuse)
        self._notifier = Notifier()
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._reason: str | None = None

    async def run(self) -> None:
        """Start, serve until `stop` is called, stop. Raises EdgeError where the daemon cannot go on."""
        tasks = [asyncio.create_task(self._journal.run())]
        try:
            await self._recover()
            self._start_transport()
            always = (self._receive(), self._announcements.publish_telemetry(), keep_giving_back())
            tasks += [asyncio.create_task(work) for work in always]
            self._serving = asyncio.create_task(self._serve())
            tasks.append(self._serving)
            stop_asked = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([*tasks, stop_asked], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except EdgeError as error:
            self._reason = str(error)
            raise
        finally:
            await self._finish(tasks)

    def stop(self) -> None:
        """Begin to stop; for a signal handler."""
        self._stopping.set()

    # --- start and stop ---

    async def _recover(self) -> None:
        """What the last daemon left: requests to answer, answers to deliver."""
        for number, left_seconds in await self._journal.read(lambda file: file.undelivered()):
            self._outbox.add(Answer(number, None, now() + left_seconds))
        for entry in await self._journal.read(lambda file: list(file.open_requests())):
            self._admission.restore(entry)
        if len(self._queue) or len(self._outbox):
            log.info("%d requests and %d answers are left from before", len(self._queue), len(self._outbox))

    def _start_transport(self) -> None:
        self._announcements.at_connect("loading")
        self._transport.at_connect = self._connected
        self._transport.at_trouble = self._notifier.status
        self._transport.start()

    async def _serve(self) -> None:
        """A task beside the others, so that a stop, or the broker's refusal, ends loading as it ends answering."""
        await self._load_engine()
        await asyncio.gather(self._answering.run(), self._answering.watch(), self._feed_watchdog())

    def _connected(self) -> None:
        self._notifier.status(f"{'serving' if self._admission.is_ready else 'loading'} {self._manifest.name}")
        self._outbox.pump()

    async def _load_engine(self) -> None:
        telling = asyncio.create_task(self._tell_progress())
        try:
            await self._engine.start()
        finally:
            telling.cancel()
        self._admission.is_ready = True
        self._announcements.tell("online")
        self._notifier.ready(f"serving {self._manifest.name} as {self._topics.base}")

    async def _tell_progress(self) -> None:
        """How far the engine is, to systemd, which gives up a start that gets no further."""
        told = None
        while True:
            if (doing := self._engine.progress) != told:
                self._notifier.starting(doing or "loading the model")
            told = doing
            await asyncio.sleep(PROGRESS_SECONDS)

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        """Refuse the waiting ones, let the running answers end, say goodbye.

        A daemon that never was ready leaves the waiting ones in the journal for the next, which may be.
        """
        self._notifier.stopping("finishing what is being answered")
        self._announcements.tell("stopping")
        if self._serving is not None and not self._admission.is_ready:
            self._serving.cancel()
        self._uploads.close()
        for waiting in self._queue.close():
            if self._admission.is_ready or self._stopping.is_set():
                self._replies.end(waiting, refusal(stopping()))
        await self._let_running_end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._last_answers_out(), OUTBOX_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.stop()
        await self._transport.close(status_message(self._topics, "offline", self._reason))
        self._journal.close()

    async def _last_answers_out(self) -> None:
        await self._journal.settled()
        await self._outbox.drained()
        await self._journal.settled()

    async def _let_running_end(self) -> None:
        until = now() + self._settings.limits.stop_seconds
        if not await self._queue.until_idle(until):
            for waiting in self._queue.running:
                self._answering.interrupt(waiting, stopping())
            await self._queue.until_idle(until + 2)

    # --- what arrives ---

    async def _receive(self) -> None:
        """Whatever arrives, until the transport ends; between two batches nothing of the last is kept."""
        while True:
            await self._take_batch([await self._transport.received.get()])

    async def _take_batch(self, batch: list[Message | BrokerError]) -> None:
        """What has arrived: into the queue, onto the disk, and only then acknowledged, in its order."""
        while not self._transport.received.empty() and len(batch) < BATCH_MAX:
            batch.append(self._transport.received.get_nowait())
        arrived = [message for message in batch if not isinstance(message, BrokerError)]
        await self._take(arrived)
        for message in arrived:
            self._transport.acknowledge(message)
        for error in batch:
            if isinstance(error, BrokerError):
                raise error

    async def _take(self, batch: list[Message]) -> None:
        """Messages in their order; whatever is wrong with one is its sender's to know and never ours to fall over."""
        understood = [each for message in batch if (each := self._completed(message, self._understood(message)))]
        known = await self._repeats.known(understood)
        for (message, what), before in zip(understood, known, strict=True):
            self._act(message, what, before)
        await self._journal.settled()

    def _act(self, message: Message, what: Understood, before: Known | None) -> None:
        """Do what a message asks for; whatever that raises is refused, since the message would come again."""
        try:
            if isinstance(what, Request):
                self._admission.admit(message, what, before)
            elif isinstance(what, Cancel):
                self._cancel(what)
            elif isinstance(what, Fault):  # not raised, since its traceback and this batch would keep each other
                self._replies.refuse(message, what)
        except Fault as fault:
            self._replies.refuse(message, fault)
        except Exception:
            log.exception("a message could not be taken")
            self._replies.refuse(message, unforeseen())

    def _completed(self, message: Message, what: Understood) -> tuple[Message, Understood] | None:
        """A message with what it asks for; of chunks the whole that they make, None before their last."""
        if not isinstance(what, Chunk):
            return message, what
        try:
            whole = self._uploads.add(what)
        except Exception:
            log.exception("a chunk could not be taken")
            return what.asker, unforeseen()
        return None if whole is None else (whole, self._understood(whole))

    def _understood(self, message: Message) -> Understood:
        """What a message asks for; None where it is not for us."""
        try:
            kind = self._topics.parse(message.topic).kind
        except ValueError:
            log.warning("a message on a topic that is not ours was ignored")
            return None
        try:
            if kind == "request":
                return self._admission.parse(message)
            if kind == "chunk":
                return parse_chunk(message, self._topics, self._admission.bytes_max)
            return parse_cancel(message, self._topics) if kind == "cancel" else None
        except Fault as fault:
            return fault.bare()
        except Exception:  # a message must never end the daemon, and one that was not foreseen least of all
            log.exception("a message could not be read")
            return BadRequest("this message cannot be read; the board's log says why")

    def _cancel(self, cancel: Cancel) -> None:
        found, fault = self._queue.find(cancel.client, cancel.name), Cancelled("cancelled as asked")
        if found is None:
            log.info("a cancel for a request that is not open was ignored")
        elif found in self._queue.running:
            self._answering.interrupt(found, fault)
        else:
            self._queue.remove(found)
            self._replies.end(found, refusal(fault))

    # --- signs of life ---

    async def _feed_watchdog(self) -> None:
        """Signs of life to the service manager, as long as work in hand goes on."""
        period = self._notifier.watchdog_seconds
        if period is None:
            await self._stopping.wait()
            return
        while True:
            stalled = self._engine.silent_seconds >= self._settings.engine.stall_seconds + period
            if not (self._queue.running and stalled):
                self._notifier.watchdog()
            await asyncio.sleep(period / 3)
