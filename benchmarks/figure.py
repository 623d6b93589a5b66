"""One measured claim and its bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
