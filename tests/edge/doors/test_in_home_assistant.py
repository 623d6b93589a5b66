"""The real Home Assistant: its schemas take every component, its templates give values, and a board appears by itself.

Skipped where none is installed; `make ha-test` installs two releases, the older of them without MQTT 5 by default.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from edge.config import Settings
from edge.doors.discovery import ANSWER, ASK, BUNDLE, EVENT, EVENT_TYPES, HERE, STATE, discovery
from edge.doors.entities import FAULTS, TOTAL, Entity, entities, is_known, lookup
from edge.errors import Unavailable
from edge.wire.message import dumps
from edge.wire.reply import Outcome, delta, queued, refusal, terminal
from edge.wire.request import Address
from tests.clients import User
from tests.conftest import ROOT, embedded_broker, mosquitto, running
from tests.edge.doors.bodies import BODIES
from tests.edge.doors.home_assistants import WHERE_NOT, HomeAssistant, accepted, home_assistant, pythons
from tests.test_docs import blocks

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.home_assistant,
    pytest.mark.skipif(not pythons(), reason=WHERE_NOT),
]
PI = Settings(device="pi", limits={"commands": True})
ADDRESS = Address("edge/pi/reply/home-assistant", "q1", "home-assistant")
LONG = "It is " + "very " * 200 + "long."


@pytest.fixture(scope="module", params=pythons(), ids=lambda python: python.parent.parent.name)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """One that is asked about messages alone."""
    with home_assistant(request.param, tmp_path_factory.mktemp("hass")) as made:
        yield made


def discovered(body: dict[str, Any]) -> str:
    """The discovery message of a board that says this."""
    return discovery(PI, body, entities(body), {"gone_by": "sensor"}).payload.decode()


def test_its_schemas_accept_every_component(told):
    """Of every board's message, those that are gone among them."""
    count, against = accepted(told, {name: discovered(body) for name, body in BODIES.items()})
    assert against == []
    assert count > 20 * len(BODIES)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_its_templates_give_values(told, body):
    """What there is, as text; `None` for what is not known; nothing is logged as undefined."""
    shown = entities(body)
    found = told.ask("render", templates={key: each.template for key, each in shown.items()}, payload=json.dumps(body))
    for key, entity in shown.items():
        value = lookup(body, entity.path) if is_known(entity, body) else None
        assert (found[key] in ("None", "OFF", "0")) if value is None else (found[key] not in ("None", "")), key
        poor = told.ask("render", templates={key: entity.template}, payload="{}")
        assert poor[key] in ("None", "OFF", "0"), key
    assert told.complaints() == []


def test_its_templates_read_answers_and_events(told):
    """The end of an answer, whole, and nothing for pieces; an event's type and whether it is over."""
    waits, piece = queued(ADDRESS, 1, 2.0), delta(ADDRESS, 0, "It")
    ended, refused = terminal(ADDRESS, Outcome(200, "stop", LONG)), terminal(ADDRESS, refusal(Unavailable("full")))
    assert [rendered(told, ANSWER, each.payload) for each in (waits, piece)] == ["", ""]
    said = json.loads(rendered(told, ANSWER, ended.payload))
    assert (said["event_type"], said["text"], said["code"], said["id"]) == ("answered", LONG, 200, "q1")
    said = json.loads(rendered(told, ANSWER, refused.payload))
    assert (said["event_type"], said["code"], said["reason"]) == ("failed", 503, "full")
    for strange in (b"", b"5", b"[]", b"null", b"{}", b"\xf0"):
        assert rendered(told, ANSWER, strange) == rendered(told, EVENT, strange) == ""
    over = {"time": 1.0, "event": "throttled", "is_on": False, "reason": "cooler"}
    assert json.loads(rendered(told, EVENT, dumps(over))) == {**over, "event_type": "throttled_over"}
    begun = {"time": 1.0, "event": "governor", "state": "slowed"}
    assert json.loads(rendered(told, EVENT, dumps(begun))) == {**begun, "event_type": "governor"}
    assert json.loads(rendered(told, EVENT, dumps({"event": "tomorrow"})))["event_type"] == EVENT_TYPES[-1]
    assert told.complaints() == []


def test_its_templates_read_status_info_and_write_prompts(told):
    """A board that loads is there; a prompt with quotes and lines arrives as it was written."""
    for state, here in {
        "online": "online",
        "loading": "online",
        "unloaded": "online",
        "stopping": "online",
        "offline": "offline",
    }.items():
        assert rendered(told, HERE, dumps({"state": state})) == here
        assert rendered(told, STATE, dumps({"state": state})) == state
    assert rendered(told, HERE, b"garbage") == "offline"
    nothing = dict.fromkeys(["latest", "next", "progress", "reason"])
    served = {"bundle": {"name": "m", "version": "2"}, "state": "kept", **nothing}
    assert json.loads(rendered(told, BUNDLE, dumps(served))) == {
        "installed_version": "2",
        "latest_version": "2",
        "title": "m",
        "in_progress": False,
        "update_percentage": None,
        "release_summary": "",
    }
    shown = json.loads(rendered(told, BUNDLE, dumps({**served, "latest": "10"})))
    assert (shown["installed_version"], shown["latest_version"], shown["in_progress"]) == ("2", "10", False)
    fetched = {
        **served,
        "state": "downloading",
        "next": {"name": "m", "version": "3", "digest": None},
        "progress": 0.42,
    }
    shown = json.loads(rendered(told, BUNDLE, dumps(fetched)))
    assert (shown["latest_version"], shown["in_progress"], shown["update_percentage"]) == ("3", True, 42.0)
    prompt = 'Say "hi"\nand {{ nothing }} \\ more: ü'
    assert json.loads(told.ask("command", template=ASK, value=prompt)) == {"prompt": prompt, "stream": False}


def rendered(told: HomeAssistant, template: str, payload: bytes) -> str:
    """What it makes of one message."""
    found = told.ask("render", templates={"it": template}, payload=payload.decode(errors="replace"))
    return str(found["it"])


# --- a board, a broker, and one that listens ---


@contextmanager
def board(folder: Path, port: int, **settings: str) -> Iterator[None]:
    """A scripted daemon named `pi`, which announces itself unless told otherwise; every half second a reading."""
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(folder / "state")}
    env |= {"EDGE_TELEMETRY__PERIOD_SECONDS": "0.5", "EDGE_HOME_ASSISTANT__ANNOUNCE": "true"}
    env |= {"EDGE_LIMITS__COMMANDS": "true"}
    with running([sys.executable, "-m", "edge.testing", "--pieces=400"], folder / "daemon.log", env | settings):
        yield


def until(met: Any, seconds: float = 60) -> Any:
    """What a look gives once it is something; TimeoutError else."""
    end = time.monotonic() + seconds
    while not (found := met()):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("protocol", "start"),
    [("5", embedded_broker), pytest.param("3.1.1", mosquitto, marks=pytest.mark.mosquitto)],
    ids=["5-embedded", "3.1.1-mosquitto"],
)
@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.parent.parent.name)
def test_a_board_appears_answers_and_goes(python, protocol, start, tmp_path):
    """Entities with states, an answer through notify and event, its own name for each, and nothing left at the end."""
    with start(tmp_path) as port, home_assistant(python, tmp_path / "hass") as hass:
        assert hass.ask("connect", port=port, protocol=protocol)
        with board(tmp_path, port, EDGE_BROKER__PROTOCOL=protocol):
            appears(hass)
            names_are_those_of_the_message(hass, port)
            answers(hass)
            hears(hass, port)
            plays_the_page(hass)
        until(lambda: hass.ask("states")["sensor.pi_queue"][0] == "unavailable")
        with board(tmp_path, port, EDGE_BROKER__PROTOCOL=protocol, EDGE_HOME_ASSISTANT__ANNOUNCE="false"):
            until(lambda: not hass.ask("registered") and not hass.ask("devices"))
        assert hass.complaints() == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("python", pythons(), ids=lambda python: python.parent.parent.name)
def test_every_entity_of_every_board_has_a_state(python, tmp_path):
    """Those that are hidden, too: a value where the board tells one, and no word against any class, unit or state."""
    with embedded_broker(tmp_path) as port, home_assistant(python, tmp_path / "hass") as hass, User(port) as user:
        assert hass.ask("connect", port=port, protocol="5")
        for body, named in zip(BODIES.values(), boards_of(), strict=True):
            made = discovery(named, body, entities(body), {})
            whole = json.loads(made.payload)
            for component in whole["cmps"].values():
                component.pop("en", None)
            user.publish(made.topic, whole, retain=True)
            user.publish(named.topics.status, {"state": "online"}, retain=True)
        for body, named in zip(BODIES.values(), boards_of(), strict=True):
            found = until(partial(told_until_known, hass, user, named, body))
            for key, entity in entities(body).items():
                state = found[f"{entity.platform}.{named.device}_{key}"][0]
                assert (state == "unknown") == (rendered_as_none(entity, body)), (named.device, key, state)
        assert hass.complaints() == []


def told_until_known(hass: HomeAssistant, user: User, named: Settings, body: dict[str, Any]) -> Any:
    """All states, once the board's are known: it subscribes to a topic some time after it was told of it."""
    user.publish(named.topics.telemetry, body)
    return states_once_known(hass, named.device)


def boards_of() -> list[Settings]:
    """One for each body."""
    return [Settings(device=f"board{number}", limits={"commands": True}) for number in range(len(BODIES))]


def rendered_as_none(entity: Entity, body: dict[str, Any]) -> bool:
    """Whether a message has no value for an entity that is shown all the same."""
    return entity.form not in (TOTAL, FAULTS) and not is_known(entity, body)


def appears(hass: HomeAssistant) -> None:
    """With values, not `unknown`."""
    found = until(lambda: states_once_known(hass))
    assert found["sensor.pi_state"][0] == "online"
    assert float(found["sensor.pi_memory_available"][0]) > 100
    assert found["sensor.pi_memory_available"][1]["unit_of_measurement"] == "MiB"
    assert found["sensor.pi_queue"][0] == "0"
    assert found["update.pi_bundle"][1]["installed_version"] == "1"
    assert {"notify.pi_ask", "event.pi_answer", "button.pi_restart_engine", "button.pi_unload_engine"} <= set(found)
    (device,) = hass.ask("devices")
    assert (device["name"], device["manufacturer"]) == ("pi", "Edge SLM")


def states_once_known(hass: HomeAssistant, device: str = "pi") -> Any:
    """All states, once the board has told some."""
    found = hass.ask("states")
    return found if found.get(f"sensor.{device}_queue", ["unknown"])[0] not in ("unknown", "unavailable") else None


def names_are_those_of_the_message(hass: HomeAssistant, port: int) -> None:
    """Also where `def_ent_id` is not known yet: automations that are written for one release hold in the other."""
    with User(port, "homeassistant/device/edge-pi/config") as user:
        components = json.loads(user.next().payload)["cmps"]
    named = {each["def_ent_id"]: each["uniq_id"] for each in components.values()}
    registered = hass.ask("registered")
    assert {name: unique for name, (unique, _category, _disabled) in registered.items()} == named
    hidden = {each["def_ent_id"] for each in components.values() if each.get("en") is False}
    assert {name for name, (_unique, _category, disabled) in registered.items() if disabled} == hidden


def answers(hass: HomeAssistant) -> None:
    """The whole of it, far over the 255 characters that a state may have."""
    hass.ask("call", service="notify.send_message", data={"entity_id": "notify.pi_ask", "message": 'What is "E42"?'})
    said = until(lambda: [each for name, each in hass.ask("events") if name == "event.pi_answer"])
    assert [each["event_type"] for each in said] == ["answered"]
    assert said[0]["text"] == "word " * 400
    hass.ask("call", service="button.press", data={"entity_id": "button.pi_restart_engine"})
    until(lambda: any(name.startswith("engine_re") for name, _ in happened(hass)))


def hears(hass: HomeAssistant, port: int) -> None:
    """What the board says has changed, and that it is over."""
    with User(port) as user:
        for is_on in (True, False):
            user.publish("edge/pi/event", {"time": 1.5, "event": "throttled", "is_on": is_on, "reason": "80 °C"})
    until(lambda: happened(hass)[-1:] == [("throttled_over", "80 °C")])
    assert ("throttled", "80 °C") in happened(hass)


def happened(hass: HomeAssistant) -> list[tuple[str, str]]:
    """What the board said had changed, and why."""
    said = [each for name, each in hass.ask("events") if name == "event.pi_event"]
    return [(each["event_type"], each.get("reason", "")) for each in said]


def plays_the_page(hass: HomeAssistant) -> None:
    """The automations of docs/home-assistant.md are taken as they stand."""
    texts = [text for _, text in blocks(ROOT / "docs/home-assistant.md", "yaml")]
    assert texts
    assert hass.ask("automation", text="\n".join(texts))
