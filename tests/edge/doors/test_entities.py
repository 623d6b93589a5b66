"""What is shown of each board, and that every template gives a value or `None`, whatever a message lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2.sandbox import ImmutableSandboxedEnvironment

from edge.doors.entities import EACH_MAX, ROWS, entities, lookup, reach
from tests.edge.doors.bodies import BARE, BODIES, JETSON, PHONE, PI

TEMPLATES = ImmutableSandboxedEnvironment()

each_body = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)


def rendered(template: str, message: Any) -> str:
    """As Home Assistant has it, within jinja's own means."""
    return TEMPLATES.from_string(template).render(value_json=json.loads(json.dumps(message)))


def emptied(body: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """The message with null in place of each step to a value, and without that step."""
    for length in range(len(path)):
        for put in ("null", "nothing"):
            made = json.loads(json.dumps(body))
            holder = lookup(made, path[:length])
            if isinstance(holder, dict):
                holder.pop(path[length], None)
                holder |= {path[length]: None} if put == "null" else {}
            yield made


@each_body
def test_every_entity_reads_its_value(body):
    """What the template makes of the message is what lies at its path, in the entity's unit, and never nothing."""
    for key, entity in entities(body).items():
        text = rendered(entity.template, body)
        value = lookup(body, entity.path)
        assert text != "", key
        if value is None:
            assert text in ("None", "OFF", "0"), key
        elif entity.form == "{{ VALUE }}":
            assert text == str(value), key


@each_body
def test_no_template_minds_what_is_missing(body):
    """Null and nothing at each step, in a message that is no object, and in what is no JSON at all."""
    for key, entity in entities(body).items():
        for poorer in [*emptied(body, entity.path), None, 5, "x", [], {}]:
            assert rendered(entity.template, poorer) in ("None", "OFF", "0"), (key, poorer)
        assert TEMPLATES.from_string(entity.template).render() in ("None", "OFF", "0"), key


@given(st.text(min_size=1).filter(lambda name: not any("\ud800" <= each <= "\udfff" for each in name)))
def test_any_name_of_the_kernel_can_be_reached(name):
    """Quotes, braces and backslashes in a sensor's name are not taken for the template's own."""
    if name.isascii():
        assert rendered(f"{{{{ {reach(('thermal', name))} }}}}", {"thermal": {name: 5}}) == "5"


def test_units_are_converted():
    """MiB, GiB, MHz and per cent, from the telemetry's base units."""
    shown = entities(JETSON)
    values = {key: rendered(entity.template, JETSON) for key, entity in shown.items()}
    assert float(values["memory_available"]) == 5120
    assert float(values["disk_free_bundle"]) == 41
    assert float(values["processor_clock"]) == 1800
    assert float(values["17000000_gpu_clock"]) == 624.75
    assert float(values["governor_duty"]) == 75
    assert values["throttled"] == "ON"
    assert values["under_voltage"] == "OFF"
    assert values["requests_ended"] == "4"
    assert values["governor"] == "slowed"


def test_a_board_shows_what_it_has():
    """No entity for what is absent, null or denied; its own work always."""
    pi, phone, bare = set(entities(PI)), set(entities(PHONE)), set(entities(BARE))
    assert {"temperature", "fan_pwmfan", "throttled", "power", "supply_voltage", "zone_cpu_thermal"} <= pi
    assert not pi & {"battery", "power_mode", "processor_throttle_events", "under_voltage_since_start"}
    assert {"battery", "charging", "battery_temperature"} <= phone
    assert not phone & {"temperature", "processor_use", "throttled", "power"}
    assert "processor_throttle_events" in bare
    assert {"queue", "running", "answering_speed", "requests_ended", "sensor_failure"} <= pi & phone & bare


def test_many_sensors_are_shown_up_to_a_bound_and_names_that_meet_are_told_apart():
    """A board with a hundred zones makes no message of a hundred kilobytes."""
    many = PI | {"thermal": PI["thermal"] | {"zones_celsius": {f"zone{number}": 40.0 for number in range(200)}}}
    assert sum(key.startswith("zone_") for key in entities(many)) == EACH_MAX
    alike = PI | {"thermal": PI["thermal"] | {"zones_celsius": {"cpu-thermal": 40.0, "cpu_thermal": 41.0}}}
    assert {"zone_cpu_thermal", "zone_cpu_thermal_2"} <= set(entities(alike))


def test_rows_say_what_home_assistant_needs_of_each_kind():
    """A unit with each class that has one; states of problems without a state class; options with enums."""
    for row in ROWS:
        assert (row.device_class == "enum") == bool(row.options)
        if row.platform == "binary_sensor":
            assert row.state_class is None
            assert row.unit is None
