"""What has arrived and nobody has taken yet, bounded where the broker does not wait for us."""

from __future__ import annotations

import asyncio
import logging

from edge.errors import BrokerError
from edge.wire.message import Message

log = logging.getLogger(__name__)

LOOSE_BYTES_MAX = 32 << 20
"""Of QoS 0 messages; of those with QoS 1 the broker sends no more than receive_maximum before our PUBACKs."""


class Inbox(asyncio.Queue[Message | BrokerError]):
    """A queue that lets QoS 0 messages go while those before them take too much memory."""

    def __init__(self) -> None:
        super().__init__()
        self._loose_bytes = self._dropped = 0

    def arrive(self, message: Message) -> None:
        """Take a message in, or let it go; in the event loop."""
        if message.qos or self._loose_bytes + len(message.payload) <= LOOSE_BYTES_MAX:
            return self.put_nowait(message)
        self._dropped += 1
        if self._dropped == 1:
            log.warning("messages of QoS 0 come faster than they are read; those over %d bytes go", LOOSE_BYTES_MAX)
        return None

    def _put(self, item: Message | BrokerError) -> None:
        self._loose_bytes += _loose(item)
        super()._put(item)

    def _get(self) -> Message | BrokerError:
        item: Message | BrokerError = super()._get()
        self._loose_bytes -= _loose(item)
        if self._dropped and self.empty():
            log.warning("%d messages of QoS 0 were let go", self._dropped)
            self._dropped = 0
        return item


def _loose(item: Message | BrokerError) -> int:
    return len(item.payload) if isinstance(item, Message) and not item.qos else 0
