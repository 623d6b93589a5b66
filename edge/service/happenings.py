"""Every change that matters, told as it comes: `edge/<device>/event` (edge/wire/event.py)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.service.clock import now
from edge.wire.message import JSON, Message, dumps

log = logging.getLogger(__name__)

ENDED_SECONDS = 30.0
"""What comes and goes each second, as throttling at the limit does, has not ended before it stays away for so long."""
SENSOR = "sensor "


class Happenings:
    """What was told last of what lasts, so that only changes go out. publish: as a Transport's."""

    def __init__(self, topic: str, publish: Callable[[Message], None]) -> None:
        self._topic, self._publish = topic, publish
        self._last_on: dict[str, float] = {}
        """When it was so last, of what was told to have begun."""
        self._governor: str | None = None

    def happened(self, name: str, reason: str) -> None:
        """Something that has no duration."""
        self.tell(name, reason=reason)

    def lasts(self, name: str, is_on: bool | None, reason: str | None = None) -> None:
        """Something is so, or is not; None is not known, and changes nothing. Its end is told once it stays away."""
        if is_on is not None and self._is_news(name, is_on):
            self.tell(name, is_on=is_on, reason=reason if is_on else None)

    def _is_news(self, key: str, is_on: bool) -> bool:
        """Whether it has begun, or ended."""
        since = self._last_on.get(key)
        if is_on:
            self._last_on[key] = now()
            return since is None
        if since is None or now() - since < ENDED_SECONDS:
            return False
        del self._last_on[key]
        return True

    def governed(self, state: str, reason: str, is_alarm: bool = False) -> bool:
        """What the governor does; whether it is another state than before.

        That it has nothing to do, or nothing to see, is no news at the start, but where it is an alarm.
        """
        before, self._governor = self._governor, state
        is_news = state != before and (before is not None or state == "slowed" or is_alarm)
        if is_news:
            self.tell("governor", state=state, reason=reason or None)
        return is_news

    def told(self, telemetry: Mapping[str, Any]) -> None:
        """The telemetry that is published now: which sources fail, and why."""
        failed = telemetry["failed"]
        known = {key.removeprefix(SENSOR) for key in self._last_on if key.startswith(SENSOR)}
        for name in sorted(failed.keys() | known):
            if self._is_news(SENSOR + name, name in failed):
                self.tell("sensor_failed", is_on=name in failed, sensor=name, reason=failed.get(name))

    def tell(self, name: str, **details: Any) -> None:
        """An event, with what `edge/wire/event.py` says that it has; None is left out."""
        body = {"event": name, **{key: value for key, value in details.items() if value is not None}}
        log.info("event %s", dumps(body).decode())
        self._publish(Message(self._topic, dumps({"time": round(time.time(), 3), **body}), content_type=JSON))
