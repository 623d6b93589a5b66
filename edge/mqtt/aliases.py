"""Numbers that stand for topics on one connection, so that a stream of pieces does not repeat its topic."""

from __future__ import annotations


class Aliases:
    """Numbers for the topics that are published to again and again, on one connection (MQTT 5, section 3.3.2.3.4)."""

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._numbers: dict[str, int] = {}

    def of(self, topic: str) -> tuple[str, int | None]:
        """What to publish to, and the alias: a topic with its new number first, then the number alone."""
        if topic in self._numbers:
            return "", self._numbers[topic]
        if not self._maximum:
            return topic, None
        number = len(self._numbers) + 1
        if number > self._maximum:
            number = self._numbers.pop(next(iter(self._numbers)))
        self._numbers[topic] = number
        return topic, number
