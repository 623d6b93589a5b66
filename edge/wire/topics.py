"""Every topic name, built and parsed here and nowhere else.

    edge/<device>/request[/<client>]   prompts in
    edge/<device>/cancel[/<client>]    stop one of them
    edge/<device>/chunk[/<client>]     prompts too large for one message, piece by piece
    edge/<device>/forget[/<client>]    nothing of what a client has asked is to stay
    edge/<device>/rating[/<client>]    whether an answer was good
    edge/<device>/reply[/<client>]     answers, where the asker names no response topic
    edge/<device>/status               retained, Will: online, loading, stopping, offline
    edge/<device>/info                 retained: which model, what it can do
    edge/<device>/telemetry            heat, memory, load, speed, queue
    edge/<device>/event                what has changed: throttled, short of memory, an engine begun anew
    edge/<device>/command              restart or unload the engine, leave the fleet's queue or come back to it, where
                                       the operator lets boards be told so
    edge/<device>/desired              retained: which bundle the board is to run, where it takes such wishes
    edge/<device>/reported             retained: which one it runs, how far it is with a wish, and why not
    edge/<device>/load                 retained: whether it takes more, and how much waits

    door/<device>/request/<client>     what comes through a door (edge/doors), and its cancel and reply; no broker has
                                       these, and a client is called after its door there, `http:kiosk`

    edge/<fleet>/request, cancel, forget, rating, reply  the same for boards that share their work
    edge/<fleet>/member/<device>       retained, Will: whether that board takes its share
    edge/<fleet>/desired               what all of them are to run, but those that have a wish of their own

The client level is for brokers with access lists: a device may write its own `request/<client>` and read its
own `reply/<client>` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

ROOT, DOOR = "edge", "door"
LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a device, fleet or client may be called: one topic level without surprises."""
DOORS_CLIENT = re.compile(rf"[a-z]{{1,16}}:{LEVEL.pattern}")
"""What one who comes through a door is called, and no client of the broker."""

TOPIC_BYTES_MAX, LEVELS_MAX = 1024, 32
"""Far below MQTT's 65,535: a response topic is kept with its request. Brokers bound levels, too."""
UNUSABLE = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
"""What some brokers end a connection over, which would be ours (MQTT 5, section 1.5.4)."""
CLIENT, OWN = "{client}", "edge/"
"""In place of the asker's level, and of the board's and its fleet's own reply topics."""
RESPONSE_TOPICS = (OWN, f"answers/{CLIENT}", f"reply/{CLIENT}", f"response/{CLIENT}")
"""Where answers may go unless the operator says otherwise."""


class Place(NamedTuple):
    """A topic of ours, taken apart. base: of the device, or of its fleet. kind: `request` or `cancel` or another."""

    base: str
    kind: str
    client: str | None

    @property
    def reply(self) -> str:
        """Where answers go that name no other place."""
        return _with_client(f"{self.base}/reply", self.client)

    @property
    def request(self) -> str:
        """Where the same client's prompts come."""
        return _with_client(f"{self.base}/request", self.client)


@dataclass(frozen=True)
class Topics:
    """The topics of one device.

    fleet: the name that several boards share requests under. response_topics: what a response topic may begin with,
    where `{client}` is the asker's level.
    """

    device: str
    fleet: str | None = None
    response_topics: tuple[str, ...] = RESPONSE_TOPICS

    @property
    def base(self) -> str:
        """What all topics of the device begin with."""
        return f"{ROOT}/{self.device}"

    @property
    def status(self) -> str:
        """Retained; the broker publishes `offline` there when the daemon is gone."""
        return f"{self.base}/status"

    @property
    def info(self) -> str:
        """Retained; the model and its limits."""
        return f"{self.base}/info"

    @property
    def telemetry(self) -> str:
        """One reading a period."""
        return f"{self.base}/telemetry"

    @property
    def event(self) -> str:
        """Every change that matters, as it comes."""
        return f"{self.base}/event"

    @property
    def command(self) -> str:
        """What the engine is to do: restart, unload."""
        return f"{self.base}/command"

    @property
    def desired(self) -> str:
        """Retained; which bundle the board, or each of a fleet, is to run."""
        return f"{self.base}/desired"

    @property
    def wishes(self) -> list[str]:
        """Where the board's own and its fleet's wish is."""
        return [self.desired, *([Topics(self.fleet).desired] if self.fleet else [])]

    @property
    def reported(self) -> str:
        """Retained; which bundle the board runs, and what becomes of a wish."""
        return f"{self.base}/reported"

    @property
    def load(self) -> str:
        """Retained; whether the board takes more, and how much waits."""
        return f"{self.base}/load"

    def request(self, client: str | None = None) -> str:
        """Where a client publishes its prompts."""
        return _with_client(f"{self.base}/request", client)

    def cancel(self, client: str | None = None) -> str:
        """Where a client stops one of its requests."""
        return _with_client(f"{self.base}/cancel", client)

    def chunk(self, client: str | None = None) -> str:
        """Where a client publishes a prompt piece by piece."""
        return _with_client(f"{self.base}/chunk", client)

    def forget(self, client: str | None = None) -> str:
        """Where a client has all that it asked forgotten."""
        return _with_client(f"{self.base}/forget", client)

    def rating(self, client: str | None = None) -> str:
        """Where a client says whether an answer was good."""
        return _with_client(f"{self.base}/rating", client)

    def reply(self, client: str | None = None) -> str:
        """Where answers go that name no other place."""
        return _with_client(f"{self.base}/reply", client)

    @property
    def subscriptions(self) -> list[str]:
        """What the daemon always listens to: its own, and of its fleet what goes to all of its boards.

        Chunks go to one board by its name alone, since a broker would share them out.
        """
        own = (self.request, self.cancel, self.chunk, self.forget, self.rating)
        fleet = Topics(self.fleet) if self.fleet is not None else None
        of_all = (fleet.cancel, fleet.forget, fleet.rating) if fleet else ()
        return [topic(client) for topic in (*own, *of_all) for client in (None, "+")]

    @property
    def shared(self) -> list[str]:
        """A fleet's requests, each of which goes to one of the boards that listen; on a connection of their own."""
        if self.fleet is None:
            return []
        of_all = Topics(self.fleet)
        return [f"$share/{self.fleet}/{topic}" for topic in (of_all.request(), of_all.request("+"))]

    def member(self, device: str) -> str:
        """Retained; whether a board takes its share of the fleet's requests. device: `+` for all."""
        return f"{ROOT}/{self.fleet}/member/{device}"

    def is_members(self, topic: str) -> bool:
        """Whether a topic says something of a board of the fleet."""
        return topic.startswith(self.member(""))

    def member_of(self, topic: str) -> str | None:
        """Of which board; None where no board can be called so: its name becomes a topic's and a client id's part."""
        device = topic.removeprefix(self.member(""))
        return device if LEVEL.fullmatch(device) else None

    def at_door(self, kind: str, client: str) -> str:
        """A topic of one who comes through a door; ValueError where nobody there can be called so."""
        if not DOORS_CLIENT.fullmatch(client):
            raise ValueError(f"nobody comes through a door as {client[:100]!r}")
        return f"{DOOR}/{self.device}/{kind}/{client}"

    def is_doors(self, topic: str) -> bool:
        """Whether a topic is one that no broker has."""
        return topic.startswith(f"{DOOR}/{self.device}/")

    def parse(self, topic: str) -> Place:
        """A topic of the device, of its fleet or of its doors, taken apart; ValueError where it is none of these."""
        if self.is_doors(topic):
            _, _, kind, client = topic.split("/", 3)
            return Place(f"{DOOR}/{self.device}", kind, client)
        for name in filter(None, (self.device, self.fleet)):
            base = f"{ROOT}/{name}"
            kind, _, client = topic.removeprefix(f"{base}/").partition("/")
            if topic.startswith(f"{base}/") and (not client or LEVEL.fullmatch(client)):
                return Place(base, kind, client or None)
        raise ValueError(f"not a topic of {self.device}: {topic}")

    def refusal(self, topic: str, client: str | None) -> str | None:
        """Why answers may not go to a topic that a client named; None where they may.

        Nobody has a board publish what an access list keeps from the asker: where its own topic has a client level,
        the topic of its answers has the same one.
        """
        if (reason := unusable(topic)) is not None:
            return reason
        if topic.split("/")[0] == DOOR:
            return "must not be a door's"
        if topic.split("/")[0] == ROOT:
            own = [Place(f"{ROOT}/{name}", "", client).reply for name in (self.device, self.fleet) if name]
            is_allowed = topic in own and OWN in self.response_topics
            return None if is_allowed else f"must not be one of a board's own topics other than {' or '.join(own)}"
        allowed = [each for each in self.response_topics if each != OWN]
        if any(_takes(each, topic, client) for each in allowed):
            return None
        begins = " or ".join(each.replace(CLIENT, client or CLIENT) for each in allowed)
        return f"must begin with {begins} (the board's limits.response_topics)"


def unusable(topic: str) -> str | None:
    """Why nobody can publish on a topic, or should; None where it can be."""
    if not 0 < len(topic.encode(errors="replace")) <= TOPIC_BYTES_MAX or topic.count("/") >= LEVELS_MAX:
        return f"must be 1 to {TOPIC_BYTES_MAX} bytes and {LEVELS_MAX} levels at most"
    if UNUSABLE.search(topic):
        return "must be without null and other control characters, and without code points that are no characters"
    if "+" in topic or "#" in topic:
        return "must be a plain topic, without the wildcards + and #"
    return None


def _takes(allowed: str, topic: str, client: str | None) -> bool:
    """Whether a topic begins as the operator allows it; `{client}` is the asker's own level, of whom has none any."""
    if CLIENT not in allowed:
        return topic.startswith(allowed)
    if client is None:
        before = allowed.partition(CLIENT)[0].rstrip("/")
        return topic == before or topic.startswith(f"{before}/")
    begin = allowed.replace(CLIENT, client)
    return topic == begin or topic.startswith(f"{begin}/")


def _with_client(topic: str, client: str | None) -> str:
    return topic if client is None else f"{topic}/{client}"
