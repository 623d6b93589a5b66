"""What a sentence means to Home Assistant: the model chooses among plain commands, each of which is an intent.

Only what the sentence names can be chosen: a command is offered where the name of the thing or the room is said, and
one with a number where that number is. So nothing is switched that was not spoken of, and a sentence that names nothing
costs no asking. The model is held to these commands and `none`; whatever it writes is an intent of Home Assistant's,
with names that it has. Slots are those of its `homeassistant/helpers/intent.py` and the components' `intent.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.config import Assist, Thing

NONE = "none"
SWITCHED = ("light", "switch", "fan", "media_player", "input_boolean")
PLURALS = {"light": "lights", "fan": "fans", "switch": "switches", "cover": "covers"}
"""Of domains of which a whole room's can be meant."""
PERCENT, DEGREES = range(101), range(5, 36)
CHOICES_MAX = 128
"""Commands that are offered for one sentence; where there are more, it names nothing in particular."""


@dataclass(frozen=True)
class Meant:
    """An intent of Home Assistant's. slots: by their names there."""

    name: str
    slots: dict[str, str | int]


@dataclass(frozen=True)
class Row:
    """A command that an intent is put as. `{}` stands for what it is about, `#` for a number.

    slot: of the number; range: that it must be in. is_of_rooms: whether it may be about all of a kind in a room.
    """

    intent: str
    domains: tuple[str, ...]
    command: str
    slot: str = ""
    range: range = PERCENT
    is_of_rooms: bool = False


ROWS = (
    Row("HassTurnOn", SWITCHED, "turn on the {}", is_of_rooms=True),
    Row("HassTurnOff", SWITCHED, "turn off the {}", is_of_rooms=True),
    Row("HassTurnOn", ("cover",), "open the {}", is_of_rooms=True),
    Row("HassTurnOff", ("cover",), "close the {}", is_of_rooms=True),
    Row("HassToggle", SWITCHED, "toggle the {}"),
    Row("HassLightSet", ("light",), "set the {} to # percent", "brightness", is_of_rooms=True),
    Row("HassFanSetSpeed", ("fan",), "set the {} to # percent", "percentage"),
    Row("HassSetPosition", ("cover",), "set the {} to # percent", "position"),
    Row("HassClimateSetTemperature", ("climate",), "set the {} to # degrees", "temperature", DEGREES),
    Row("HassVacuumStart", ("vacuum",), "start the {}"),
    Row("HassVacuumReturnToBase", ("vacuum",), "send the {} home"),
)
EXAMPLES: tuple[dict[str, str], ...] = (
    {
        "role": "system",
        "content": 'Rewrite what the user says as a command for the house. Write "none" where it is a question or small'
        " talk.",
    },
    *(
        {"role": role, "content": content}
        for said, command in (
            ("Please switch the porch light on", "turn on the Porch light"),
            ("What is the tallest mountain?", NONE),
            ("Could you turn the heater fan off?", "turn off the Heater fan"),
            ("How does a heater fan work?", NONE),
            ("Set the porch light to 30 percent", "set the Porch light to 30 percent"),
            ("Who invented the porch?", NONE),
        )
        for role, content in (("user", said), ("assistant", json.dumps(command)))
    ),
)
"""The same for every house, so that they are read once. More of them, or the choices beside them, did worse."""


@dataclass(frozen=True)
class Target:
    """A thing, or all of a kind in a room. words: as a command has it; name: that must be said."""

    words: str
    name: str
    domain: str
    slots: dict[str, str]
    is_room: bool = False


class Intents:
    """Those that the settings name, about what they name."""

    def __init__(self, settings: Assist) -> None:
        self._rows = [row for row in ROWS if row.intent in settings.intents]
        self._targets = [*things_of(settings.things), *rooms_of(settings.things)]

    def choices(self, text: str) -> dict[str, Meant]:
        """What a sentence may mean, by the command that says so; nothing where it names nothing, or too much."""
        targets = named(text, self._targets)
        found = {words: meant for row in self._rows for words, meant in commands_of(row, targets, numbers_of(text))}
        return found if len(found) <= CHOICES_MAX else {}


def things_of(things: Sequence[Thing]) -> Iterator[Target]:
    """Each by its name."""
    for each in things:
        yield Target(each.name, each.name, each.domain, {"name": each.name})


def rooms_of(things: Sequence[Thing]) -> Iterator[Target]:
    """All of a kind in each room."""
    for domain, area in dict.fromkeys((each.domain, each.area) for each in things):
        if area and domain in PLURALS:
            words = f"{PLURALS[domain]} in the {area}"
            yield Target(words, area, domain, {"area": area, "domain": domain}, is_room=True)


def named(text: str, targets: Sequence[Target]) -> list[Target]:
    """Those whose whole name is said; where there is none, the one of whose name the most is, if it is one alone."""
    said = words_of(text)
    shares = [len((own := words_of(each.name)) & said) / max(1, len(own)) for each in targets]
    if (most := max(shares, default=0)) == 0:
        return []
    found = [each for each, share in zip(targets, shares, strict=True) if share == most]
    return found if most == 1 or len(found) == 1 else []


def words_of(text: str) -> set[str]:
    """Without regard to case."""
    return set(re.findall(r"\w+", text.casefold()))


def numbers_of(text: str) -> list[int]:
    """That are said in digits, the first four."""
    return [int(each) for each in re.findall(r"(?<![\w.,])[0-9]{1,3}(?![\w,]|\.[0-9])", text)[:4]]


def commands_of(row: Row, targets: Sequence[Target], numbers: Sequence[int]) -> Iterator[tuple[str, Meant]]:
    """Of one row, about each target of its kinds, with each number that it may have."""
    for each in targets:
        if each.domain not in row.domains or (each.is_room and not row.is_of_rooms):
            continue
        if not row.slot:
            yield row.command.format(each.words), Meant(row.intent, {**each.slots})
        for number in numbers if row.slot else ():
            if number in row.range:
                words = row.command.replace("#", str(number)).format(each.words)
                yield words, Meant(row.intent, {**each.slots, row.slot: number})


def fields_of_choosing(text: str, choices: Sequence[str]) -> dict[str, Any]:
    """A request that has a sentence put as one of the choices, as docs/wire.md has its fields: greedy."""
    schema = {"name": "command", "schema": {"enum": [*choices, NONE]}}
    return {
        "messages": [*EXAMPLES, {"role": "user", "content": text}],
        "response_format": {"type": "json_schema", "json_schema": schema},
        "temperature": 0,
        "max_tokens": 96,
    }


def chosen(answer: str, choices: dict[str, Meant]) -> Meant | None:
    """What the model's answer means; None where it is `none`, or none of the choices."""
    try:
        said = json.loads(answer)
    except ValueError:
        return None
    return choices.get(said) if isinstance(said, str) else None
