"""Messages that mean harm, or come from a program that is wrong: seeded, so that a failure comes again."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

VALID: dict[str, Any] = {
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is E42? Ünïcödé 🎉"}],
    "max_tokens": 16,
    "temperature": 0.7,
    "top_p": 0.9,
    "seed": 3,
    "stop": ["\n"],
    "stream": False,
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    "deadline_ms": 5000,
    "priority": "low",
    "id": "q",
}
STRANGE: list[Any] = [
    *(None, True, -1, 0, 10**400, 1e308, -0.0, "", " ", "\x00", "\ud800", "a" * 70_000, [], {}, [[]], {"a": {"a": {}}}),
    *([0] * 3000, {"role": "user"}, {"type": "json_schema"}, "edge/test/request", "homeassistant/x", "#", "$SYS/x"),
]
"""What a field may turn into."""


@dataclass(frozen=True)
class Hostile:
    """A payload with MQTT 5 properties by paho's names."""

    payload: bytes
    properties: dict[str, Any] = field(default_factory=dict)
    retain: bool = False


def hostile(count: int, seed: int = 0) -> Iterator[Hostile]:
    """So many, of all kinds in turn."""
    chance = random.Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](chance)


def changed_field(chance: random.Random) -> Hostile:
    """A field of another type or value, or one too many."""
    name = chance.choice([*VALID, "prompt", "system", "model", "top_k", "response_topic", "tools", "x" * 300])
    value = chance.choice(STRANGE)
    return Hostile(json.dumps({**VALID, name: value}).encode())


def changed_bytes(chance: random.Random) -> Hostile:
    """Some bytes of a valid one turned, cut out or doubled."""
    data = bytearray(json.dumps(VALID, ensure_ascii=False).encode())
    for _ in range(chance.randrange(1, 9)):
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return Hostile(bytes(data))


def random_bytes(chance: random.Random) -> Hostile:
    """Nothing at all."""
    return Hostile(chance.randbytes(chance.randrange(0, 400)))


def deep(chance: random.Random) -> Hostile:
    """Brackets that would take a recursive parser down."""
    depth = chance.choice([33, 1000, 100_000])
    opening, closing = chance.choice([("[", "]"), ('{"a":', "}")])
    return Hostile(f'{{"prompt": {opening * depth}1{closing * depth}}}'.encode())


def numbers(chance: random.Random) -> Hostile:
    """Numbers that take quadratic time, overflow, or are none."""
    number = chance.choice(
        ["9" * 100_000, "1e999999", "-" + "9" * 5000, "NaN", "Infinity", "0x10", "01", "1." + "3" * 9999]
    )
    name = chance.choice(["max_tokens", "temperature", "seed", "deadline_ms", "unknown"])
    return Hostile(f'{{"prompt": "x", "{name}": {number}}}'.encode())


def large(chance: random.Random) -> Hostile:
    """Longer than is read, or many keys, or one key a thousand times."""
    kind = chance.randrange(3)
    if kind == 0:
        return Hostile(b'{"prompt": "' + b"x" * 270_000 + b'"}')
    keys = (f'"k{number if kind == 1 else 0}": {number}' for number in range(5000))
    return Hostile(f'{{"prompt": "x", {", ".join(keys)}}}'.encode())


def properties(chance: random.Random) -> Hostile:
    """A valid prompt in a foreign envelope."""
    data = json.dumps({"prompt": "x", "stream": False}).encode()
    return Hostile(
        data,
        chance.choice(
            [
                {"ContentType": "image/png"},
                {"ContentType": "text/plain"},
                {"ContentType": "x" * 1000},
                {"ResponseTopic": "homeassistant/device/x/config"},
                {"ResponseTopic": "edge/test/request/me"},
                {"ResponseTopic": "edge/other/cancel"},
                {"ResponseTopic": "a" * 5000},
                {"CorrelationData": chance.randbytes(2000)},
                {"UserProperty": [("edge-type", "reply")] * 50},
                {"MessageExpiryInterval": 1},
            ]
        ),
    )


def retained(chance: random.Random) -> Hostile:
    """One that the broker will hand to every daemon that connects."""
    return Hostile(f'{{"prompt": "retained {chance.randrange(99)}", "stream": false}}'.encode(), retain=True)


def looped(chance: random.Random) -> Hostile:
    """What a daemon itself publishes, on the topic that it listens to."""
    kind = chance.choice(["delta", "reply", "queued"])
    return Hostile(json.dumps({"type": kind, "id": "q", "code": 200, "text": "x", "index": 0}).encode())


KINDS: list[Callable[[random.Random], Hostile]] = [
    changed_field,
    changed_bytes,
    random_bytes,
    deep,
    numbers,
    large,
    properties,
    retained,
    looped,
]
