"""What a board says of itself as lines for a person, each with what its number means.

What comes in is somebody else's JSON: a line that cannot be made of it says so, and the others are there all the same.
"""

from __future__ import annotations

from edge.commands.logs import visible
from edge.commands.status_alarms import ALARMS
from edge.commands.status_rows import ROWS, Found, Row, free_of, share
from edge.mqtt.client import UNREADABLE
from edge.wire.message import WIRE_VERSION

SHOWN = 240
"""Characters of a line: names, models and reasons are strangers' words."""
FOREIGN = f"cannot be read: it is not as version {WIRE_VERSION} of the wire has it"


def lines(found: Found) -> list[tuple[str, str]]:
    """Names and texts, in the order in which a person looks."""
    made = ((name, readable(row, found)) for name, row in ROWS.items())
    return [(name, text) for name, text in made if text]


def text_of(found: Found) -> str:
    """The same as one text."""
    return "\n".join(f"{name:10} {text}" for name, text in lines(found))


def wants_a_look(name: str, found: Found) -> bool:
    """Whether a line tells of something that should not be so."""
    try:
        return name in ALARMS and bool(ALARMS[name](found))
    except UNREADABLE:
        return True


def readable(describing: Row, found: Found) -> str:
    """A text of what a board says, or that it is not as it should be; seen whole, and no longer than a line may be."""
    try:
        text = visible(describing(found) or "")
    except UNREADABLE:
        return FOREIGN
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def in_a_line(found: Found) -> str:
    """One board of many: its name, its state, and how it fares."""
    state = visible(str((found.get("status") or {}).get("state", "?")))[:SHOWN]
    reading = found.get("telemetry")
    fares = readable(describe_telemetry, reading) if reading else ""
    takes = readable(share, found) if found.get("load") else ""
    return f"{found['device']:16} {state:9} {', '.join(filter(None, (fares, takes)))}".rstrip()


def describe_telemetry(reading: Found) -> str:
    """Heat, memory, load and speed in a line."""
    thermal, memory, cpu = (reading.get(name) for name in ("thermal", "memory", "cpu"))
    hottest = (thermal or {}).get("hottest_celsius")
    parts = [f"{hottest:.1f} °C" if hottest is not None else "no temperature sensor"]
    if memory and (free := free_of(memory)):
        parts.append(f"{free} memory free")
    if cpu and cpu.get("used_percent") is not None:
        parts.append(f"processor {cpu['used_percent']:.0f} % busy")
    rate = reading.get("inference", {}).get("decode_tokens_per_second")
    return ", ".join([*parts, f"{rate:.1f} tokens/s"] if rate else parts)
