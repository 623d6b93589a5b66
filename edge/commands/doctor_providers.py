"""What `edge doctor` finds of execution providers: what is there, what is lacking, and how to install it."""

from __future__ import annotations

from collections.abc import Iterator

from edge.commands.findings import Finding, bad
from edge.config import Settings
from edge.engine.graph.plugins import devices
from edge.engine.providers import ROWS, Row, row_of
from edge.errors import ConfigError


def providers(settings: Settings) -> Iterator[Finding]:
    """The configured one first, BAD where it cannot be; then all others that there are wheels for here."""
    chosen = row_of(settings.engine.provider)
    text, is_there = seen(chosen)
    if chosen.kinds:
        yield Finding(text) if is_there else bad(f"{text}, and engine.provider names it")
    else:
        yield bad(f"{text}; no engine answers on it: {chosen.lacks}. Set engine.provider")
    for row in ROWS:
        if row is not chosen and row.has_wheels:
            yield Finding(seen(row)[0])


def seen(row: Row) -> tuple[str, bool]:
    """What there is of a provider, and whether a bundle may be run on it."""
    if not row.has_wheels:
        return f"{row.name}: {row.distribution} has no wheels for this system", False
    if not row.is_installed:
        return f"{row.name} is not installed: {row.how_to_install}", False
    if not row.module:
        return f"{row.name} is there: {row.distribution}", True
    try:
        found = devices(row)
    except ConfigError as error:
        return f"{row.name}: {error}", False
    if not found:
        return f"{row.name}: {row.distribution} is installed, but finds no device of its kind", False
    return f"{row.name} is there: {row.distribution} offers {', '.join(found)}", True
