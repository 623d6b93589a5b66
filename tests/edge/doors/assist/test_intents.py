"""What a sentence may mean: intents of Home Assistant's about what it names, and nothing else."""

from __future__ import annotations

import asyncio
import json
import tomllib
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wyoming.intent import Intent, NotRecognized, Recognize

from edge.commands.serve import print_config
from edge.config import Assist as AssistSettings
from edge.config import Settings
from edge.config.assist import THINGS_MAX, Domain, IntentName
from edge.doors.assist.intents import (
    CHOICES_MAX,
    NONE,
    ROWS,
    Intents,
    Meant,
    chosen,
    fields_of_choosing,
    numbers_of,
)
from edge.testing.inside import MemoryInside
from edge.wire.chat import validated
from tests.edge.doors.assist.test_visit import AsyncTcpClient, asked, door, heard

THINGS = [
    {"name": "Hall lamp", "domain": "light", "area": "Hall"},
    {"name": "Desk lamp", "domain": "light", "area": "Office"},
    {"name": "Blinds", "domain": "cover", "area": "Office"},
    {"name": "Thermostat", "domain": "climate"},
]
EVERY = list(get_args(IntentName))


def made(intents: list[str] | None = None, things: list[dict[str, Any]] | None = None) -> Intents:
    """Of a house."""
    assist = {"intents": EVERY if intents is None else intents, "things": THINGS if things is None else things}
    return Intents(Settings(device="pi", assist=assist).assist)


def test_every_intent_has_a_command_and_every_kind_an_intent():
    """What can be set does something."""
    assert {row.intent for row in ROWS} == set(EVERY)
    assert {domain for row in ROWS for domain in row.domains} == set(get_args(Domain))


def test_what_is_named_can_be_meant():
    """By its name, whatever its case; a room's by the room's; nothing that was not spoken of."""
    assert made(["HassTurnOn"]).choices("HALL LAMP on") == {
        "turn on the Hall lamp": Meant("HassTurnOn", {"name": "Hall lamp"}),
        "turn on the lights in the Hall": Meant("HassTurnOn", {"area": "Hall", "domain": "light"}),
    }
    assert set(made(["HassTurnOff"]).choices("Office, dark")) == {
        "turn off the lights in the Office",
        "close the covers in the Office",
    }
    assert made().choices("Turn on the light") == {}
    assert made(["HassTurnOn"]).choices("the desk") == {
        "turn on the Desk lamp": Meant("HassTurnOn", {"name": "Desk lamp"})
    }


def test_what_may_be_either_is_neither():
    """Half of two names is said."""
    assert made().choices("Turn on the lamp") == {}


def test_numbers_are_those_that_are_said():
    """Within what Home Assistant takes; without one nothing is set."""
    assert numbers_of("to 40% or 7 or 1000, 3.5 or x9, 21.") == [40, 7, 21]
    assert made(["HassLightSet"], THINGS[:1]).choices("hall lamp 40 percent")["set the Hall lamp to 40 percent"] == (
        Meant("HassLightSet", {"name": "Hall lamp", "brightness": 40})
    )
    assert made(["HassClimateSetTemperature"]).choices("thermostat 21") == {
        "set the Thermostat to 21 degrees": Meant(
            "HassClimateSetTemperature", {"name": "Thermostat", "temperature": 21}
        )
    }
    odd = made(["HassLightSet"], [{"name": "Lamp #{2}", "domain": "light"}])
    assert [*odd.choices("lamp 2, 40")][-1] == "set the Lamp #{2} to 40 percent"
    for text in ("hall lamp", "hall lamp 101", "thermostat 99"):
        assert made(["HassLightSet", "HassClimateSetTemperature"]).choices(text) == {}


def test_where_too_much_is_named_nothing_is():
    """A house whose things all have one name, as it were."""
    things = [{"name": f"Lamp {number}", "domain": "light", "area": "Hall"} for number in range(THINGS_MAX)]
    text = " ".join(f"lamp {number}" for number in range(THINGS_MAX))
    assert made(things=things).choices(text) == {}
    assert len(made(things=things).choices("lamp 7")) <= CHOICES_MAX


@given(st.text(max_size=200))
def test_any_sentence_has_choices_that_can_be_asked(text):
    """A request of the wire that is taken, whatever was said; what is chosen is one of them."""
    choices = made().choices(f"{text} hall lamp 30")
    fields = fields_of_choosing(f"{text} hall lamp 30", [*choices])
    assert validated(fields).response_format is not None
    assert fields["response_format"]["json_schema"]["schema"]["enum"] == [*choices, NONE]
    for words, meant in choices.items():
        assert chosen(json.dumps(words), choices) == meant
        assert meant.name in EVERY


@pytest.mark.parametrize("answer", ['"none"', "", "turn on", "5", "[]", '{"a": 1}', '"unlock the door"', "{" * 9000])
def test_an_answer_that_is_no_command(answer):
    """As of a scripted model, or one that was cut off."""
    assert chosen(answer, made().choices("hall lamp")) is None


@pytest.mark.parametrize(
    ("things", "why"),
    [
        ([], "want things"),
        ([{"name": "Door", "domain": "lock"}], "domain"),
        ([{"name": 'a"b', "domain": "light"}], "name"),
        ([{"name": "", "domain": "light"}], "name"),
    ],
)
def test_things_that_cannot_be(things, why):
    """Locks are none: what mishears must open no door."""
    with pytest.raises(ValueError, match=why):
        Settings(assist={"intents": ["HassTurnOn"], "things": things})


# --- over the door ---

SWITCHED = {"type": "reply", "code": 200, "text": '"turn on the Hall lamp"'}
HOUSE = {"intents": ["HassTurnOn"], "things": THINGS, "done": "As you wish."}


def test_a_command_is_an_intent():
    """With its slots and what is said once it is done; the conversation goes on from it."""

    async def play() -> None:
        inside = MemoryInside([SWITCHED])
        async with door(inside, **HOUSE) as port:
            (event,) = await asked(port, "Could I have the hall lamp on?", "intent", conversation_id="c")
            intent = Intent.from_event(event)
            assert (intent.name, intent.text, intent.context) == (
                "HassTurnOn", "As you wish.", {"conversation_id": "c"},
            )  # fmt: skip
            assert [(each.name, each.value) for each in intent.entities] == [("name", "Hall lamp")]
            await asked(port, "And who are you?", "handled", conversation_id="c")
        command, answer = inside.asked
        assert command.fields["temperature"] == 0
        assert [each["content"] for each in answer.fields["messages"][1:]] == [
            "Could I have the hall lamp on?", "As you wish.", "And who are you?",
        ]  # fmt: skip

    asyncio.run(play())


@pytest.mark.parametrize(
    "told",
    [
        {"type": "reply", "code": 200, "text": '"none"'},
        {"type": "reply", "code": 200, "text": '"turn on the oven"'},
    ],
)
def test_what_is_no_command_is_answered(told):
    """Asked once more, as a question."""

    async def play() -> None:
        inside = MemoryInside([told])
        async with door(inside, **HOUSE) as port:
            assert (await asked(port, "Is the hall lamp old?", "handled"))[-1].data["text"] == told["text"]
        assert ["response_format" in each.fields for each in inside.asked] == [True, False]

    asyncio.run(play())


def test_what_names_nothing_is_asked_once():
    """So that a question takes no longer than without intents; a refusal of either is not handled."""

    async def play() -> None:
        inside = MemoryInside([{"type": "reply", "code": 503, "text": "", "error": {"message": "full"}}])
        async with door(inside, **HOUSE) as port:
            await asked(port, "Who are you?", "not-handled")
            assert len(inside.asked) == 1
            assert (await asked(port, "Hall lamp on", "not-handled"))[-1].data["text"] == "full"

    asyncio.run(play())


def test_recognize_wants_an_intent_alone():
    """Or hears that there is none; without intents it is passed over, as what is not known."""

    async def play() -> None:
        async with door(MemoryInside([SWITCHED]), **HOUSE) as port, AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Recognize("Hall lamp on").event())
            assert (await heard(client, "intent"))[0].data["name"] == "HassTurnOn"
            await client.write_event(Recognize("Who are you?", {"conversation_id": "c"}).event())
            event = (await heard(client, "not-recognized"))[0]
            assert NotRecognized.from_event(event).context == {"conversation_id": "c"}

    asyncio.run(play())


def test_things_are_printed_as_they_are_read():
    """`edge serve --print-config` is a file that can be used; a thing may be in no room."""
    told = Settings(device="pi", assist={**HOUSE, "address": "127.0.0.1:10400"})
    read = tomllib.loads(print_config(told))["assist"]
    assert AssistSettings(**read) == told.assist
    assert told.assist.things[-1].area == ""
