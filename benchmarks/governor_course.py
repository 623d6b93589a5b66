"""The chart of a bare Pi's hour with the governor and without: reckoned on paper as the figures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from benchmarks.figure import Row
from benchmarks.paper import MARGIN, WIDTH, Paper
from tests.thermal_model import BARE, BOARDS, Run, governed, nothing, run

EVERY_SECONDS = 10
"""One point of a line."""
Across = Callable[[float], float]


@cache
def hours() -> tuple[Run, Run]:
    """Without a governor, and with one that has clocks to set; the sensor without its noise."""
    board = BOARDS[BARE]
    return run(board, nothing, noise=0), run(board, governed(board), noise=0)


@dataclass(frozen=True)
class Panel:
    """One of two pictures above each other. low, high: ends of its axis; marks: its lines; axis: what is below it."""

    title: str
    axis: str
    top: float
    bottom: float
    low: float
    high: float
    marks: tuple[float, ...]

    def down(self, value: float) -> float:
        """Where a value lies."""
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


HEAT = Panel("°C", "minutes", 104, 250, 45, 85, (50, 60, 70, 80))
CLOCK = Panel("MHz", "minutes; reckoned on a model, not measured", 296, 400, 1500, 2400, (1500, 1800, 2100, 2400))


@dataclass(frozen=True)
class Course:
    """Temperature and clock over an hour, each with the governor and without."""

    file: str
    group: str
    title: str

    LEFT, RIGHT = 84, WIDTH - 40

    def names(self) -> list[str]:
        """The figures that say the same in numbers."""
        return ["governor_free_seconds_above_80", "governor_clock_tokens_lost_percent"]

    def alt(self, rows: Mapping[str, Row]) -> str:  # noqa: ARG002 - a chart's; this one is reckoned, not drawn from rows
        """Both hours in words."""
        free, ours = hours()
        return (
            f"{self.title}, on paper. Without a governor it is above 80 °C for {free.seconds_above(80)} of 3600 seconds"
            f" and ends at {free.celsius[-1]:.0f} °C and {free.clocks[-1] / 1e6:.0f} MHz; with it, it is above 80 °C"
            f" for {ours.seconds_above(80)} seconds and ends at {ours.celsius[-1]:.0f} °C and"
            f" {ours.clocks[-1] / 1e6:.0f} MHz."
        )

    def svg(self, rows: Mapping[str, Row]) -> str:
        """Two panels, one above the other."""
        paper = Paper(CLOCK.bottom + 60, self.title, self.alt(rows))
        paper.legend([("first", "with the governor, which sets clocks"), ("theirs", "without")])
        free, ours = hours()
        for panel in (HEAT, CLOCK):
            self._axes(paper, panel)
        for kind, each in (("theirs", free), ("first", ours)):
            self._line(paper, HEAT, each.celsius, kind)
            self._line(paper, CLOCK, [clock / 1e6 for clock in each.clocks], kind)
        return paper.text()

    def _across(self, second: float) -> float:
        return self.LEFT + second / 3600 * (self.RIGHT - self.LEFT)

    def _axes(self, paper: Paper, panel: Panel) -> None:
        paper.words(MARGIN, panel.top - 12, panel.title, "faint")
        for value in panel.marks:
            paper.line(
                (self.LEFT, panel.down(value)), (self.RIGHT, panel.down(value)), "one" if value == 80 else "grid"
            )
            paper.words(self.LEFT - 10, panel.down(value) + 4, f"{value:g}", "faint small", "end")
        for minute in range(0, 61, 10):
            paper.words(self._across(60 * minute), panel.bottom + 18, f"{minute}", "faint small", "middle")
        paper.words((self.LEFT + self.RIGHT) / 2, panel.bottom + 36, panel.axis, "faint small", "middle")

    def _line(self, paper: Paper, panel: Panel, values: list[float], kind: str) -> None:
        points = [(self._across(second), panel.down(values[second])) for second in range(0, len(values), EVERY_SECONDS)]
        paper.path(points, kind, is_whole=True)
