"""What the service needs of the broker's client and of an engine; it knows neither paho nor a runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any, Protocol

from edge.engine import Finished, Job, Part
from edge.errors import BrokerError
from edge.wire.asked import Inside
from edge.wire.message import Delivery, Message
from edge.wire.passed import Passed

Done = Callable[[Delivery], None]
"""Called in the event loop with what became of a QoS 1 message."""


class Transport(Protocol):
    """Messages in and out; edge.mqtt.transport.MqttTransport is the real one."""

    received: asyncio.Queue[Message | BrokerError]
    """What arrived; a BrokerError is the end."""
    birth: list[Message]
    """Published at every connect, before anything else."""
    at_connect: Callable[[], None]
    """Called in the event loop at every connect, after that."""
    at_trouble: Callable[[str], None]
    """Called in the event loop with why there is no connection, or a deaf one."""

    receive_maximum: int
    """QoS 1 messages that the broker takes before it has acknowledged the first."""
    maximum_packet_size: int
    """Bytes of a packet that the broker takes."""

    @property
    def is_connected(self) -> bool:
        """Whether what is published now goes out now."""
        ...

    @property
    def is_looping(self) -> bool:
        """Whether connections end again and again soon after they stand, maybe of what is sent over them."""
        ...

    @property
    def has_session(self) -> bool:
        """Whether the broker had kept something for us at the last connect."""
        ...

    def start(self) -> None:
        """Connect in the background, and again whenever the connection is lost."""

    def subscribe(self, topics: Sequence[str]) -> None:
        """Listen to more topics, now and after each connect."""

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """Listen to some no more."""

    def publish(self, message: Message, done: Done | None = None) -> None:
        """Send a message; who gives `done` sends a lost one anew, of the others QoS 1 is kept for the next connect."""

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that an arrived message is in safe hands: its PUBACK."""

    async def close(self, last: Message | None = None, ends_session: bool = False) -> None:
        """Publish a last message and disconnect. ends_session: the broker keeps nothing for us from then on."""


class Fleet(Protocol):
    """What makes connections for a fleet, which are beside the board's own."""

    def own(self, will: Message) -> Transport:
        """The board's own: it listens to the fleet's requests and to its members, from the first connect on."""
        ...

    def heirs(self, device: str) -> Transport:
        """One that takes the place of another board's such connection, and gives up where that one comes back."""
        ...


class Engine(Protocol):
    """What answers; edge.service.worker.Worker is the real one."""

    rows: int
    """Jobs that it works on at once; known once it has started."""

    gained: Callable[[int, int], None]
    """Called in the event loop with a job and how many tokens its answer has grown by, about."""
    threads: int
    """That it begins with the next time; 0 for every core."""

    @property
    def pid(self) -> int | None:
        """Its process; None where it does not run, or is none."""
        ...

    async def start(self) -> None:
        """Load the model; BundleError or ConfigError where it never can be, StartError where it could not now."""

    def generate(self, job: Job) -> AsyncGenerator[str | Part | Finished, None]:
        """Pieces of the answer, then how it finished; raises Fault."""
        ...

    def cancel(self, job_id: int) -> None:
        """Ask for a job to be stopped soon."""

    def pace(self, duty: float, period_seconds: float) -> None:
        """Have it work for this share of the time: above 0, 1 for all of it. It holds over restarts.

        period_seconds: how long a turn of work and rest may be, about.
        """

    def ease(self) -> None:
        """Ask it to let go of what it keeps only to be faster."""

    def forget(self, salt: str) -> None:
        """Ask it to let go of all that jobs of one salt have left, on disk too, though it does not run."""

    async def stop(self) -> None:
        """End the engine."""

    async def died(self) -> None:
        """Return when the engine has ended."""

    @property
    def progress(self) -> str:
        """What it is at while it starts, in words that change as long as work goes on; empty where it says nothing."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def is_overgrown(self) -> bool:
        """Whether it holds so much more than at its start that it should be started anew when nothing runs."""
        ...

    @property
    def silent_seconds(self) -> float:
        """How long ago it last gave a sign of life."""
        ...

    def counters(self) -> Mapping[str, int | float]:
        """What it did since it was started, by names of its own."""
        ...

    def memory_bytes(self) -> int | None:
        """What it holds; None where that cannot be told."""
        ...


class Door(Protocol):
    """Another way in or out, as those in `edge/doors`. What it raises is logged, and ends it alone."""

    subscriptions: Sequence[str]
    """Topics that it wants to hear of, beside the daemon's own."""

    async def run(self, inside: Inside) -> None:
        """Its life until the daemon ends, which cancels it; the first connect may be before."""

    def connected(self) -> None:
        """The broker took us, for the first time or again; what the daemon publishes at every connect is out."""

    def hear(self, message: Message) -> bool:
        """A message on a topic that is not the daemon's; whether it was for this door."""
        ...

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The body of the telemetry message that is published now."""


class Upstream(Protocol):
    """Who answers in the board's place; edge.doors.upstream.Upstream is the real one."""

    sent_bytes: int
    received_bytes: int
    """Of requests and answers, since the start."""

    def generate(self, number: int, fields: Mapping[str, Any]) -> AsyncGenerator[str | Passed, None]:
        """Pieces of the answer to a request of OpenAI's chat API, then how it ended; raises Fault.

        Who closes it before has it ended there, too.
        """
        ...

    def cancel(self, number: int) -> None:
        """Have one end now, as `cancelled`."""
