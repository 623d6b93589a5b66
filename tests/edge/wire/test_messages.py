"""What travels: every hostile payload becomes a Fault, every answer can be read back."""

from __future__ import annotations

import base64
import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from edge.errors import BadRequest, Fault, TooLarge, Unsupported
from edge.wire import chunks
from edge.wire.chat import ChatRequest
from edge.wire.message import Message
from edge.wire.reply import Outcome, refusal, terminal
from edge.wire.request import Request, address_of, parse_cancel, parse_request
from edge.wire.topics import Topics

TOPICS = Topics("pi")


def parse(payload: bytes | str | dict, limit: int = 65536, **properties) -> Request:
    """A payload on the request topic of the client `me`."""
    raw = json.dumps(payload) if isinstance(payload, dict) else payload
    data = raw if isinstance(raw, bytes) else raw.encode()
    return parse_request(Message("edge/pi/request/me", data, **properties), TOPICS, limit)


def test_a_bare_text_is_a_prompt():
    """`mosquitto_pub -m` is enough; the answer goes to the client's reply topic."""
    request = parse("What is E42?")
    assert request.chat.conversation() == [{"role": "user", "content": "What is E42?"}]
    assert request.address.topic == "edge/pi/reply/me"


def test_properties_and_payload_say_the_same():
    """MQTT 5's response topic and expiry are the payload's response_topic and deadline_ms."""
    five = parse(
        {"prompt": "x"}, response_topic="answers/me/b", message_expiry_interval=3, correlation_data=b"\xff\x01"
    )
    old = parse({"prompt": "x", "response_topic": "answers/me/b", "deadline_ms": 3000})
    assert (
        (five.address.topic, five.deadline_seconds) == (old.address.topic, old.deadline_seconds) == ("answers/me/b", 3)
    )
    assert five.address.id == "ff01"


def test_unknown_fields_are_named_and_ignored():
    """A newer client's field does not break it on an older board."""
    assert parse({"prompt": "x", "zebra": 1}).warnings == ("the field 'zebra' is not known and was ignored",)


@pytest.mark.parametrize(
    ("payload", "properties", "kind", "says"),
    [
        (b"\xff\xfd", {}, BadRequest, "not UTF-8"),
        ('{"prompt": ', {}, BadRequest, "not"),
        ("", {}, BadRequest, "empty"),
        ("{}", {}, BadRequest, "prompt or messages"),
        ({"prompt": "  "}, {}, BadRequest, "empty"),
        ({"prompt": 7}, {}, BadRequest, "prompt"),
        ({"prompt": "x", "temperature": "hot"}, {}, BadRequest, "temperature"),
        ({"prompt": "x", "max_tokens": -1}, {}, BadRequest, "max_tokens"),
        ({"prompt": "x", "max_tokens": True}, {}, BadRequest, "max_tokens"),
        ({"messages": [{"role": "robot", "content": "x"}]}, {}, BadRequest, "messages.0.role"),
        ({"prompt": "x", "response_format": {"type": "json_schema"}}, {}, BadRequest, "schema"),
        ({"prompt": "x", "response_topic": "answers/#"}, {}, BadRequest, "wildcards"),
        ({"prompt": "x"}, {"response_topic": "answers/+/b"}, BadRequest, "wildcards"),
        ({"prompt": "x"}, {"response_topic": "edge/pi/request"}, BadRequest, "own topics"),
        ({"prompt": "x"}, {"response_topic": "$SYS/x"}, BadRequest, "must begin with"),
        ("[" * 100_000, {"content_type": "application/json"}, TooLarge, "bytes"),
        ('{"prompt":' + "[" * 5000, {}, BadRequest, "nests deeper"),
        ('{"prompt": "x", "top_p": NaN}', {}, BadRequest, "NaN"),
        ('{"prompt": "\\ud800"}', {}, BadRequest, "surrogate"),
        ("x" * 70_000, {}, TooLarge, "70000"),
        ("x", {"content_type": "image/gif"}, Unsupported, "image/gif"),
        ("x", {"retain": True}, BadRequest, "retained"),
    ],
)
def test_bad_input_is_a_fault_that_says_why(payload, properties, kind, says):
    """Never a crash, never a silent guess; the message names the field or the figure."""
    with pytest.raises(kind, match=says):
        parse(payload, **properties)


def test_mutated_requests_never_crash():
    """20,000 seeded mutations of a whole request: each is understood or a Fault, and a Fault can be answered."""
    whole = json.dumps(
        {"messages": [{"role": "user", "content": "häh"}], "stop": ["a"], "seed": 1, "id": "q", "top_p": 0.5}
    ).encode()
    chance = random.Random(0)
    for _ in range(20_000):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(data))
            data[at : at + chance.randrange(3)] = bytes(chance.choices(b'{}[]":,\\u0e9\xff\x00', k=chance.randrange(3)))
        message = Message("edge/pi/request", bytes(data))
        fault = fault_of(message)
        if fault is not None:
            body = terminal(address_of(message, TOPICS), refusal(fault))
            assert json.loads(body.payload)["code"] == fault.code


TEXT = some.characters(exclude_categories=("Cs",), exclude_characters="\0")
"""What a text is made of: every character but the null and half pairs."""
ANY_JSON = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(some.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
URL = f"data:image/png;base64,{base64.b64encode(b'x' * 40).decode()}"
PART = some.one_of(
    some.text(TEXT, max_size=20).map(lambda text: {"type": "text", "text": text}),
    some.sampled_from(["low", "auto", "high"]).map(
        lambda detail: {"type": "image_url", "image_url": {"url": URL, "detail": detail}}
    ),
)
WORDS = some.text(TEXT, min_size=1, max_size=40).filter(str.strip)
TURN = some.one_of(
    some.builds(lambda text: {"role": "user", "content": text}, WORDS),
    some.builds(lambda text: {"role": "assistant", "content": text}, WORDS),
    some.builds(
        lambda parts, text: {"role": "user", "content": [*parts, {"type": "text", "text": text}]},
        some.lists(PART, max_size=3),
        WORDS,
    ),
)
VALID = some.fixed_dictionaries(
    {"messages": some.lists(TURN, min_size=1, max_size=5)},
    optional={
        "id": some.text(TEXT, min_size=1, max_size=40),
        "max_tokens": some.integers(1, 10_000),
        "temperature": some.floats(0, 2),
        "top_p": some.floats(0.01, 1),
        "top_k": some.integers(0, 100),
        "seed": some.integers(0, 2**31 - 1),
        "stop": some.lists(some.text(TEXT, min_size=1, max_size=9), max_size=4),
        "stream": some.booleans(),
        "priority": some.sampled_from(["high", "normal", "low"]),
        "deadline_ms": some.integers(1, 10**6),
    },
)


@given(VALID)
@settings(max_examples=300)
def test_every_valid_request_is_understood_as_it_was_meant(fields):
    """Whatever texts, pictures and options: turns in their order, each picture once, values unchanged."""
    request = parse_request(Message("edge/pi/request", json.dumps(fields).encode()), TOPICS, 1 << 20)
    assert request.warnings == ()
    turns = request.chat.conversation()
    assert [turn["role"] for turn in turns] == [turn["role"] for turn in fields["messages"]]
    shown = request.chat.pictures()
    told = "\n".join(turn["content"] for turn in turns)
    assert [told.count(picture.place) for picture in shown] == [1] * len(shown)
    assert [told.index(picture.place) for picture in shown] == sorted(told.index(picture.place) for picture in shown)
    given_parts = [part for turn in fields["messages"] if isinstance(turn["content"], list) for part in turn["content"]]
    assert len(shown) == sum(part["type"] == "image_url" for part in given_parts)
    for name in fields.keys() - {"messages", "id"}:
        assert getattr(request.chat, name) == fields[name]


@given(VALID, some.sampled_from([*ChatRequest.model_fields, "unknown"]), ANY_JSON)
@settings(max_examples=500)
def test_any_value_of_any_field_is_understood_or_told_by_name(fields, name, value):
    """A field of whatever JSON: a request, or a fault that can be answered."""
    message = Message("edge/pi/request/me", json.dumps({**fields, name: value}).encode(errors="surrogatepass"))
    fault = fault_of(message)
    address = address_of(message, TOPICS)
    outcome = refusal(fault) if fault else Outcome(200, "stop")
    assert json.loads(terminal(address, outcome).payload)["code"] in (200, 400, 413)


@given(some.binary(max_size=400), some.lists(some.tuples(some.text(max_size=9), some.text(max_size=20)), max_size=4))
@settings(max_examples=300)
def test_any_bytes_with_any_properties_are_understood_or_refused(payload, pairs):
    """As a text, as JSON, as a picture, as a chunk."""
    for kind in (None, "application/json", "text/plain", "image/png"):
        properties = (*pairs, ("edge-prompt", "x"), ("edge-max_crops", "nine"))
        fault_of(Message("edge/pi/request", payload, content_type=kind, user_properties=properties))
    with contextlib.suppress(Fault):
        chunks.parse_chunk(Message("edge/pi/chunk", payload, user_properties=tuple(pairs)), TOPICS, 1 << 20)


def fault_of(message: Message) -> Fault | None:
    """What is wrong with a request; anything but a Fault fails the test."""
    try:
        parse_request(message, TOPICS, 65536)
    except Fault as fault:
        return fault
    return None


def test_answers_say_everything_and_echo_the_correlation():
    """A terminal message has code, usage, timings and index; a fault's has its message and the field at fault."""
    address = parse({"prompt": "x", "id": "q"}, correlation_data=b"c").address
    good = terminal(address, Outcome(200, "stop", "Hi"))
    bad = terminal(address, refusal(BadRequest("wrong", "top_p")))
    assert (good.correlation_data, good.qos, good.content_type) == (b"c", 1, "application/json")
    assert json.loads(good.payload).keys() >= {"type", "id", "code", "finish_reason", "text", "usage", "timings"}
    assert json.loads(bad.payload)["error"] == {"message": "wrong", "param": "top_p", "retry_after": None}


@pytest.mark.parametrize("payload", [b"q1", b'{"id": "q1"}'])
def test_a_cancel_names_its_request(payload):
    """By the bare id, by a field, or by correlation data."""
    assert parse_cancel(Message("edge/pi/cancel/me", payload), TOPICS) == ("me", b"q1")
    assert parse_cancel(Message("edge/pi/cancel", b"", correlation_data=b"c"), TOPICS) == (None, b"c")
    with pytest.raises(BadRequest):
        parse_cancel(Message("edge/pi/cancel", b""), TOPICS)


@pytest.mark.parametrize("topic", ["edge/other/request", "edge/pi/request/a/b", "edge/pi/request/a b", "x"])
def test_topics_that_are_not_ours(topic):
    """A foreign topic, or a client name that is more than one plain level."""
    with pytest.raises(ValueError, match="not a topic of pi"):
        TOPICS.parse(topic)
