"""Sentences that Assist's door is asked, before the default model: how many become what they mean, and how many can be.

`benchmarks/assist_sentences.tsv` has them, with what each is to have Home Assistant do. What is asked is what the door
asks (`edge/doors/assist/intents.py`), over MQTT.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benchmarks.figure import Figure
from edge.config import Assist, Thing
from edge.doors.assist.intents import NONE, Intents, Meant, chosen, fields_of_choosing
from tests.clients import User
from tests.conftest import embedded_broker, serving

SENTENCES = Path(__file__).with_name("assist_sentences.tsv")
HOUSE = Assist(
    intents=["HassTurnOn", "HassTurnOff", "HassLightSet", "HassClimateSetTemperature"],
    things=[
        Thing(name="Porch lantern", domain="light", area="Porch"),
        Thing(name="Reading lamp", domain="light", area="Study"),
        Thing(name="Chandelier", domain="light", area="Dining room"),
        Thing(name="Kettle", domain="switch", area="Pantry"),
        Thing(name="Bathroom fan", domain="fan", area="Bathroom"),
        Thing(name="TV", domain="media_player", area="Study"),
        Thing(name="Skylight shade", domain="cover", area="Attic"),
        Thing(name="Patio awning", domain="cover", area="Patio"),
        Thing(name="Radiator", domain="climate", area="Study"),
    ],
)


class Found(NamedTuple):
    """Of one sentence: what it means, what it became, whether that can be, and how long it took."""

    text: str
    wanted: Meant | None
    meant: Meant | None
    is_valid: bool
    seconds: float


def measure(bundle: Path) -> list[Figure]:
    """Of commands and of what is none, each once, in an order that a seed gives."""
    with tempfile.TemporaryDirectory() as folder:
        found = asked(bundle, Path(folder))
    for each in found:
        if each.meant != each.wanted:
            print(f"  {each.text}: {each.meant}, not {each.wanted}", file=sys.stderr, flush=True)
    commands, others = [each for each in found if each.wanted], [each for each in found if not each.wanted]
    mistaken = sum(each.meant is not None and each.meant != each.wanted for each in found)
    seconds = statistics.median(each.seconds for each in found if each.seconds)
    return [
        Figure("assist_intents_valid", share(each.is_valid for each in found), "of 1", "==", 1),
        Figure("assist_intents_right", share(each.meant == each.wanted for each in commands), "of 1", ">=", 0.7),
        Figure("assist_intents_left_alone", share(each.meant is None for each in others), "of 1", ">=", 0.9),
        Figure("assist_intents_mistaken", mistaken, f"of {len(found)}", "<=", 4),
        Figure("assist_intents_seconds", round(seconds, 2), "s", "<=", 2),
    ]


def share(which: Iterable[bool]) -> float:
    """Of those that are."""
    found = [*which]
    return round(sum(found) / len(found), 3)


def asked(bundle: Path, folder: Path) -> list[Found]:
    """Every sentence, one after another."""
    lines = [each.split("\t") for each in SENTENCES.read_text().splitlines() if not each.startswith("#")]
    random.Random(0).shuffle(lines)
    with embedded_broker(folder) as port, User(port, "edge/test/reply/me") as user, serving(bundle, port, folder):
        user.wait_online("test", 300)
        return [of(user, text, wanted(parts)) for text, *parts in lines]


def wanted(parts: list[str]) -> Meant | None:
    """As the file has it."""
    if not parts:
        return None
    slots = dict(each.split("=") for each in parts[1:])
    return Meant(parts[0], {name: int(value) if value.isdigit() else value for name, value in slots.items()})


def of(user: User, text: str, meaning: Meant | None) -> Found:
    """One sentence; what names nothing is not asked."""
    choices = Intents(HOUSE).choices(text)
    if not choices:
        return Found(text, meaning, None, True, 0.0)
    began = time.monotonic()
    user.publish("edge/test/request/me", {**fields_of_choosing(text, [*choices]), "stream": False})
    body = user.answer()[1]
    meant = chosen(body["text"], choices)
    is_valid = meant is not None or (body["code"] == 200 and json.loads(body["text"]) == NONE)
    return Found(text, meaning, meant, is_valid, time.monotonic() - began)
