"""What the board tells of itself: one file a source, each reading below a root folder that a test can replace.

"No such sensor here" (`Absent`) is not "the sensor failed": an absent source is left out and named once under
`absent`, a failed one is named with its reason under `failed`. No source hides another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class Absent(Exception):
    """There is no such sensor on this board."""


class Source(Protocol):
    """One thing that can be read. name: its key in a sample."""

    name: str

    def read(self, root: Path) -> Mapping[str, Any]:
        """The reading now, plain values with units in their names; Absent or OSError where there is none."""
        ...


@dataclass(frozen=True)
class Sample:
    """One look at every source."""

    readings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    absent: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """As it goes on the wire."""
        return {**self.readings, "absent": self.absent, "failed": self.failed}


def sample(sources: Iterable[Source], root: Path) -> Sample:
    """Read every source once."""
    taken = Sample()
    for source in sources:
        try:
            taken.readings[source.name] = source.read(root)
        except Absent:
            taken.absent.append(source.name)
        except (OSError, ValueError, IndexError, KeyError) as error:
            taken.failed[source.name] = f"{type(error).__name__}: {error}"
    return taken
