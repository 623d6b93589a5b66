"""The choice as a file for programs, a chart, and a part of the report's page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export import charts
from export.budget.choosing import Option, Point, curve
from export.budget.groups import Group
from export.charts import Axis

FILE, CHART = "budget.json", "budget.svg"


def tell(
    folder: Path, options: Mapping[Group, Sequence[Option]], point: Point, size_bytes: int, budget_bytes: int
) -> None:
    """Write both files. size_bytes: of the whole file of weights with the choice."""
    beside = size_bytes - point.size_bytes
    line = [(each.size_bytes + beside, each.loss) for each in curve(options)]
    told = {
        "budget_bytes": budget_bytes,
        "weights_bytes": size_bytes,
        "reckoned_loss": float(f"{point.loss:.4g}"),
        "curve": [{"weights_bytes": size, "reckoned_loss": float(f"{loss:.4g}")} for size, loss in line],
        "groups": [_group(group, each) for group, each in point.options.items()],
    }
    (folder / FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draw(folder / CHART, line, (size_bytes, point.loss))


def _group(group: Group, option: Option) -> dict[str, Any]:
    form = option.form
    return {
        "group": str(group),
        "bits": form.bits,
        "block_size": form.block_size,
        "first_rows_in_8_bits": option.first_rows,
        "size_bytes": option.size_bytes,
        "reckoned_loss": float(f"{option.loss:.4g}"),
    }


def draw(path: Path, line: Sequence[tuple[int, float]], chosen: tuple[int, float]) -> None:
    """Loss by size, and the point that was chosen."""
    ends = [*line, chosen]
    axes = (
        Axis("MB of weights", min(size for size, _ in ends) / 1e6, max(size for size, _ in ends) / 1e6),
        Axis("nats", 0, max(loss for _, loss in ends) or 1),
    )
    points = {"nats a token": [(size / 1e6, loss) for size, loss in line]}
    charts.draw(path, "What is reckoned to be lost, by size", axes, points, [(chosen[0] / 1e6, chosen[1])])


def page(folder: Path) -> list[str]:
    """Lines of Markdown about a choice that was told in the folder; none where none was."""
    if not (folder / FILE).is_file():
        return []
    told = json.loads((folder / FILE).read_text(encoding="utf-8"))
    rows = [
        f"| {_named(each)} | {each['bits']} | {each['block_size']} | {each['size_bytes'] / 1e6:.2f}"
        f" | {each['reckoned_loss']:.4f} |"
        for each in told["groups"]
    ]
    return [
        f"Formats were chosen for at most {told['budget_bytes'] / 1e6:.1f} MB: each group of matrices was rounded alone"
        " and its divergence",
        "measured on text that calibration did not see; their sum, "
        f"{told['reckoned_loss']:.4f} nats, is what float activations were reckoned to lose.",
        "",
        f"![loss by size]({CHART})",
        "",
        "| group | bits | block | MB | reckoned nats |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def _named(group: Mapping[str, Any]) -> str:
    rows = group["first_rows_in_8_bits"]
    return f"{group['group']}, {rows:,} first rows in 8" if rows else str(group["group"])
