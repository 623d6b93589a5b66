"""One board in the place of another that is gone: what the broker has kept for that one goes back to the fleet.

It connects as the absent board's second connection and thereby takes over its session (MQTT 5, section 3.1.4), hands on
each request, acknowledges it then alone, and ends the session. Where it fails on the way, the rest is still there.
"""

from __future__ import annotations

import asyncio
import logging

from edge.errors import BrokerError
from edge.service.clock import now
from edge.service.protocols import Transport
from edge.wire.load import Absence
from edge.wire.message import INHERITED, Delivery, Message, handed_on
from edge.wire.topics import Topics

log = logging.getLogger(__name__)

CONNECT_SECONDS = 20.0
QUIET_SECONDS = 3.0
"""Without a request, after which there is none left; what members say is none."""
TRIES_MAX = 10
RETRY_SECONDS = 1.0


class Heir:
    """Of one board, once. transport: in its place. fleet: our own connection, over which the requests go out again."""

    def __init__(self, transport: Transport, fleet: Transport, topics: Topics) -> None:
        self._transport, self._fleet, self._topics = transport, fleet, topics
        self._count = 0

    async def run(self) -> Absence:
        """What became of the session: `inherited`, `gone` where there was none, `offline` where it is still there."""
        try:
            return await self._inherited()
        except TimeoutError:
            log.warning("the broker does not let us take an absent board's place now")
        except BrokerError as error:
            log.warning("an absent board's place cannot be taken: %s", error)
        finally:
            await self._transport.close()
        return "offline"

    async def _inherited(self) -> Absence:
        self._transport.start()
        await asyncio.wait_for(self._connected(), CONNECT_SECONDS)
        if self._transport.has_session:
            self._transport.unsubscribe([*self._topics.shared, self._topics.member("+")])
            while (message := await self._next()) is not None:
                await self._hand_on(message)
                self._transport.acknowledge(message)
        await self._transport.close(ends_session=True)
        log.info("%d requests of an absent board were handed on", self._count)
        return "inherited" if self._transport.has_session else "gone"

    async def _connected(self) -> None:
        while not self._transport.is_connected:
            if not self._transport.received.empty():
                _checked(self._transport.received.get_nowait())
            await asyncio.sleep(0.05)

    async def _next(self) -> Message | None:
        """A request; None once it is quiet."""
        until = now() + QUIET_SECONDS
        while (left_seconds := until - now()) > 0:
            try:
                message = _checked(await asyncio.wait_for(self._transport.received.get(), left_seconds))
            except TimeoutError:
                break
            if self._is_request(message):
                return message
            self._transport.acknowledge(message)
        return None

    def _is_request(self, message: Message) -> bool:
        try:
            return self._topics.parse(message.topic).kind == "request"
        except ValueError:
            return False

    async def _hand_on(self, message: Message) -> None:
        """Publish one anew until a board has it; BrokerError where none can be reached."""
        for _ in range(TRIES_MAX):
            told: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
            self._fleet.publish(handed_on(message, 0, INHERITED), told.set_result)
            if await told is Delivery.TAKEN:
                self._count += 1
                return
            await asyncio.sleep(RETRY_SECONDS)
        raise BrokerError(f"the broker does not take what is handed on to {message.topic}")


def _checked(received: Message | BrokerError) -> Message:
    if isinstance(received, BrokerError):
        raise received
    return received
