"""What Home Assistant is shown of a telemetry message: a row an entity, and templates that survive what is not there.

A row with `*` in its path is an entity for each name that the message has there. Names of classes and units are Home
Assistant's (developers.home-assistant.io/docs/core/entity/sensor); the fields are `edge/wire/telemetry.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

EACH_MAX = 32
"""Entities of one row with `*`."""
NAME_MAX = 64
"""Characters of a name that comes from the kernel."""
ROOT = "value_json"
"""What Home Assistant calls a message that is JSON; undefined where it is none."""

PLAIN = "{{ VALUE }}"
FLAG = "{% set v = VALUE %}{{ none if v is none else 'ON' if v else 'OFF' }}"
FAULTS = "{{ 'ON' if VALUE else 'OFF' }}"
TOTAL = "{{ (VALUE or {}).values() | sum }}"
CLOCK = "clock_hertz"
FASTEST = (
    f"{{% set v = (VALUE or []) | map(attribute='{CLOCK}') | select('number') | list %}}"
    "{{ v | max / 1000000 if v else none }}"
)


def over(divisor: int) -> str:
    """A template for a number in a larger unit."""
    return f"{{% set v = VALUE %}}{{{{ v / {divisor} if v is number else none }}}}"


MIB, GIB, MHZ = over(1 << 20), over(1 << 30), over(10**6)


@dataclass(frozen=True)
class Entity:
    """One entity. name: in its own words; its key follows from it. path: where the message has its value.

    form: a template with VALUE in it. is_always: shown though there is no value yet; else from the first one on.
    is_shown: whether who does not look for it sees it. details: the part of the message that goes with the state.
    """

    name: str
    path: tuple[str, ...]
    form: str = PLAIN
    unit: str | None = None
    device_class: str | None = None
    state_class: str | None = "measurement"
    precision: int | None = None
    platform: str = "sensor"
    is_diagnostic: bool = False
    is_always: bool = False
    is_shown: bool = True
    icon: str | None = None
    options: tuple[str, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name in the discovery message."""
        return slug(self.name)

    @property
    def template(self) -> str:
        """The value as Home Assistant is to read it; `None`, its word for unknown, where there is none."""
        return self.form.replace("VALUE", reach(self.path))


def slug(text: str) -> str:
    """A name as entity ids have it."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "unnamed"


def reach(path: tuple[str, ...]) -> str:
    """An expression for what lies at a path; none where it, or anything on the way to it, is missing or null."""
    *way, last = path
    found = ROOT
    for step in way:
        found = f"({found} | default({{}}, true))[{json.dumps(step)}]"
    return f"(({found} | default({{}}, true))[{json.dumps(last)}] | default(none))"


def lookup(body: Any, path: tuple[str, ...]) -> Any:
    """What lies at a path of a message; None where there is nothing."""
    for step in path:
        body = body.get(step) if isinstance(body, Mapping) else None
    return body


def _problem(name: str, *path: str, **more: Any) -> Entity:
    return Entity(name, path, FLAG, device_class="problem", state_class=None, platform="binary_sensor", **more)


def _text(name: str, *path: str, **more: Any) -> Entity:
    return Entity(name, path, state_class=None, **more)


def _count(name: str, *path: str, **more: Any) -> Entity:
    return Entity(name, path, state_class="total_increasing", is_diagnostic=True, **more)


def _temperature(name: str, *path: str, **more: Any) -> Entity:
    return Entity(name, path, unit="°C", device_class="temperature", precision=1, **more)


def _bytes(name: str, *path: str, form: str = MIB, **more: Any) -> Entity:
    unit = "GiB" if form is GIB else "MiB"
    return Entity(name, path, form, unit, "data_size", precision=1 if form is GIB else 0, **more)


def _percent(name: str, *path: str, **more: Any) -> Entity:
    return Entity(name, path, unit="%", precision=0, **more)


def _clock(name: str, *path: str, form: str = MHZ, **more: Any) -> Entity:
    return Entity(name, path, form, "MHz", "frequency", precision=0, **more)


DETAIL: dict[str, Any] = {"is_diagnostic": True}
HIDDEN: dict[str, Any] = {"is_diagnostic": True, "is_shown": False}
OWN: dict[str, Any] = {"is_always": True}

ROWS: tuple[Entity, ...] = (
    _temperature("Temperature", "thermal", "hottest_celsius"),
    _temperature("Zone {}", "thermal", "zones_celsius", "*", **HIDDEN),
    _temperature("Sensor {}", "thermal", "sensors_celsius", "*", **HIDDEN),
    Entity("Fan {}", ("thermal", "fans", "*", "rpm"), unit="rpm", precision=0, icon="mdi:fan", **DETAIL),
    _percent("Fan {} duty", "thermal", "fans", "*", "duty_percent", icon="mdi:fan", **HIDDEN),
    _bytes("Memory available", "memory", "available_bytes", icon="mdi:memory"),
    _bytes("Memory total", "memory", "total_bytes", icon="mdi:memory", **HIDDEN),
    _bytes("Swap used", "memory", "swap_used_bytes", icon="mdi:memory", **HIDDEN),
    _bytes("Daemon memory", "processes", "daemon", "pss_bytes", icon="mdi:memory", **HIDDEN),
    _percent("Memory pressure", "memory", "pressure_percent", icon="mdi:gauge", **DETAIL),
    _percent("Processor use", "cpu", "used_percent", icon="mdi:chip"),
    Entity("Load", ("cpu", "load_1m"), precision=2, icon="mdi:chip", **DETAIL),
    _clock("Processor clock", "cpu", "each", form=FASTEST, **DETAIL),
    _count("Processor throttle events", "cpu", "throttle_count", icon="mdi:speedometer-slow"),
    _problem("Throttled", "throttling", "now", "throttled"),
    _problem("Under voltage", "throttling", "now", "under_voltage"),
    _problem("Clock capped", "throttling", "now", "clock_capped", **DETAIL),
    _problem("Temperature limit", "throttling", "now", "soft_temperature_limit", **DETAIL),
    _problem("Throttled since start", "throttling", "since_start", "throttled", **HIDDEN),
    _problem("Under voltage since start", "throttling", "since_start", "under_voltage", **HIDDEN),
    Entity("Power", ("power", "watts"), unit="W", device_class="power", precision=1, details=("power",)),
    Entity("Supply voltage", ("power", "supply_volts"), unit="V", device_class="voltage", precision=2, **DETAIL),
    _text("Power mode", "power", "mode", icon="mdi:flash", **DETAIL),
    _percent("{} use", "gpu", "each", "*", "used_percent", icon="mdi:expansion-card"),
    _clock("{} clock", "gpu", "each", "*", "clock_hertz", **DETAIL),
    _temperature("{} temperature", "gpu", "each", "*", "celsius", **DETAIL),
    Entity("{} power", ("gpu", "each", "*", "watts"), unit="W", device_class="power", precision=1, **DETAIL),
    Entity("Battery", ("battery", "level_percent"), unit="%", device_class="battery", precision=0),
    _temperature("Battery temperature", "battery", "celsius", **DETAIL),
    Entity("Battery voltage", ("battery", "volts"), unit="V", device_class="voltage", precision=2, **HIDDEN),
    Entity("Battery current", ("battery", "amperes"), unit="A", device_class="current", precision=2, **HIDDEN),
    Entity(
        "Charging",
        ("battery", "is_charging"),
        FLAG,
        device_class="battery_charging",
        state_class=None,
        platform="binary_sensor",
    ),
    _bytes("Disk free {}", "disk", "folders", "*", "free_bytes", form=GIB, **DETAIL),
    Entity("Uptime", ("board", "uptime_seconds"), unit="s", device_class="duration", precision=0, **HIDDEN),
    Entity("Queue", ("inference", "queue_length"), icon="mdi:tray-full", **OWN),
    Entity("Running", ("inference", "running"), icon="mdi:play", **OWN),
    Entity("Answering speed", ("inference", "decode_tokens_per_second"), unit="tokens/s", precision=1, **OWN),
    Entity("Reading speed", ("inference", "prefill_tokens_per_second"), unit="tokens/s", precision=0, **OWN | DETAIL),
    Entity("Energy per token", ("inference", "joules_per_token"), unit="J/token", precision=2),
    Entity(
        "Requests ended", ("inference", "requests"), TOTAL, state_class="total_increasing", details=(), **OWN | DETAIL
    ),
    Entity("Good ratings", ("inference", "ratings", "good"), icon="mdi:thumb-up-outline", **OWN | DETAIL),
    Entity("Bad ratings", ("inference", "ratings", "bad"), icon="mdi:thumb-down-outline", **OWN | DETAIL),
    _bytes("Engine memory", "inference", "engine_memory_bytes", icon="mdi:memory", **DETAIL),
    _count("Engine restarts", "inference", "engine_restarts", is_always=True, icon="mdi:restart"),
    Entity(
        "Governor",
        ("governor", "state"),
        device_class="enum",
        state_class=None,
        options=("off", "free", "slowed", "blind"),
        details=("governor",),
    ),
    _percent(
        "Governor duty", "governor", "duty", form="{% set v = VALUE %}{{ v * 100 if v is number else none }}", **DETAIL
    ),
    Entity("Headroom", ("governor", "headroom_celsius"), unit="K", precision=1, icon="mdi:thermometer-alert", **DETAIL),
    Entity(
        "Sensor failure",
        ("failed",),
        FAULTS,
        device_class="problem",
        state_class=None,
        platform="binary_sensor",
        details=("failed",),
        **OWN | DETAIL,
    ),
)
"""The order is the message's; Home Assistant has its own."""


def entities(body: Mapping[str, Any]) -> dict[str, Entity]:
    """Those that a message has values for, and those that every board has, by their keys."""
    found: dict[str, Entity] = {}
    for row in ROWS:
        for entity in _expanded(row, body):
            if entity.is_always or is_known(entity, body):
                found[_free(entity.key, found)] = entity
    return found


def is_known(entity: Entity, body: Mapping[str, Any]) -> bool:
    """Whether a message has a value for it; of cores, whether one tells its clock."""
    value = lookup(body, entity.path)
    return any(lookup(each, (CLOCK,)) for each in value) if isinstance(value, list) else value is not None


def _expanded(row: Entity, body: Mapping[str, Any]) -> Iterator[Entity]:
    """A row as it is; one with `*` for each name that the message has there."""
    if "*" not in row.path:
        yield row
        return
    place = row.path.index("*")
    names = lookup(body, row.path[:place])
    for name in sorted(names)[:EACH_MAX] if isinstance(names, Mapping) else ():
        shown = row.name.replace("{}", name[:NAME_MAX])
        yield replace(row, name=shown[0].upper() + shown[1:], path=(*row.path[:place], name, *row.path[place + 1 :]))


def _free(key: str, taken: Mapping[str, Entity]) -> str:
    """A key that no other entity has, where two names come to the same."""
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key}_{number}"
    return free
