"""Whatever a message lacks and whatever its sensors are called: what is shown of it stands, and is bounded."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from edge.config import Limits, Settings
from edge.doors.discovery import EVENT_TYPES, LASTING, STATES, discovery, shown_of
from edge.doors.entities import EACH_MAX, ROWS, entities
from edge.doors.metrics import ROWS as METRICS
from edge.doors.metrics import samples
from edge.doors.prometheus import Prometheus
from edge.wire.announced import Status
from edge.wire.event import BundleChanged, EngineBegun, GovernorChanged, Lasting, SensorFailed
from edge.wire.telemetry import Governor
from tests.conftest import ROOT
from tests.edge.doors.bodies import BODIES

PI = Settings(device="pi")
COMPONENTS_MAX = len(ROWS) * EACH_MAX
NAMES = st.text(st.characters(), min_size=1, max_size=8)
"""Lone surrogates among them, as a kernel's bytes may be read."""


def words(field: str, of: type[BaseModel]) -> set[str]:
    """What a field may say."""
    return set(get_args(of.model_fields[field].annotation))


def test_states_and_events_are_those_of_the_wire():
    """A word that Home Assistant was not told of would be refused there; one that no metric has would be lost."""
    assert set(STATES) == words("state", Status)
    (governor,) = [each for each in ROWS if each.name == "Governor"]
    assert set(governor.options) == words("state", Governor)
    told = {metric.path: set(metric.states) for metric in METRICS if metric.states}
    assert told == {("governor", each): words(each, Governor) for each in ("state", "memory")}
    kinds = (Lasting, SensorFailed, EngineBegun, GovernorChanged, BundleChanged)
    lasting = {each for kind in kinds if "is_on" in kind.model_fields for each in words("event", kind)}
    assert set(LASTING) == lasting
    once = {each for kind in kinds for each in words("event", kind)}
    assert set(EVENT_TYPES) == once | {f"{each}_over" for each in lasting} | {"other"}


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    """Some board's message, with things missing, null, of another kind or of another name, at any depth."""
    body = draw(st.sampled_from(list(BODIES.values())))
    return spoiled(draw, body) | {"absent": body["absent"]}


def spoiled(draw: st.DrawFn, body: dict[str, Any]) -> dict[str, Any]:
    """Most of it as it was."""
    made: dict[str, Any] = {}
    for key, value in body.items():
        fate = draw(st.sampled_from(["kept"] * 12 + ["gone", "null", "renamed", "other"]))
        kept = spoiled(draw, value) if isinstance(value, dict) else value
        if fate == "other":
            made[key] = draw(st.sampled_from([5, -1.5, True, "text", [], {}, [None]]))
        elif fate != "gone":
            made[draw(NAMES) if fate == "renamed" else key] = None if fate == "null" else kept
    return made


@settings(max_examples=150)
@given(messages(), messages())
def test_every_message_can_be_shown_after_every_other(first, second):
    """Unique ids and JSON; the same message twice changes nothing; metrics are numbers that the library can write."""
    shown = shown_of(second, entities(first))
    made = discovery(PI, second, shown, {key: each.platform for key, each in entities(first).items()})
    components = json.loads(made.payload)["cmps"]
    identities = [each["uniq_id"] for each in components.values() if len(each) > 1]
    assert len(set(identities)) == len(identities) <= COMPONENTS_MAX
    assert shown_of(second, shown) == shown
    for metric in METRICS:
        assert all(isinstance(value, float) for _, value in samples(metric, second))
    door = Prometheus(PI.prometheus)
    door.told(second)
    assert door.text()


@pytest.mark.checkout
def test_the_page_names_entities_that_there_are():
    """Each `sensor.pi_…` and the like of docs/home-assistant.md, in the message of some board."""
    named = set(re.findall(r"\b\w+\.pi_\w+", (ROOT / "docs/home-assistant.md").read_text()))
    board = Settings(device="pi", limits=Limits(commands=True))
    made = [json.loads(discovery(board, body, entities(body), {}).payload)["cmps"] for body in BODIES.values()]
    assert len(named) > 15
    assert named - {each["def_ent_id"] for components in made for each in components.values()} == set()
