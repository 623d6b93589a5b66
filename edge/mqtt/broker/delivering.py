"""From a message to one client: at once, later, or not at all where too much waits; what is lost is told."""

from __future__ import annotations

import logging
from collections.abc import Callable

from mqtt5 import DisconnectReasonCode as Reason

from edge.mqtt.broker.limits import Limits
from edge.mqtt.broker.session import Pending, Session, delivery
from edge.mqtt.broker.telling import Telling, shown, where

DROPPED = "messages for it dropped"


class Delivering:
    """Hands messages to sessions, within the bounds of each and of all together."""

    def __init__(self, limits: Limits, telling: Telling, sessions: dict[str, Session]) -> None:
        self._limits, self._telling, self._sessions = limits, telling, sessions
        self._held_at_most = 0

    def deliver(self, session: Session, pending: Pending, now: float) -> None:
        """Send now, or keep for later where the client is away or has enough in flight."""
        if pending.qos == 0:
            self.guarded(session, lambda: _send(session, pending, now))
        elif self._make_room(session, pending.stored.weight, now):
            session.put(pending)
            self._held_at_most += pending.stored.weight
            self.guarded(session, lambda: session.drain(now))

    def guarded(self, session: Session, act: Callable[[], object]) -> None:
        """Act for a session; what goes wrong ends its connection and nothing else."""
        try:
            act()
        except Exception as error:
            text = f"client {shown(session.client_id)}: a fault of ours, {where(error)}"
            self._telling.line("faults", text, logging.ERROR)
            if session.link:
                session.link.close(Reason.UNSPECIFIED_ERROR, "a fault of ours")

    def _make_room(self, session: Session, weight: int, now: float) -> bool:
        """Drop the oldest messages until one more fits; False where it is the one to be dropped."""
        while session.waiting and session.is_full(weight):
            self._tell(session, session.drop(), now)
        if session.is_full(weight):
            self._lost(session)
            return False
        self._make_room_in_all(weight, now)
        return True

    def _make_room_in_all(self, weight: int, now: float) -> None:
        """Whoever holds most loses the oldest until all together are within their bound."""
        most = self._limits.queued_bytes
        if self._held_at_most + weight > most:
            self._held_at_most = sum(each.held for each in self._sessions.values())
        while self._held_at_most + weight > most and self._held_at_most:
            heaviest = max(self._sessions.values(), key=lambda each: each.held)
            pending = heaviest.give_up()
            self._held_at_most -= pending.stored.weight
            self._tell(heaviest, pending, now)

    def _tell(self, session: Session, dropped: Pending, now: float) -> None:
        if dropped.stored.alive(now):
            self._lost(session)

    def _lost(self, session: Session) -> None:
        who, count = shown(session.client_id), len(session.waiting) + len(session.in_flight)
        state = "takes its messages too slowly" if session.link else "is away"
        text = f"client {who} {state} and {count} messages of {session.held} bytes wait for it: one is dropped"
        self._telling.once(who, DROPPED, text)


def _send(session: Session, pending: Pending, now: float) -> None:
    if session.link:
        session.link.send(delivery(pending.stored, pending.retain, now))
