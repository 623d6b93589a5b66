"""A request that comes by another way than the broker's, and what whoever brings it may do with the board.

It becomes a message like any other, on topics that no broker has (`topics.py`), so that the same rules hold for it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge.wire.message import Message


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks through a door.

    fields: of a request, as docs/wire.md has them; `id` and `response_topic` are this side's and are not read.
    client: the door's name and who it is there, `http:kiosk`; such a one shares nothing with a client of the broker.
    id: what the request is called. is_named: whether its asker has called it so, and may ask for its answer once more:
    then it goes on though nobody waits, over a restart, too.
    """

    fields: Mapping[str, Any]
    client: str
    id: str
    is_named: bool = False


class Inside(Protocol):
    """What a door opens to; edge.service.callers.Inside is the real one."""

    def publish(self, message: Message) -> None:
        """Hand a message to the broker."""

    def ask(self, asked: Asked) -> AsyncGenerator[dict[str, Any], None]:
        """What is told of a request: bodies as on a reply topic, `queued`, `delta`, last the `reply`.

        Whatever is wrong with it is the reply's to say. Who closes this before the reply has the request cancelled,
        unless it is named. A request of the same client and id that is open is joined, and told from its beginning;
        one with other fields is refused. After an engine has died, deltas count from 0 again, for an answer made anew.
        """
        ...

    def info(self) -> dict[str, Any]:
        """The body of the info message, as it stands."""
        ...

    def load(self) -> dict[str, Any]:
        """The body of the load message: whether the board takes more, and why not."""
        ...

    def models(self) -> Mapping[str, Mapping[str, Any]]:
        """How further bundles stand that requests may name, as the telemetry's `models`."""
        ...
