"""Who belongs to a fleet, by what each says of itself, and what follows from it; no socket, no clock of its own.

The group, to which the broker gives requests, is all boards of the best rank that there is: those that take more; where
none does, those that are full or hot, for somebody must listen or the broker throws requests away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.wire.load import Absence, Member, Reason

MEMBERS_MAX = 1000
TURN_SECONDS = 5.0
"""By so much each board waits longer than the one before it, where an absent one's place is to be taken."""
STALE_SECONDS = 150.0
"""Who has said nothing for so long is away, also where the broker was not there to say its Will."""
NOTHING_WAITS: tuple[Reason | Absence, ...] = ("inherited", "gone")
"""What is said of an absent one that nobody need know of any more."""
PASSING = ("full", "hot", "battery", "memory")
"""Reasons for which a board answers worse, but answers."""


def rank(reason: Reason | Absence | None) -> int:
    """0 takes more; 1 would rather not; 2 should not; 3 goes."""
    if reason is None:
        return 0
    return 1 if reason in PASSING else 3 if reason == "stopping" else 2


@dataclass(frozen=True)
class Seen:
    """What a board has said last, since when it says so, and when it said so again, on the service's clock."""

    member: Member
    since: float
    heard: float


class Roll:
    """All but this board itself. device: its name."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._seen: dict[str, Seen] = {}

    def hear(self, device: str, member: Member | None, now: float) -> None:
        """What a board says, or another says of it; None where its topic was cleared, or cannot be read."""
        before = self._seen.get(device)
        if member and member.reason in NOTHING_WAITS:
            member = None
        if device == self._device or (member and not before and len(self._seen) >= MEMBERS_MAX):
            return
        if member is None:
            self._seen.pop(device, None)
        elif before is None or before.member != member:
            self._seen[device] = Seen(member, now, now)
        else:
            self._seen[device] = replace(before, heard=now)

    def forget_silent(self, now: float) -> None:
        """Who says nothing any more counts as away from now on."""
        for device, seen in self._seen.items():
            if not seen.member.is_away and now - seen.heard >= STALE_SECONDS:
                self._seen[device] = Seen(Member(accepts=False, is_joined=False, reason="offline"), now, now)

    def _there(self) -> list[Member]:
        return [each.member for each in self._seen.values() if not each.member.is_away]

    @property
    def accepts(self) -> bool:
        """Whether another takes more, and is in the group."""
        return any(each.accepts and each.is_joined for each in self._there())

    @property
    def is_anybody_there(self) -> bool:
        """Whether another is at the broker."""
        return bool(self._there())

    def belongs(self, own: Reason | None) -> bool:
        """Whether a board that says this of itself is of the group."""
        return all(rank(own) <= rank(each.reason) for each in self._there())

    def is_replaced(self, own: Reason | None) -> bool:
        """Whether a better one is in the group, so that it may leave."""
        return any(each.is_joined and rank(each.reason) < rank(own) for each in self._there())

    def due(self, now: float, away_seconds: float) -> list[str]:
        """Boards whose places this one is to take now: it is its turn, and nobody else does."""
        names = sorted([self._device, *(name for name, each in self._seen.items() if not each.member.is_away)])
        wait = away_seconds + TURN_SECONDS * names.index(self._device)
        return [
            name
            for name, each in self._seen.items()
            if self._is_left_alone(each.member) and now - each.since >= wait and name != self._device
        ]

    def _is_left_alone(self, member: Member) -> bool:
        """Whether something may wait for one that is away, and nobody takes it over who is there."""
        if member.reason == "offline":
            return True
        heir = self._seen.get(member.heir or "")
        is_at_it = member.heir != self._device and heir is not None and not heir.member.is_away
        return member.reason == "inheriting" and not is_at_it

    def is_back(self, device: str) -> bool:
        """Whether one that was away is there."""
        seen = self._seen.get(device)
        return seen is not None and not seen.member.is_away
