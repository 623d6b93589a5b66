"""Every topic name, built and parsed here and nowhere else.

    edge/<device>/request[/<client>]   prompts in
    edge/<device>/cancel[/<client>]    stop one of them
    edge/<device>/reply[/<client>]     answers, where the asker names no response topic
    edge/<device>/status               retained, Will: online, loading, stopping, offline
    edge/<device>/info                 retained: which model, what it can do
    edge/<device>/telemetry            heat, memory, load, speed, queue

The client level is for brokers with access lists: a device may write its own `request/<client>` and read its
own `reply/<client>` only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ROOT = "edge"
LEVEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a device or client may be called: one topic level without surprises."""

TOPIC_BYTES_MAX = 1024
"""Far below MQTT's 65,535: a response topic is kept with its request."""


@dataclass(frozen=True)
class Topics:
    """The topics of one device."""

    device: str

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

    def request(self, client: str | None = None) -> str:
        """Where a client publishes its prompts."""
        return _with_client(f"{self.base}/request", client)

    def cancel(self, client: str | None = None) -> str:
        """Where a client stops one of its requests."""
        return _with_client(f"{self.base}/cancel", client)

    def reply(self, client: str | None = None) -> str:
        """Where answers go that name no other place."""
        return _with_client(f"{self.base}/reply", client)

    @property
    def subscriptions(self) -> list[str]:
        """What the daemon listens to."""
        return [self.request(), self.request("+"), self.cancel(), self.cancel("+")]

    def parse(self, topic: str) -> tuple[str, str | None]:
        """A topic as its kind (`request`, `cancel`, …) and client; ValueError where it is none of ours."""
        prefix = f"{self.base}/"
        kind, _, client = topic.removeprefix(prefix).partition("/")
        if not topic.startswith(prefix) or (client and not LEVEL.fullmatch(client)):
            raise ValueError(f"not a topic of {self.device}: {topic}")
        return kind, client or None

    def refusal(self, topic: str) -> str | None:
        """Why answers may not go to a topic that an asker named; None where they may."""
        if not topic or "\0" in topic or len(topic.encode(errors="replace")) > TOPIC_BYTES_MAX:
            return f"must be 1 to {TOPIC_BYTES_MAX} bytes without a null character"
        if "+" in topic or "#" in topic:
            return "must be a plain topic, without the wildcards + and #"
        if topic.startswith("$"):
            return "must not be one of the broker's own topics ($…)"
        if topic.startswith(f"{self.base}/") and not topic.startswith(self.reply()):
            return f"must not be one of this device's own topics ({self.base}/…) other than {self.reply()}"
        return None


def _with_client(topic: str, client: str | None) -> str:
    return topic if client is None else f"{topic}/{client}"
