"""What the broker has given us of the fleet's and has no PUBACK for: each until it is answered or handed on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from edge.service.clock import now
from edge.service.protocols import Transport
from edge.wire.message import Message


@dataclass(eq=False)
class Request:
    """One of them. since: when it came, on the service's clock.

    number: the journal's, under which it ends; None before it is known. is_away: it is being handed on. is_ours: that
    was tried in vain. is_done: its PUBACK may go out.
    """

    message: Message
    since: float
    number: int | None = None
    is_away: bool = False
    is_ours: bool = False
    is_done: bool = False


class Held:
    """In the order of their arrival, in which their PUBACKs go out, too (MQTT 5, section 4.6)."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._all: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._all)

    def open(self) -> list[Request]:
        """Those that are neither answered nor on their way elsewhere."""
        return [each for each in self._all if not (each.is_done or each.is_away)]

    def find(self, message: Message) -> Request | None:
        """The very message; an equal one is another."""
        return next((each for each in self._all if each.message is message), None)

    def add(self, message: Message) -> Request:
        """One has come, or is to be taken here after all."""
        found = self.find(message)
        if found is None:
            found = Request(message, now())
            self._all.append(found)
        return found

    def met(self, message: Message, number: int) -> None:
        """It ends as the journal's of that number does."""
        if found := self.find(message):
            found.number = number

    def delivered(self, number: int) -> None:
        """The broker has the answer of that number."""
        for each in self._all:
            each.is_done |= each.number == number
        self._acknowledge()

    def done(self, request: Request) -> None:
        """Nothing more is to come of one."""
        request.is_done = True
        self._acknowledge()

    def _acknowledge(self) -> None:
        while self._all and self._all[0].is_done:
            self._transport.acknowledge(self._all.popleft().message)

    def numbers(self) -> set[int]:
        """The journal's, of all of them."""
        return {each.number for each in self._all if each.number is not None}

    def clear(self) -> None:
        """The connection is another: what was not acknowledged comes again."""
        self._all.clear()
