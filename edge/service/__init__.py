"""The daemon: admit what is asked, have it answered, tell how things are, stop cleanly."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from edge import messages
from edge.bundle import Manifest
from edge.config import Settings
from edge.errors import BrokerError, Cancelled, Fault, NotFound
from edge.messages import Message, Request
from edge.service.announcements import Announcements, status_message
from edge.service.answering import Answering
from edge.service.protocols import Engine, Transport
from edge.service.queue import Queue, stopping
from edge.service.replies import Replies
from edge.systemd import Notifier
from edge.telemetry import Source
from edge.telemetry.inference import Inference
from edge.topics import Topics

__all__ = ["Engine", "Service", "Transport", "status_message"]

log = logging.getLogger(__name__)


class Service:
    """One daemon: one transport, one engine, one queue."""

    def __init__(
        self, settings: Settings, manifest: Manifest, transport: Transport, engine: Engine, sources: Sequence[Source]
    ) -> None:
        self._settings, self._manifest = settings, manifest
        self._transport, self._engine = transport, engine
        self._topics = Topics(settings.device)
        self._queue = Queue(settings.limits.queue_length)
        inference = Inference(lambda: len(self._queue), engine.memory_bytes)
        self._replies = Replies(transport, self._topics, inference)
        self._announcements = Announcements(settings, manifest, transport, self._topics, [*sources, inference])
        self._answering = Answering(
            self._queue, engine, self._replies, settings.limits, inference, self._announcements.tell
        )
        self._notifier = Notifier()
        self._stopping = asyncio.Event()
        self._ready = False

    async def run(self) -> None:
        """Start, serve until `stop` is called, stop. Raises EdgeError where the daemon cannot go on."""
        self._start_transport()
        tasks = [asyncio.create_task(work) for work in (self._receive(), self._announcements.publish_telemetry())]
        try:
            await self._load_engine()
            serving = (self._answering.run(), self._answering.watch(), self._feed_watchdog())
            tasks += [asyncio.create_task(work) for work in serving]
            stop_asked = asyncio.create_task(self._stopping.wait())
            done, _ = await asyncio.wait([*tasks, stop_asked], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._finish(tasks)

    def stop(self) -> None:
        """Begin to stop; for a signal handler."""
        self._stopping.set()

    # --- start and stop ---

    def _start_transport(self) -> None:
        self._announcements.at_connect("loading")
        self._transport.start()
        self._notifier.status("loading the model")

    async def _load_engine(self) -> None:
        self._notifier.extend_start(self._settings.engine.load_seconds + 5)
        await self._engine.start()
        self._ready = True
        self._announcements.tell("online")
        self._notifier.ready(f"serving {self._manifest.name} as {self._topics.base}")

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        """Refuse the waiting ones, let the running answer end, say goodbye."""
        self._notifier.stopping("finishing the running answer")
        for waiting in self._queue.close():
            self._replies.end(waiting, messages.refusal(stopping()))
        await self._let_running_end()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._engine.stop()
        await self._transport.close(status_message(self._topics, "offline"))

    async def _let_running_end(self) -> None:
        until = time.monotonic() + self._settings.limits.stop_seconds
        if not await self._queue.until_idle(until) and self._queue.running:
            self._answering.interrupt(self._queue.running, stopping())
            await self._queue.until_idle(until + 2)

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
            self._replies.refuse(message, fault)
        return None

    def _admit(self, request: Request) -> None:
        """Into the queue, or refused at once with the reason."""
        wanted = request.chat.model
        if wanted is not None and wanted != self._manifest.name:
            raise NotFound(f"this board serves {self._manifest.name}, not {wanted[:100]!r}", "model")
        place = self._queue.admit(request)
        if place or not self._ready:
            self._replies.queued(request, place)

    def _cancel(self, client: str | None, name: bytes) -> None:
        found, fault = self._queue.find(client, name), Cancelled("cancelled as asked")
        if found is None:
            log.info("a cancel for a request that is not open was ignored")
        elif found is self._queue.running:
            self._answering.interrupt(found, fault)
        else:
            self._queue.remove(found)
            self._replies.end(found, messages.refusal(fault))

    # --- signs of life ---

    async def _feed_watchdog(self) -> None:
        """Signs of life to the service manager, as long as work in hand goes on."""
        period = self._notifier.watchdog_seconds
        if period is None:
            await self._stopping.wait()
            return
        while True:
            stalled = self._engine.silent_seconds >= self._settings.engine.stall_seconds + period
            if self._queue.running is None or not stalled:
                self._notifier.watchdog()
            await asyncio.sleep(period / 3)
