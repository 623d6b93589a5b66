"""`docs/figures.md`: every figure with its meaning and its bar, the charts of them, and the README's five."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.charts import drawable
from benchmarks.claims import FIVE, GROUPS, Group, meanings
from benchmarks.figure import Row

ROOT = Path(__file__).resolve().parent.parent
MARKS = ("<!-- figures -->", "<!-- end of figures -->")
FIVE_MARKS = ("<!-- five figures -->", "<!-- end of five figures -->")
ROW = re.compile(r"^\| .*<br>`([^`|]+)` \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
"""The meaning, the figure's name below it, what was measured, the bar."""


def write(kept: Mapping[str, Mapping[str, Any]], root: Path = ROOT) -> None:
    """Put figures into the page, its charts and the README; a row that was not measured again stays as it was."""
    page, readme = root / "docs/figures.md", root / "README.md"
    rows = {**rows_of(page.read_text(encoding="utf-8")), **dict(rows_to_be(kept))}
    put(page, MARKS, "\n" + "\n\n".join(section(group, rows) for group in GROUPS) + "\n")
    for chart in drawable(rows):
        (page.parent / "charts" / chart.file).write_text(chart.svg(rows), encoding="utf-8")
    put(readme, FIVE_MARKS, five(rows))


def rows_of(text: str) -> dict[str, Row]:
    """What a page has, by the figures' names."""
    return {name: Row(measured, bar) for name, measured, bar in ROW.findall(between(text, MARKS))}


def rows_to_be(kept: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Row]]:
    """The rows of figures.json; those without a meaning are named and left out."""
    known = meanings()
    for name, each in kept.items():
        if name in known:
            yield name, Row.of(each)
        else:
            print(f"{name} is left out: benchmarks/claims.py does not say what it means", file=sys.stderr)


def section(group: Group, rows: Mapping[str, Row]) -> str:
    """A group's heading, what it is about, its charts, and a row for each figure that is there."""
    told = f'{group.sentence} (`make figures ONLY="{group.only}"`)'
    charts = [f"![{each.alt(rows)}](charts/{each.file})\n" for each in drawable(rows) if each.group == group.title]
    there = [(f"{words}<br>`{name}`", rows[name]) for name, words in group.meanings.items() if name in rows]
    lines = [f"| {what} | {row.measured} | {row.bar} |" for what, row in there]
    return "\n".join(
        [f"## {group.title}\n", f"{told}\n", *charts, "| what | measured | bar |", "|---|---|---|", *lines]
    )


def five(rows: Mapping[str, Row]) -> str:
    """The README's table."""
    lines = [f"| {words} | {rows[name].measured} |" for name, words in FIVE.items() if name in rows]
    return "\n".join(["| what | measured |", "|---|---|", *lines])


def between(text: str, marks: tuple[str, str]) -> str:
    """What lies between two marks; nothing where they are not there."""
    return text.partition(marks[0])[2].partition(marks[1])[0]


def put(page: Path, marks: tuple[str, str], inside: str) -> None:
    """Replace what lies between two marks; a page without them stays as it is."""
    text = page.read_text(encoding="utf-8")
    if all(mark in text for mark in marks):
        before, after = text.partition(marks[0])[0], text.partition(marks[1])[2]
        page.write_text(f"{before}{marks[0]}\n{inside}\n{marks[1]}{after}", encoding="utf-8")
