"""Topics and filters: what is valid, what takes what, and the tree that finds a topic's subscribers.

Source: MQTT Version 5.0, OASIS, chapter 4.7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge.mqtt.broker.limits import Limits

Key = TypeVar("Key")
Value = TypeVar("Value")


def valid_topic(topic: str) -> bool:
    """Whether a message may be published on it: no wildcard, not empty."""
    return bool(topic) and not set("+#") & set(topic)


def valid_filter(pattern: str) -> bool:
    """Whether + and # stand where they may (MQTT 5, 4.7.1)."""
    levels = pattern.split("/")
    whole = all(level in ("+", "#") or not set("+#") & set(level) for level in levels)
    return bool(pattern) and whole and "#" not in levels[:-1]


def is_strange(topic: str, limits: Limits) -> bool:
    """Whether a topic or a filter is longer or deeper than is taken."""
    return len(topic) > limits.topic_chars or topic.count("/") >= limits.topic_levels


def matches(pattern: str, topic: str) -> bool:
    """Whether a filter takes a topic; a wildcard at the front never takes a `$` topic (MQTT 5, 4.7.2)."""
    if pattern == topic:
        return True
    wanted, found = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in ("+", "#"):
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(found) or level not in ("+", found[index]):
            return False
    return len(wanted) == len(found)


def overlaps(one: str, other: str) -> bool:
    """Whether there is a topic that both filters take."""
    left, right = one.split("/"), other.split("/")
    if any(a[0] in ("+", "#") and b[0].startswith("$") for a, b in ((left, right), (right, left))):
        return False
    for a, b in zip(left, right, strict=False):
        if "#" in (a, b):
            return True
        if a != b and "+" not in (a, b):
            return False
    return len(left) == len(right) or (left[len(right) :] or right[len(left) :]) == ["#"]


def covers(wide: str, narrow: str) -> bool:
    """Whether a filter takes every topic that another takes."""
    left, right = wide.split("/"), narrow.split("/")
    if left[0] in ("+", "#") and right[0].startswith("$"):
        return False
    for index, level in enumerate(left):
        if level == "#":
            return True
        if index >= len(right) or right[index] == "#" or level not in ("+", right[index]):
            return False
    return len(left) == len(right)


@dataclass(slots=True)
class Node(Generic[Key, Value]):
    """A level of filters."""

    below: dict[str, Node[Key, Value]] = field(default_factory=dict)
    here: dict[Key, Value] = field(default_factory=dict)


class Tree(Generic[Key, Value]):
    """Filters by their levels: a topic finds those that take it without a look at the others."""

    def __init__(self) -> None:
        self._root: Node[Key, Value] = Node()

    def add(self, pattern: str, key: Key, value: Value) -> None:
        """Keep a value under a filter, one for each key."""
        node = self._root
        for level in pattern.split("/"):
            node = node.below.setdefault(level, Node())
        node.here[key] = value

    def remove(self, pattern: str, key: Key) -> None:
        """Forget what `add` kept, and the levels that nobody needs any more."""
        way = [self._root]
        levels = pattern.split("/")
        for level in levels:
            way.append(way[-1].below[level])
        del way[-1].here[key]
        for above, level, node in reversed(list(zip(way, levels, way[1:], strict=False))):
            if node.here or node.below:
                return
            del above.below[level]

    def find(self, topic: str) -> dict[Key, list[Value]]:
        """The values of all filters that take a topic, by key."""
        found: dict[Key, list[Value]] = {}
        nodes = [self._root]
        for depth, level in enumerate(topic.split("/")):
            wild = depth > 0 or not topic.startswith("$")
            if wild:
                _gather(found, [node.below["#"] for node in nodes if "#" in node.below])
            names = (level, "+") if wild else (level,)
            nodes = [node.below[name] for node in nodes for name in names if name in node.below]
        _gather(found, nodes)
        _gather(found, [node.below["#"] for node in nodes if "#" in node.below])
        return found


def _gather(found: dict[Key, list[Value]], nodes: list[Node[Key, Value]]) -> None:
    for node in nodes:
        for key, value in node.here.items():
            found.setdefault(key, []).append(value)
