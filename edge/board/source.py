"""What the board tells of itself: one file a source, each reading below a root folder that a test can replace.

"No such sensor here" (`Absent`) is not "the sensor failed", nor "we may not read it": an absent source is named once
under `absent`, what was denied or failed is named with its reason, and what else the source gave goes out all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge.board.files import Files


class Source(Protocol):
    """One thing that can be read. name: its key in a sample.

    period_seconds: 0 where a reading is quick, and taken at every look; else it is taken so often and no oftener, and
    looks get the last one with its age.
    """

    name: str
    period_seconds: float

    def read(self, files: Files) -> Mapping[str, Any]:
        """The reading now, plain values with units in their names, None for what is not known; Absent."""
        ...


@dataclass(frozen=True)
class Sample:
    """One look at every source. errors: how often each has failed since the start, where it has."""

    readings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    denied: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As it goes on the wire."""
        told = {name: getattr(self, name) for name in ("absent", "denied", "failed", "errors")}
        return {**self.readings, **told}
