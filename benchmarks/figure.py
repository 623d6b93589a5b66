"""One measured claim, its bar, and its row on the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

SHORT = "**short**"
"""What a row's last cell ends with where the bar is not met."""


@dataclass(frozen=True)
class Figure:
    """What was measured and what it must be. bar: the bound that the value is compared with."""

    name: str
    value: float
    unit: str
    compare: Literal["<", "<=", ">=", "=="]
    bar: float

    @property
    def ok(self) -> bool:
        """Whether the bar is met."""
        return {
            "<": self.value < self.bar,
            "<=": self.value <= self.bar,
            ">=": self.value >= self.bar,
            "==": self.value == self.bar,
        }[self.compare]

    def line(self) -> str:
        """Name, figure, unit, bar, `ok` or `short`."""
        verdict = "ok" if self.ok else "short"
        return f"{self.name:32} {self.value:>10.4g} {self.unit:12} {self.compare:>2} {self.bar:<8g} {verdict}"


@dataclass(frozen=True)
class Row:
    """The last two cells of a figure's row, as they are written: what was measured, and its bar."""

    measured: str
    bar: str

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Row:
        """Of a figure as figures.json keeps it."""
        bar = f"{kept['compare']} {kept['bar']:g}"
        return cls(f"{kept['value']:g} {kept['unit']}".strip(), bar if kept["ok"] else f"{bar} {SHORT}")

    @property
    def value(self) -> float:
        """The number that was measured."""
        return float(self.measured.split()[0])

    @property
    def limit(self) -> float:
        """The number that it is compared with."""
        return float(self.bar.split()[1])

    @property
    def is_short(self) -> bool:
        """Whether the bar was not met."""
        return self.bar.endswith(SHORT)
