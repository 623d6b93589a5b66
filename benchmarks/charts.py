"""Charts of the page, drawn from its rows as SVG: the same rows give the same bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.claims import SIZES
from benchmarks.figure import Row
from benchmarks.governor_course import Course
from benchmarks.paper import MARGIN, WIDTH, Paper

KINDS = ("first", "second")
"""Of bars, as STYLE colours them."""
Rows = Mapping[str, Row]


class Chart(Protocol):
    """file: its name in docs/charts. group: the title of the page's group that it belongs to."""

    @property
    def file(self) -> str:
        """The SVG's name."""

    @property
    def group(self) -> str:
        """Under which heading it stands."""

    @property
    def title(self) -> str:
        """What it shows, in a few words."""

    def names(self) -> list[str]:
        """The figures that it shows."""

    def alt(self, rows: Rows) -> str:
        """What it says, for who does not see it."""

    def svg(self, rows: Rows) -> str:
        """The picture."""


@dataclass(frozen=True)
class Entry:
    """A row of bars. names: a figure for each series. note: what is to be known about it, in a few words."""

    label: str
    note: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Bars:
    """Ratios as horizontal bars, with a line at 1. bars: whether each figure's bar is marked on it."""

    file: str
    group: str
    title: str
    axis: str
    series: tuple[str, ...]
    entries: tuple[Entry, ...]
    bars: bool = False

    LEFT, RIGHT, TOP, THICK, STEP = 300, WIDTH - 72, 92, 17, 0.5

    def names(self) -> list[str]:
        """The figures that it shows."""
        return [name for entry in self.entries for name in entry.names]

    def alt(self, rows: Rows) -> str:
        """Each bar's length in words."""
        parts = [f"{entry.label} {' and '.join(said(rows[name]) for name in entry.names)}" for entry in self.entries]
        return f"{self.title}: {self.axis}. {' and '.join(self.series).capitalize()}: {'; '.join(parts)}."

    def svg(self, rows: Rows) -> str:
        """A legend, an axis with its lines, and a row for each entry."""
        height = self.THICK * len(self.series) + 22
        bottom = self.TOP + height * len(self.entries)
        paper = Paper(bottom + 56, self.title, self.alt(rows))
        marks = [("bar", "what it must reach")] if self.bars else []
        paper.legend([*zip(KINDS, self.series, strict=False), *marks])
        self._axis(paper, rows, bottom)
        for place, entry in enumerate(self.entries):
            self._entry(paper, rows, entry, self.TOP + place * height + 11)
        return paper.text()

    def _across(self, value: float, rows: Rows) -> float:
        """Where a value lies."""
        return self.LEFT + value / self.STEP / self._steps(rows) * (self.RIGHT - self.LEFT)

    def _steps(self, rows: Rows) -> int:
        """How far the axis goes."""
        most = max(max(rows[name].value, rows[name].limit if self.bars else 0) for name in self.names())
        return math.ceil(most / self.STEP)

    def _axis(self, paper: Paper, rows: Rows, bottom: float) -> None:
        for value in (number * self.STEP for number in range(self._steps(rows) + 1)):
            x = self._across(value, rows)
            paper.line((x, self.TOP), (x, bottom), "one" if value == 1 else "grid")
            paper.words(x, bottom + 18, f"{value:g}", "faint small", "middle")
        paper.words(self._across(1, rows), self.TOP - 7, "1 is equal", "faint small", "middle")
        paper.words((self.LEFT + self.RIGHT) / 2, bottom + 40, self.axis, "faint", "middle")

    def _entry(self, paper: Paper, rows: Rows, entry: Entry, top: float) -> None:
        middle = top + self.THICK * len(self.series) / 2
        paper.words(self.LEFT - 12, middle - 3, entry.label, "ink", "end")
        paper.words(self.LEFT - 12, middle + 13, entry.note, "faint small", "end")
        for place, name in enumerate(entry.names):
            self._bar(paper, rows, name, top + place * self.THICK, KINDS[place])

    def _bar(self, paper: Paper, rows: Rows, name: str, top: float, kind: str) -> None:
        row, end = rows[name], self._across(rows[name].value, rows)
        paper.box(self.LEFT, top + 1, end - self.LEFT, self.THICK - 2, kind)
        weight = "strong" if row.is_short else "usual"
        paper.words(end + 10, top + self.THICK - 4, said(row), f"ink value small {weight}")
        if self.bars:
            at = self._across(row.limit, rows)
            paper.line((at, top - 4), (at, top + self.THICK + 4), "bar")


@dataclass(frozen=True)
class Losses:
    """What is lost at each size: ours where its weights lie, llama.cpp's at the size that its file may have."""

    file: str
    group: str
    title: str

    LEFT, RIGHT, TOP, BOTTOM = 84, WIDTH - 40, 106, 366
    SIZES_SHOWN, STEP = (90, 95, 100, 105), 0.02

    def names(self) -> list[str]:
        """The figures that it shows."""
        return [f"kl_{key}mb{end}" for key in SIZES for end in ("", "_size", "_over_llama_cpp")]

    def ours(self, rows: Rows) -> list[tuple[float, float]]:
        """Megabytes and loss."""
        return [(rows[f"kl_{key}mb_size"].value, rows[f"kl_{key}mb"].value) for key in SIZES]

    def theirs(self, rows: Rows) -> list[tuple[float, float]]:
        """Megabytes that a file of llama.cpp may have, and what the best of them loses."""
        each = {key: rows[f"kl_{key}mb"].value / rows[f"kl_{key}mb_over_llama_cpp"].value for key in SIZES}
        return [(float(SIZES[key]), loss) for key, loss in each.items()]

    def alt(self, rows: Rows) -> str:
        """Each point in words."""
        ours = ", ".join(f"{loss:.3f} at {size:g} MB" for size, loss in self.ours(rows))
        theirs = ", ".join(f"{loss:.3f} within {size:g} MB" for size, loss in self.theirs(rows))
        return f"{self.title}: KL divergence in nats a token. Ours {ours}; llama.cpp's best file {theirs}."

    def svg(self, rows: Rows) -> str:
        """Two rows of points, each joined by a line."""
        paper = Paper(self.BOTTOM + 60, self.title, self.alt(rows))
        paper.legend(
            [("first", "ours"), ("theirs", f"llama.cpp's best file of at most {and_so_on(SIZES.values())} MB")]
        )
        most = math.ceil(max(loss for _, loss in self.theirs(rows) + self.ours(rows)) / self.STEP + 0.2) * self.STEP
        self._axes(paper, most)
        for kind, points, below in (("theirs", self.theirs(rows), False), ("first", self.ours(rows), True)):
            self._points(paper, [(self._across(x), self._down(y, most), y) for x, y in points], kind, below)
        return paper.text()

    def _across(self, megabytes: float) -> float:
        return self.LEFT + (megabytes - 90) / 17 * (self.RIGHT - self.LEFT)

    def _down(self, loss: float, most: float) -> float:
        return self.BOTTOM - loss / most * (self.BOTTOM - self.TOP)

    def _axes(self, paper: Paper, most: float) -> None:
        for number in range(round(most / self.STEP) + 1):
            y = self._down(number * self.STEP, most)
            paper.line((self.LEFT, y), (self.RIGHT, y), "grid" if number else "one")
            paper.words(self.LEFT - 10, y + 4, f"{number * self.STEP:.2f}", "faint small", "end")
        for size in self.SIZES_SHOWN:
            paper.words(self._across(size), self.BOTTOM + 18, f"{size}", "faint small", "middle")
        paper.words((self.LEFT + self.RIGHT) / 2, self.BOTTOM + 42, "size, MB", "faint", "middle")
        paper.words(MARGIN, self.TOP - 18, "KL divergence, nats a token: less is better", "faint")

    def _points(self, paper: Paper, points: list[tuple[float, float, float]], kind: str, below: bool) -> None:
        paper.path([(x, y) for x, y, _ in points], kind)
        for x, y, loss in points:
            paper.dot(x, y, kind)
            paper.words(x, y + (23 if below else -12), f"{loss:.3f}", "ink value small", "middle")


def and_so_on(words: Iterable[str]) -> str:
    """A list as people write it."""
    *most, last = words
    return f"{', '.join(most)} and {last}"


def said(row: Row) -> str:
    """A bar's number as the table has it."""
    return f"{row.value:g} (short)" if row.is_short else f"{row.value:g}"


def drawable(rows: Rows) -> Iterator[Chart]:
    """The charts of which every figure is there."""
    return (chart for chart in CHARTS if all(name in rows for name in chart.names()))


def both(peer: str) -> tuple[str, str]:
    """The names of both speeds over a peer."""
    return f"decode_over_{peer}", f"prefill_over_{peer}"


CHARTS: tuple[Chart, ...] = (
    Bars(
        "speed.svg",
        "One request, beside others",
        "One request, SmolLM2-135M",
        "tokens a second, ours over theirs; more is faster",
        ("making an answer", "reading a prompt"),
        (
            Entry("llama.cpp, Q4_K_M", "about as many bits", both("llama_cpp")),
            Entry("llama.cpp, Q4_0", "fewer bits, loses more", both("llama_cpp_q4_0")),
            Entry("onnxruntime-genai's builder", "its graph, in the same Generator", both("genai_builder")),
            Entry("onnxruntime-genai on every core", "our bundle", both("genai_every_core")),
            Entry("onnxruntime-genai as it comes", "one thread, our bundle", both("genai")),
        ),
    ),
    Bars(
        "eight-clients.svg",
        "Eight clients at once",
        "Eight clients at once, SmolLM2-135M",
        "tokens a second of all together, ours over theirs; more is faster",
        ("measured",),
        (
            Entry("llama-server, Q4_K_M", "eight clients through HTTP", ("eight_clients_over_llama_cpp",)),
            Entry(
                "onnxruntime-genai's Engine", "eight requests, called directly", ("eight_clients_over_genai_engine",)
            ),
            Entry("ours with one client", "through MQTT, as the eight", ("eight_clients_over_one",)),
        ),
        bars=True,
    ),
    Course("governor.svg", "A board that stays cool by itself", "An hour of work on a bare Raspberry Pi 5 at 22 °C"),
    Losses("losses.svg", "What quantising loses", "What quantising loses at four sizes, SmolLM2-135M"),
)
