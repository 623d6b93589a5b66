"""Home Assistant's own Wyoming integration before the door: set up by its dialog, asked through its conversation agent.

Skipped where none is installed; `make ha-test` installs three releases.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest

from edge.config import Settings
from edge.config.assist import Domain, IntentName
from edge.doors.assist.intents import Intents
from tests.conftest import free_port
from tests.edge.doors.assist.test_daemon import board
from tests.edge.doors.home_assistants import WHERE_NOT, HomeAssistant, home_assistant, pythons

pytestmark = [
    pytest.mark.checkout,
    pytest.mark.home_assistant,
    pytest.mark.skipif(not pythons(), reason=WHERE_NOT),
]
LAMP = "Hall lamp"
LATER = {"HassFanSetSpeed"}
"""Which the oldest of the releases does not have."""
HOUSE = {
    "EDGE_ASSIST__INTENTS": json.dumps(["HassTurnOn", "HassTurnOff"]),
    "EDGE_ASSIST__THINGS": json.dumps([{"name": LAMP, "domain": "light"}]),
    "EDGE_ASSIST__DONE": "As you wish.",
}


@pytest.fixture(scope="module", params=pythons(), ids=lambda python: python.parent.parent.name)
def hass(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """One of each release, with a lamp that is off."""
    with home_assistant(request.param, tmp_path_factory.mktemp("hass")) as made:
        assert made.ask("lamp", name=LAMP)
        yield made


def test_its_handlers_take_whatever_can_be_meant(hass: HomeAssistant):
    """Each intent about a thing of each kind, a room, and with the least and the most of its numbers."""
    domains, names = get_args(Domain), list(get_args(IntentName))
    things = [{"name": f"A {each}", "domain": each, "area": "Hall"} for each in domains]
    intents = Intents(Settings(device="pi", assist={"intents": names, "things": things}).assist)
    said = [f"{name} {number}" for name in (*(each["name"] for each in things), "hall") for number in (0, 5, 35, 100)]
    meant = [each for text in said for each in intents.choices(text).values()]
    assert {each.name for each in meant} == set(names)
    asked = [(each.name, each.slots) for each in meant]
    unknown, against = hass.ask("intended", components=["intent", *domains], meant=asked)
    assert against == []
    assert set(unknown) <= LATER
    too_bright = ("HassLightSet", {"name": LAMP, "brightness": 101})
    assert hass.ask("intended", components=[], meant=[too_bright])[1] != []


def complaints(hass: HomeAssistant) -> list[str]:
    """What it has against the door."""
    return [line for line in hass.ask("log") if "wyoming" in line.partition(":")[0]]


def test_it_is_set_up_and_answered(hass: HomeAssistant, tmp_path: Path):
    """An agent with the board's name, which leaves commands to Home Assistant's own sentences; the whole answer."""
    with board(tmp_path, free_port(), "--pieces=3") as (port, log):
        title, (agent, attributes) = hass.ask("assist", port=port)
        assert title == "Edge SLM pi"
        assert attributes["supported_features"] == 0
        for _ in range(2):
            said = hass.ask("converse", agent=agent, text="Is it on?", conversation_id="01KQ0000000000000000000000")
            assert said["response"]["speech"]["plain"]["speech"] == "word " * 3
            assert said["response"]["response_type"] == "action_done"
        assert "Traceback" not in log.read_text()
    assert complaints(hass) == []


def test_it_switches_what_is_named(hass: HomeAssistant, tmp_path: Path):
    """An intent of its own, by which it turns a light on; what is no command is answered by the same agent."""
    call = json.dumps(f"turn on the {LAMP}")
    with board(tmp_path, free_port(), f"--call={call}", **HOUSE) as (port, _):
        _, (agent, _) = hass.ask("assist", port=port)
        assert hass.ask("states")["light.lamp"][0] == "off"
        said = hass.ask("converse", agent=agent, text="Could I have the hall lamp on?")
        assert said["response"]["speech"]["plain"]["speech"] == "As you wish."
        assert hass.ask("states")["light.lamp"][0] == "on"
        said = hass.ask("converse", agent=agent, text="Who are you?")
        assert said["response"]["speech"]["plain"]["speech"] == call
    assert complaints(hass) == []
