"""Which answers grow by one run: those of one adapter, or of several where the graph takes these at once."""

from __future__ import annotations

from itertools import groupby

from edge.engine.batch.decoder import Decoder
from edge.engine.batch.row import Row


def groups(graph: Decoder, rows: list[Row]) -> list[list[Row]]:
    """The rows, in their order, as runs of neighbours: all long or none; all of one adapter, or every row at once."""
    found = [list(group) for _, group in groupby(rows, key=lambda row: (row.is_long, row.job.adapter))]
    is_alike = len({row.is_long for row in rows}) == 1
    if len(found) > 1 and is_alike and graph.takes_together({row.job.adapter for row in rows}):
        return [rows]
    return found


def adapter_of(rows: list[Row]) -> str | tuple[str, ...]:
    """What a run of these rows is told: their adapter, or that of each."""
    names = tuple(row.job.adapter for row in rows)
    return names[0] if len(set(names)) == 1 else names
