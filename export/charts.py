"""Charts for people, as SVG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """What is told along it, and its ends."""

    name: str
    start: float
    end: float


def draw(path: Path, title: str, axes: tuple[Axis, Axis], lines: Mapping[str, Points], dots: Points = ()) -> None:
    """Lines by their names, none of them empty, and dots. axes: across and up."""
    import leather

    chart = leather.Chart(title)
    for name, line in lines.items():
        chart.add_line(line, name=name)
    if dots:
        chart.add_dots(dots, name="chosen")
    across, up = axes
    chart.add_x_scale(across.start, across.end)
    chart.add_y_scale(up.start, up.end)
    chart.add_x_axis(name=across.name)
    chart.add_y_axis(name=up.name)
    chart.to_svg(str(path))
