"""The daemon: admit what is asked, have it answered, tell how things are, stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from edge.board.heap import keep_giving_back
from edge.board.instruments import Instruments
from edge.board.systemd import Notifier
from edge.config import Settings
from edge.errors import Cancelled, EdgeError
from edge.governor import Decision
from edge.service import journal_file
from edge.service.admission import Admission
from edge.service.afterwards import Afterwards
from edge.service.announcements import Announcements, status_message
from edge.service.answering import Answering
from edge.service.board_tools import BoardTools
from edge.service.bundles import Bundles
from edge.service.callers import Callers, Inside
from edge.service.clock import now
from edge.service.doors import Doors
from edge.service.elsewhere import Elsewhere
from edge.service.fleet import FleetMember
from edge.service.guard import Guard
from edge.service.happenings import Happenings
from edge.service.inference import Inference
from edge.service.journal import Journal
from edge.service.journal_file import Entry, JournalFile
from edge.service.load import LoadTeller, load_body
from edge.service.outbox import Answer, Outbox
from edge.service.protocols import Door, Fleet, Transport, Upstream
from edge.service.queue import Queue, stopping
from edge.service.readiness import Readiness
from edge.service.receiving import Receiving
from edge.service.repeats import Repeats
from edge.service.replies import Replies
from edge.service.report import Report
from edge.service.rollout import Rollout
from edge.service.seat import Seat
from edge.service.signs import Signs
from edge.service.speed import Speed
from edge.service.waiting import Waiting
from edge.service.wishes import Wishes
from edge.wire.reply import refusal

log = logging.getLogger(__name__)

REACHED_SECONDS = 2.0
"""How long `online` waits for the fleet's connection, so that who hears it is heard by the fleet."""
OUTBOX_SECONDS = 2.0
"""How long the broker has, at the end, to take the last answers; what is left goes out at the next start."""


class Daemon:
    """One daemon: one transport, one seat for a bundle and its engine, one queue."""

    def __init__(
        self,
        settings: Settings,
        seat: Seat,
        transport: Transport,
        instruments: Instruments,
        journal_file: JournalFile,
        doors: Sequence[Door] = (),
        bundles: Bundles | None = None,
        fleet: Fleet | None = None,
        upstream: Upstream | None = None,
    ) -> None:
        """bundles: those that may take the seat; None where there are no others. fleet: what makes its connections.

        upstream: what answers in the board's place, where the operator has it.
        """
        self._settings, self._seat, self._notifier = settings, seat, Notifier()
        self._transport, self._instruments = transport, instruments
        self._topics, self._callers = settings.topics, Callers(settings.topics)
        speed = Speed(settings.documents.tokens, seat.name_beside)
        self._queue = Queue(settings.limits, speed)
        inference = Inference(
            lambda: len(self._queue), lambda: len(self._queue.running), lambda: self._outbox.lost(), seat, speed
        )
        self._journal = Journal(journal_file)
        self._outbox = Outbox(transport, self._journal)
        self._replies = Replies(transport, self._topics, inference, speed, self._journal, self._outbox, self._callers)
        repeats = Repeats(self._journal, self._queue, self._replies, self._topics)
        self._elsewhere = Elsewhere(settings.upstream, settings.limits, upstream, seat)
        self._admission = self._admits(repeats, speed)
        self._announcements = Announcements(settings, seat, transport, self._topics, instruments.sensors)
        live = self._announcements.info, self._load_body, seat.shelf.reading
        self._doors = Doors(doors, Inside(transport.publish, self._callers.ask, *live))
        self._happenings = Happenings(self._topics.event, transport.publish)
        self._tools = BoardTools(settings.tools, transport)
        self._answering = self._answers(inference)
        self._guard = self._guards()
        self._report = Report(seat, self._happenings, self._announcements.report)
        self._receiving = self._receives(repeats, inference)
        self._readiness = Readiness(
            settings.limits, self._queue, self._admission, self._answering, lambda: self._guard.decision
        )
        self._member = self._joins(fleet) if fleet and settings.fleet else None
        self._load = LoadTeller(self._topics.load, transport, self._load_body)
        self._rollout = self._rolls_out(bundles, speed) if bundles else None
        self._acquaint(inference)
        self._signs = Signs(self._notifier, seat, self._queue, settings.engine.stall_seconds)
        self._stopping = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None
        self._reason: str | None = None

    def _acquaint(self, inference: Inference) -> None:
        """Who is to hear of whom."""
        self._receiving.drain, self._callers.take = self._drain, self._receiving.take
        self._readiness.is_tried = lambda: self._report.is_trying
        self._answering.slowed = self._guard.slowed
        inference.elsewhere = self._elsewhere.reading
        self._elsewhere.is_hot = lambda: self._readiness.reason() == "hot"
        own = {"inference": inference.reading, "governor": self._guard.reading, "bundle": self._report.reading}
        own["models"] = self._seat.shelf.reading
        self._seat.shelf.happened, self._seat.shelf.moved = self._happenings.happened, self._guard.moved
        self._announcements.own = own
        self._announcements.told = [self._doors.told, self._happenings.told, self._tools.told]
        self._receiving.heard, self._admission.check_tools = self._tools.hear, self._tools.offered
        if self._settings.limits.stop_unheard:
            self._replies.unheard = lambda waiting: self._answering.interrupt(waiting, Cancelled("nobody listens"))

    def _admits(self, repeats: Repeats, speed: Speed) -> Admission:
        return Admission(
            self._settings,
            self._seat,
            self._topics,
            self._queue,
            self._journal,
            self._replies,
            repeats,
            speed,
            self._elsewhere,
        )

    def _answers(self, inference: Inference) -> Answering:
        return Answering(
            self._queue,
            self._seat,
            self._replies,
            self._journal,
            self._settings.limits,
            inference,
            self._announcements.tell,
            self._happenings.happened,
            self._instruments.wattmeter,
            self._elsewhere,
            self._tools,
        )

    def _receives(self, repeats: Repeats, inference: Inference) -> Receiving:
        limits, ratings = self._settings.limits, inference.ratings
        return Receiving(
            self._settings,
            self._transport,
            self._queue,
            self._journal,
            self._replies,
            repeats,
            self._admission,
            self._answering,
            self._doors,
            Afterwards(limits, self._topics.base, self._queue, self._journal, self._seat, ratings),
        )

    def _guards(self) -> Guard:
        return Guard(
            self._settings,
            self._instruments,
            self._seat,
            self._queue,
            self._admission,
            self._answering,
            self._happenings,
            self._governed,
        )

    def _joins(self, fleet: Fleet) -> FleetMember:
        member = FleetMember(
            self._settings, fleet, self._receiving, self._admission, self._queue, self._journal, self._readiness
        )
        self._replies.met = member.held.met
        self._outbox.at_delivered = member.held.delivered
        return member

    def _load_body(self) -> dict[str, Any]:
        is_joined = self._member is not None and self._member.is_joined
        return load_body(self._readiness.reason(), self._topics.fleet, is_joined, self._queue, self._seat.rows)

    def _drain(self, is_drained: bool) -> None:
        self._readiness.is_drained = is_drained

    def _rolls_out(self, bundles: Bundles, speed: Speed) -> Rollout:
        def changed() -> None:
            speed.forget()
            self._guard.changed()
            self._announcements.again()

        wishes = Wishes(self._topics)
        self._receiving.wished = wishes.hear
        self._receiving.update = lambda: wishes.update(self._seat.manifest.name)
        return Rollout(self._settings, bundles, self._seat, self._answering, self._guard, wishes, self._report, changed)

    def _governed(self, decision: Decision) -> None:
        """The governor does something else now: for who reads the status, here and at the broker."""
        self._announcements.govern(decision.state)
        slowed = f", slowed: {decision.reason}" if decision.state == "slowed" else ""
        self._notifier.status(f"{self._announcements.doing}{slowed}")

    async def run(self) -> None:
        """Start, serve until `stop` is called, stop. Raises EdgeError where the daemon cannot go on."""
        tasks = [asyncio.create_task(self._journal.run())]
        try:
            await self._recover()
            self._start_transport()
            self._instruments.wattmeter.start()
            tasks += [asyncio.create_task(work) for work in self._always()]
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

    def _always(self) -> list[Coroutine[None, None, None]]:
        """What goes on from the start to the end."""
        always = [
            self._receiving.run(),
            self._announcements.publish_telemetry(),
            self._announcements.watch_documents(),
            self._guard.run(),
            keep_giving_back(),
            self._doors.run(),
            self._load.run(),
            self._seat.shelf.run(),
        ]
        return [*always, self._member.run()] if self._member else always

    def stop(self) -> None:
        """Begin to stop; for a signal handler."""
        self._stopping.set()

    # --- start and stop ---

    async def _recover(self) -> None:
        """What the last daemon left: requests to answer, answers to deliver."""
        for number, left_seconds in await self._journal.read(lambda file: file.undelivered()):
            self._outbox.add(Answer(number, None, now() + left_seconds))
        for entry in await self._journal.read(lambda file: list(file.open_requests())):
            self._restore(entry)
        if len(self._queue) or len(self._outbox):
            log.info("%d requests and %d answers are left from before", len(self._queue), len(self._outbox))

    def _restore(self, entry: Entry) -> None:
        if not self._callers.may_return(entry.message):
            return self._journal.write(journal_file.withdraw(entry.number))
        if not (self._member and self._member.recovered(entry)):
            self._admission.restore(entry)
        return None

    def _start_transport(self) -> None:
        self._report.again()
        self._announcements.at_connect("loading")
        self._transport.at_connect = self._connected
        self._transport.at_trouble = self._notifier.status
        self._transport.start()

    async def _serve(self) -> None:
        """A task beside the others, so that a stop, or the broker's refusal, ends loading as it ends answering."""
        await self._load_engine()
        work = [self._answering.run(), self._answering.watch(), self._signs.feed_watchdog()]
        await asyncio.gather(*work, *([self._rollout.run()] if self._rollout else []))

    def _connected(self) -> None:
        self._notifier.status(self._announcements.doing)
        self._outbox.pump()
        self._doors.connected()

    async def _load_engine(self) -> None:
        telling = asyncio.create_task(self._signs.tell_progress())
        try:
            await (self._rollout or self._seat).start()
        finally:
            telling.cancel()
        if self._member:
            await self._member.reached(REACHED_SECONDS)
        self._admission.is_ready = True
        self._announcements.tell("online")
        self._notifier.ready(f"serving {self._seat.manifest.name} as {self._topics.base}")
        self._announcements.at_state = self._notifier.status

    async def _finish(self, tasks: list[asyncio.Task[None]]) -> None:
        """Refuse the waiting ones, let the running answers end, say goodbye.

        A daemon that never was ready leaves the waiting ones in the journal for the next, which may be.
        """
        self._announcements.tell("stopping")
        self._notifier.stopping("finishing what is being answered")
        if self._serving is not None and not self._admission.is_ready:
            self._serving.cancel()
        if self._member:
            await self._member.leave()
        self._receiving.close()
        for waiting in self._queue.close():
            if (self._admission.is_ready or self._stopping.is_set()) and not self._is_fleets(waiting):
                self._replies.end(waiting, refusal(stopping()))
        await self._let_running_end()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._last_answers_out(), OUTBOX_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(self._seat.stop(), self._seat.shelf.stop())
        if self._member:
            await self._member.close()
        self._load.end()
        await self._transport.close(status_message(self._topics, "offline", self._reason))
        self._journal.close()
        self._instruments.close()

    def _is_fleets(self, waiting: Waiting) -> bool:
        """Whether the broker, and this board's journal, keep it for the fleet, so that it needs no refusal."""
        return self._member is not None and self._member.has(waiting.number)

    async def _last_answers_out(self) -> None:
        await self._journal.settled()
        await self._outbox.drained()
        await self._journal.settled()

    async def _let_running_end(self) -> None:
        until = now() + self._settings.limits.stop_seconds
        if not await self._queue.until_idle(until):
            for waiting in self._queue.running:
                if not self._is_fleets(waiting):
                    self._answering.interrupt(waiting, stopping())
            await self._queue.until_idle(until + 2)
