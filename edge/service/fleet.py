"""A board's part in its fleet: in the group or out of it, what it takes of the group's requests, whose place it takes.

All of it goes over a connection of its own. A request is acknowledged once the broker has its answer, so that what a
board has not answered is the broker's still, and another board's where this one does not come back.
"""

from __future__ import annotations

import asyncio
import logging
import math

from edge.config import FLEET_SPARE, Settings
from edge.errors import BrokerError, Fault, TooMany, Unavailable
from edge.service import journal_file, protocols
from edge.service.admission import Admission
from edge.service.clock import now
from edge.service.heir import Heir
from edge.service.held import Held, Request
from edge.service.journal import Journal
from edge.service.journal_file import Entry
from edge.service.queue import Queue
from edge.service.readiness import Readiness
from edge.service.receiving import Receiving
from edge.service.roll import Roll, rank
from edge.wire.load import Absence, Member, Reason, parse_member
from edge.wire.message import Delivery, Message, handed_on, handed_on_count, retained
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

STEP_SECONDS = 0.25
CHECK_SECONDS = 1.0
"""After a connect, for the retained messages of all members to come."""
SETTLE_SECONDS = 2.0
"""After it has said that it would leave, for what others said at the same time to come."""
LEAVE_SECONDS = 4.0
"""For the others to take over from a daemon that ends."""
AGAIN_SECONDS = 60.0
"""A member says that it is there; well below what makes it count as away (roll.py)."""
HANDED_ON_MAX = 3
"""So often a request goes from board to board; then it is answered, or refused."""
HEIRS_MAX = 4
"""So many places are taken at once, each over a connection of its own."""
INHERITED: tuple[Reason | Absence, ...] = ("inheriting", "inherited")


class FleetMember:
    """One board's membership."""

    def __init__(
        self,
        settings: Settings,
        connections: protocols.Fleet,
        receiving: Receiving,
        admission: Admission,
        queue: Queue,
        journal: Journal,
        readiness: Readiness,
    ) -> None:
        self._settings, self._topics, self._connections = settings, settings.topics, connections
        self._receiving, self._admission, self._queue = receiving, admission, queue
        self._journal, self._readiness = journal, readiness
        self._transport = connections.own(self._said(self._topics.device, _away("offline")))
        self._transport.at_connect = self._connected
        self.held = Held(self._transport)
        self._roll = Roll(self._topics.device)
        self._reason: Reason | None = "loading"
        self.is_joined = True  # who comes joins, and leaves once others are known to be better
        self._is_known, self._connections_count = False, 0
        self._own: Member | None = None
        self._told: Member | None = None
        self._told_at = self._said_at = -math.inf
        self._waiting: list[Message] = []
        self._recovered: list[Entry] = []
        self._unsure: set[int] = set()
        """Numbers of requests that came over another connection, and may be another board's by now."""
        self._heirs: dict[str, asyncio.Task[None]] = {}
        readiness.filled = lambda: len(self.held) / (queue.rows + FLEET_SPARE)
        receiving.hand_on = admission.hand_on = self._is_anothers

    # --- life ---

    async def run(self) -> None:
        """For ever. Where the broker refuses the connection for good, the board goes on with its own topics."""
        self._transport.start()
        while True:
            await self._hear()
            if self._is_known and self._transport.is_connected:
                waiting, self._waiting = self._waiting, []
                await self._take(waiting)
                self._step()

    async def reached(self, seconds: float) -> None:
        """Return once the broker has taken the connection, or it is clear that this takes longer."""
        until = now() + seconds
        while not self._transport.is_connected and now() < until:
            await asyncio.sleep(0.02)

    async def leave(self) -> None:
        """The daemon ends: to the others what can be theirs. Where there are none the broker keeps it for us."""
        self._readiness.is_stopping = True
        until = now() + LEAVE_SECONDS
        while self._transport.is_connected and self._is_leaving() and now() < until:
            await asyncio.sleep(0.05)

    def _is_leaving(self) -> bool:
        is_out = not self.is_joined and all(each.number is None for each in self.held.open())
        return self._roll.is_anybody_there and not is_out

    async def close(self) -> None:
        """Say goodbye; what was not answered stays with the broker."""
        for task in self._heirs.values():
            task.cancel()
        await asyncio.gather(*self._heirs.values(), return_exceptions=True)
        await self._transport.close(self._said(self._topics.device, _away("offline")))

    def has(self, number: int) -> bool:
        """Whether a request is the fleet's, so that it is not lost where this board does not answer it."""
        return number in self.held.numbers() | self._unsure

    def recovered(self, entry: Entry) -> bool:
        """Keep what an earlier daemon accepted until it is known whether it is still ours; False where it always is."""
        if not entry.message.topic.startswith(f"{Topics(self._topics.fleet or '').base}/"):
            return False
        self._recovered.append(entry)
        return True

    # --- what comes ---

    async def _hear(self) -> None:
        """What has come, for a moment at most."""
        received = self._transport.received
        try:
            batch = [await asyncio.wait_for(received.get(), STEP_SECONDS)]
        except TimeoutError:
            return
        while not received.empty():
            batch.append(received.get_nowait())
        for each in batch:
            if isinstance(each, BrokerError):
                log.error("the fleet's connection ends: %s", each)
            elif not self._topics.is_members(each.topic):
                self._waiting.append(each)
            elif device := self._topics.member_of(each.topic):
                self._hear_of(device, parse_member(each))

    def _hear_of(self, device: str, member: Member | None) -> None:
        self._roll.hear(device, member, now())
        if device == self._topics.device:
            self._own = member
            if self._is_known and member != self._told:  # an heir's last word, after we came back
                self._told = None
        elif self._roll.is_back(device) and device in self._heirs:
            self._heirs[device].cancel()

    async def _take(self, messages: list[Message]) -> None:
        """Requests onto the disk, or to who takes more."""
        here = []
        for message in messages:
            request = self.held.add(message)
            if self._reason is not None and not message.duplicate and self._may_hand_on(request):
                self._hand_on(request)
            else:
                here.append(message)
        await self._receiving.take(here)
        for message in here:
            request = self.held.add(message)
            if request.number is None and not request.is_away:
                self.held.done(request)

    # --- what goes to others ---

    def _may_hand_on(self, request: Request) -> bool:
        is_v5 = self._settings.broker.protocol == "5"
        return is_v5 and not request.is_ours and self._roll.accepts and self._has_way_left(request.message)

    @staticmethod
    def _has_way_left(message: Message) -> bool:
        return handed_on_count(message) < HANDED_ON_MAX

    def _is_anothers(self, message: Message, fault: Fault) -> bool:
        """Hand on what would be refused here, where that is this board's matter and not the request's."""
        request = self.held.find(message)
        if request is None or not isinstance(fault, Unavailable | TooMany) or not self._may_hand_on(request):
            return False
        request.number = None
        self._hand_on(request)
        return True

    def _hand_on(self, request: Request) -> None:
        request.is_away = True
        copy = handed_on(request.message, now() - request.since)
        self._transport.publish(copy, lambda delivery: self._handed_on(request, delivery))

    def _handed_on(self, request: Request, delivery: Delivery) -> None:
        if delivery is Delivery.TAKEN:
            log.info("a request was handed on to the fleet")
            return self.held.done(request)
        request.is_away, request.is_ours = False, True
        if not self._queue.is_closed and delivery is not Delivery.LOST:  # a lost one comes again
            self._waiting.append(request.message)
        return None

    def _hand_on_waiting(self) -> None:
        """Those that have not begun: another board begins them sooner."""
        for request in self.held.open():
            waiting = None if request.number is None else self._queue.waiting(request.number)
            if waiting and self._may_hand_on(request) and self._queue.remove(waiting):
                self._journal.write(journal_file.withdraw(waiting.number))
                request.number = None
                self._hand_on(request)

    # --- in the group or out of it ---

    def _connected(self) -> None:
        """What was not acknowledged comes again over this connection, unless another board has it."""
        self._unsure |= self.held.numbers()
        self.held.clear()
        self._waiting.clear()
        self._is_known, self._own, self._told = False, None, None
        self._connections_count += 1
        asyncio.get_running_loop().call_later(CHECK_SECONDS, self._know, self._connections_count)

    def _know(self, connection: int) -> None:
        """Whether another board took this one's place: then what it had not answered is its own no more."""
        if connection != self._connections_count:
            return
        is_ours = self._own is None or self._own.reason not in INHERITED
        for entry in self._recovered:
            if is_ours:
                self._unsure.add(entry.number)
                self._admission.restore(entry)
            else:
                self._journal.write(journal_file.withdraw(entry.number))
        for number in () if is_ours else self._unsure:
            if (waiting := self._queue.waiting(number)) and self._queue.remove(waiting):
                self._journal.write(journal_file.withdraw(number))
        if not is_ours:
            log.warning("another board has taken this one's place in the fleet, and its open requests")
        self._recovered, self._is_known = [], True
        self._unsure = {number for number in self._unsure if self._queue.is_open(number)}

    def _step(self) -> None:
        """Once: in or out, tell it, hand on, take the places of those that do not come back."""
        self._roll.forget_silent(now())
        self._reason = reason = self._readiness.reason()
        if self._roll.belongs(reason):
            self._join()
        elif self._has_settled(reason) and self._roll.is_replaced(reason):
            self._leave(reason)
        self._tell(Member(accepts=reason is None, is_joined=self.is_joined, reason=reason))
        if rank(reason) > 1:
            self._hand_on_waiting()
        for device in self._roll.due(now(), self._settings.limits.inherit_seconds):
            self._inherit(device)

    def _has_settled(self, reason: Reason | None) -> bool:
        """Whether the others have known for long enough that it would leave."""
        told = self._told
        return told is not None and told.reason == reason and now() - self._told_at >= SETTLE_SECONDS

    def _join(self) -> None:
        if not self.is_joined:
            log.info("in the group of the fleet")
            self._transport.subscribe(self._topics.shared)
            self.is_joined = True

    def _leave(self, reason: Reason | None) -> None:
        if self.is_joined:
            log.info("out of the group of the fleet: %s", reason)
            self._transport.unsubscribe(self._topics.shared)
            self.is_joined = False

    def _tell(self, member: Member) -> None:
        """To all of the fleet, where it is another than before, and now and then all the same."""
        if member == self._told and now() - self._said_at < AGAIN_SECONDS:
            return
        if self._told is None or member.reason != self._told.reason:
            self._told_at = now()
        self._told, self._said_at = member, now()
        self._transport.publish(self._said(self._topics.device, member))

    def _said(self, device: str, member: Member) -> Message:
        return retained(self._topics.member(device), member.model_dump(exclude_none=True))

    # --- in another's place ---

    def _inherit(self, device: str) -> None:
        can = self._settings.broker.protocol == "5" and not self._readiness.is_stopping
        if can and device not in self._heirs and len(self._heirs) < HEIRS_MAX:
            log.warning("%s does not come back; what waits for it goes to the fleet", device)
            self._transport.publish(self._said(device, _away("inheriting", self._topics.device)))
            self._heirs[device] = asyncio.create_task(self._take_place(device))

    async def _take_place(self, device: str) -> None:
        found: Absence = "offline"  # then it is somebody's turn again, later
        try:
            found = await Heir(self._connections.heirs(device), self._transport, self._topics).run()
        except Exception:
            log.exception("the place of %s could not be taken", device)
        finally:
            del self._heirs[device]
        if not self._roll.is_back(device):
            self._transport.publish(self._said(device, _away(found, self._topics.device)))


def _away(reason: Absence, heir: str | None = None) -> Member:
    return Member(accepts=False, is_joined=False, reason=reason, heir=heir)
