"""One rule for every field at every level: null, unknown names, numbers, other spellings, where something is wrong."""

from __future__ import annotations

import base64
import copy
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadRequest, Fault
from edge.wire.afterwards import Rated
from edge.wire.chat import SEEDS, ChatRequest, validated
from edge.wire.chunks import ChunkHead, parse_chunk
from edge.wire.fields import PictureProperties
from edge.wire.foreign import FOREIGN
from edge.wire.message import Message
from edge.wire.request import Request, parse_request
from edge.wire.shape import Shape
from edge.wire.topics import Topics
from tests.conftest import ROOT

TOPICS = Topics("pi")
URL = f"data:image/png;base64,{base64.b64encode(b'x' * 40).decode()}"
Path = tuple[str | int, ...]
OBJECT = {"type": "object", "properties": {"a": {"type": "string", "minLength": 1}}}
FULL: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "maker", "cache": "volatile"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:", "cache": "volatile"},
                {"type": "image_url", "image_url": {"url": URL, "detail": "low", "max_crops": 2}},
            ],
        },
        {
            "role": "assistant",
            "content": "Well.",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "a lamp", "tool_call_id": "c1", "name": "look"},
        {"role": "user", "content": "And now?"},
    ],
    "system": "Answer.",
    "model": "m",
    "max_tokens": 64,
    "max_completion_tokens": 64,
    "temperature": 1,
    "top_p": 1,
    "top_k": 40,
    "min_p": 0,
    "repetition_penalty": 1,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "logit_bias": {"7": 5},
    "min_tokens": 3,
    "stop_token_ids": [9],
    "scorers": ["polite"],
    "n": 1,
    "num_beams": 1,
    "length_penalty": 1,
    "early_stopping": False,
    "loop_guard": False,
    "logprobs": True,
    "top_logprobs": 3,
    "seed": 7,
    "stop": ["a", "b"],
    "stream": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"schema": OBJECT, "name": "n", "strict": True},
        "schema": OBJECT,
    },
    "tools": [
        {"type": "function", "function": {"name": "look", "description": "d", "parameters": OBJECT, "strict": False}}
    ],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "id": "q1",
    "response_topic": "answers/me",
    "deadline_ms": 5000,
    "priority": "low",
    "board_tools": ["lamp", "heat"],
    "documents": "museum",
    "keep": False,
    "upstream": True,
    "keep_alive_seconds": 60.5,
}
"""A request that says every field there is but `prompt`, which goes with no messages."""
FREE = {"schema", "parameters", "logit_bias"}
"""Fields whose inside is data."""


def parse(fields: dict[str, Any]) -> Request:
    """Through the bytes, as a request comes."""
    return parse_request(Message("edge/pi/request/me", json.dumps(fields).encode()), TOPICS, 65536)


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of a request with its path, the objects and lists among them."""
    yield path, value
    if path and path[-1] in FREE:
        return
    for key, each in value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()):
        yield from walk(each, (*path, key))


def changed(path: Path, value: Any, fields: dict[str, Any] = FULL) -> dict[str, Any]:
    """A request with one value another one."""
    fields = copy.deepcopy(fields)
    place: Any = fields
    for piece in path[:-1]:
        place = place[piece]
    place[path[-1]] = value
    return fields


def without(path: Path) -> dict[str, Any]:
    """A request without a field."""
    fields = changed(path, None)
    place: Any = fields
    for piece in path[:-1]:
        place = place[piece]
    del place[path[-1]]
    return fields


def verdict(fields: dict[str, Any]) -> tuple[Any, ...]:
    """What becomes of a request: how it is understood, or where it is wrong."""
    try:
        request = parse(fields)
    except BadRequest as fault:
        return fault.param, str(fault)
    told = re.sub(r"<\|picture \w+\|>", "<picture>", repr(request.chat.conversation()))
    return request.chat.model_dump(), told, request.chat.guidance(), request.warnings


def dotted(path: Path) -> str:
    """As `param` names it."""
    return ".".join(map(str, path))


EVERY = dict(walk(FULL))
FIELDS = [path for path in EVERY if path and isinstance(path[-1], str)]
NUMBERS = [path for path, value in EVERY.items() if isinstance(value, int) and not isinstance(value, bool)]
OBJECTS = [path for path, value in EVERY.items() if isinstance(value, dict) and (not path or path[-1] not in FREE)]
OTHERS = {"messages.3.name", "messages.2.content", "messages.2.tool_calls.0.id"}


def shapes(kind: type[Shape] = Shape) -> Iterator[type[Shape]]:
    """Everything in a request that follows the rule; the doors have shapes of their own."""
    for each in kind.__subclasses__():
        if each.__module__.startswith("edge.wire"):
            yield each
        yield from shapes(each)


def test_the_full_request_says_every_field():
    """So that what is shown here of each is shown of all; a new field must come in here."""
    said = {(path[-2] if isinstance(path[-1], int) else path[-1]) for path in EVERY if path}
    beside = {ChunkHead, PictureProperties, Rated}
    known = {field.alias or name for shape in set(shapes()) - beside for name, field in shape.model_fields.items()}
    assert known - said == {"prompt", "input", "encoding_format", "dimensions"}  # these are in test_embeddings.py
    assert parse(FULL).warnings == ()


@pytest.mark.parametrize("path", FIELDS, ids=dotted)
def test_null_is_as_good_as_not_said(path):
    """At every level: the same request, or the same complaint."""
    assert verdict(changed(path, None)) == verdict(without(path))


@pytest.mark.parametrize("path", OBJECTS, ids=dotted)
def test_a_name_that_is_not_known_is_ignored_and_told(path):
    """At every level, whatever it holds; null asks for nothing, and is not told."""
    plain = verdict(FULL)
    for value in (1, "x", {"a": [None]}, [1]):
        *understood, warnings = verdict(changed((*path, "zebra"), value))
        assert (*understood, ()) == plain
        assert warnings == (f"the field '{dotted((*path, 'zebra'))}' is not known and was ignored",)
    assert verdict(changed((*path, "zebra"), None)) == plain


def test_what_is_ignored_is_told_within_bounds():
    """A key in each of 256 turns, or one of a thousand letters, makes no long answer."""
    turns = [{"role": "user", "content": "x", "zebra": 1}] * 256
    warnings = parse({"messages": turns}).warnings
    assert len(warnings) == 17
    assert warnings[0].startswith("the field 'messages.0.zebra'")
    assert warnings[-1] == "other fields that are not known and were ignored: 240"
    (warning,) = parse({"prompt": "x", "z" * 1000: 1}).warnings
    assert len(warning) < 120


@pytest.mark.parametrize("path", NUMBERS, ids=dotted)
def test_a_number_is_one_however_it_is_written(path):
    """1, 1.0, 1e0 and 10e-1 in the bytes; a fraction is no integer, a text, a boolean and a list are no number."""
    value = EVERY[path]
    fields = json.dumps(changed(path, "HERE"))

    def written(text: str) -> tuple[Any, ...]:
        return verdict_of(fields.replace('"HERE"', text))

    for text in (f"{value}.0", f"{value}e0", f"{value * 10}e-1", f"{value}.000000000000000000000000000"):
        assert written(text) == verdict(FULL), text
    for text in (f'"{value}"', "true", f"[{value}]", "{}", '"x"'):
        param, says = written(text)
        assert (param, "should be a" in says) == (dotted(path), True), text
    for text in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" * 400, "9" * 5000, "-" + "9" * 100_000):
        param, says = written(text)
        assert param == dotted(path), text
        assert "finite" in says
        assert len(says) < 200
    if path[-1] not in (
        "temperature",
        "top_p",
        "min_p",
        "repetition_penalty",
        "presence_penalty",
        "frequency_penalty",
        "length_penalty",
        "7",
    ):
        assert written(f"{value}.5") == (dotted(path), f"{dotted(path)} should be an integer")


def verdict_of(text: str) -> tuple[Any, ...]:
    """As `verdict`, of a payload."""
    try:
        request = parse_request(Message("edge/pi/request/me", text.encode()), TOPICS, 1 << 20)
    except BadRequest as fault:
        return fault.param, str(fault)
    told = re.sub(r"<\|picture \w+\|>", "<picture>", repr(request.chat.conversation()))
    return request.chat.model_dump(), told, request.chat.guidance(), request.warnings


def test_numbers_without_an_end_take_no_time():
    """Eight million digits are refused in less than it takes to read eight million letters of a list of texts."""
    payload = b'{"prompt": "x", "seed": ' + b"7" * 8_000_000 + b"}"
    letters = json.dumps(["x"] * 1_600_000).encode()
    started = time.process_time()  # others' work does not count
    json.loads(letters)
    between = time.process_time()
    with pytest.raises(BadRequest, match="seed should be a number that is finite"):
        parse_request(Message("edge/pi/request", payload), TOPICS, 9_000_000)
    assert time.process_time() - between < 4 * (between - started)


WRONG: list[Any] = [True, 5, "text", [], [[]], {}, {"a": 1}, [None], 1.5]


@pytest.mark.parametrize("path", [path for path in EVERY if path], ids=dotted)
def test_what_is_wrong_is_told_by_its_place(path):
    """A value of another type at every level: never a place that is not in the request, never a word of pydantic's."""
    for value in WRONG:
        fields = changed(path, value)
        found = verdict(fields)
        if len(found) == 2:
            param, says = found
            assert param is not None
            assert is_in(param, fields), (param, value)
            assert says.startswith(param), says
            assert not re.search(r"pydantic|Input|valid |\[|function-|tag|Value error|instance", says), says


def is_in(param: str, fields: Any) -> bool:
    """Whether a request has a place, or all of it but the last name, which is what is missing then."""
    *before, last = param.split(".")
    for piece in before:
        fields = fields[int(piece)] if isinstance(fields, list) else fields[piece]
    return isinstance(fields, dict) or (isinstance(fields, list) and last.isdecimal() and int(last) < len(fields))


TURN = {"role": "user", "content": "x"}
LOOK = FULL["tools"][0]


def picture(url: str) -> dict[str, Any]:
    """A request with a picture in its last turn."""
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
    return {"messages": [TURN, {"role": "user", "content": parts}]}


CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": {"a": "é", "n": None}}}]}
PLACES = {
    "a-scheme": (picture("https://x/y.png"), "messages.1.content.1.image_url.url"),
    "a-type": (picture("data:image/gif;base64,AA"), "messages.1.content.1.image_url.url"),
    "no-base64": (picture("data:image/png,AA"), "messages.1.content.1.image_url.url"),
    "no-url": (
        changed(("messages", 1, "content", 1, "image_url"), {}, picture(URL)),
        "messages.1.content.1.image_url.url",
    ),
    "no-type": ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages.0.content.0.type"),
    "audio": ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages.0.content.0.type"),
    "role": ({"messages": [{**TURN, "role": "robot"}]}, "messages.0.role"),
    "no-role": ({"messages": [{"content": "x"}]}, "messages.0.role"),
    "no-content": ({"messages": [{"role": "user"}, TURN]}, "messages.0.content"),
    "content": ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    "no-picture-there": (
        {"messages": [{"role": "system", "content": picture(URL)["messages"][1]["content"]}, TURN]},
        "messages.0.content.1",
    ),
    "neither": ({}, "messages"),
    "none": ({"messages": []}, "messages"),
    "both": ({"prompt": "x", "messages": [TURN]}, "prompt"),
    "empty-prompt": ({"prompt": " "}, "prompt"),
    "empty-turn": ({"messages": [TURN, {"role": "user", "content": " "}]}, "messages.1.content"),
    "empty-beginning": ({"messages": [TURN, {"role": "assistant", "content": ""}]}, "messages.1.content"),
    "call-at-the-end": ({"messages": [TURN, CALL]}, "messages.1.tool_calls"),
    "arguments": (
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": [1]}}]}, TURN]},
        "messages.0.tool_calls.0.function.arguments",
    ),
    "stop": ({"prompt": "x", "stop": ""}, "stop"),
    "stop-1": ({"prompt": "x", "stop": ["a", ""]}, "stop.1"),
    "stop-null": ({"prompt": "x", "stop": [None]}, "stop.0"),
    "stop-number": ({"prompt": "x", "stop": 5}, "stop"),
    "lengths": ({"prompt": "x", "max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
    "length": ({"prompt": "x", "max_completion_tokens": 0}, "max_completion_tokens"),
    "seed-below": ({"prompt": "x", "seed": -(2**63) - 1}, "seed"),
    "seed-above": ({"prompt": "x", "seed": 2**64}, "seed"),
    "choice": ({"prompt": "x", "tools": [LOOK], "tool_choice": "some"}, "tool_choice"),
    "choice-number": ({"prompt": "x", "tools": [LOOK], "tool_choice": 5}, "tool_choice"),
    "choice-kind": (
        {"prompt": "x", "tools": [LOOK], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}},
        "tool_choice.type",
    ),
    "choice-name": (
        {"prompt": "x", "tools": [LOOK], "tool_choice": {"type": "function", "function": {"name": "absent"}}},
        "tool_choice.function.name",
    ),
    "choice-without": ({"prompt": "x", "tool_choice": "required"}, "tool_choice"),
    "tool-kind": ({"prompt": "x", "tools": [{"type": "custom"}]}, "tools.0.type"),
    "no-schema": ({"prompt": "x", "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    "no-schema-within": (
        {"prompt": "x", "response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
        "response_format.json_schema.schema",
    ),
    "two-schemas": (
        {"prompt": "x", "response_format": {"type": "json_object", "schema": {}, "json_schema": {"schema": OBJECT}}},
        "response_format.schema",
    ),
    "text-with-schema": (
        {"prompt": "x", "response_format": {"type": "text", "schema": OBJECT}},
        "response_format.type",
    ),
    "null-character": ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages.0.content"),
    "name-with-null": ({"prompt": "x", "a\0b": 1}, None),
}


@pytest.mark.parametrize("kind", PLACES)
def test_these_are_told_where_they_are(kind):
    """What pydantic has other names for, and what is wrong because of another field."""
    fields, place = PLACES[kind]
    with pytest.raises(BadRequest) as raised:
        parse(fields)
    assert raised.value.param == place


def test_other_spellings_are_the_same():
    """`max_completion_tokens`, `developer`, arguments as an object, one stop string, letters of a media type."""
    assert validated({"prompt": "x", "max_completion_tokens": 9}).max_tokens == 9
    assert validated({"prompt": "x", "max_completion_tokens": 9, "max_tokens": 9.0}).max_tokens == 9
    assert validated({"prompt": "x", "stop": "a"}).stop == ["a"]
    turns = [{"role": "developer", "content": "A"}, TURN, {"role": "developer", "content": "B"}, CALL, TURN]
    said = validated({"messages": turns, "tools": [LOOK]}).conversation()
    assert [turn["role"] for turn in said] == ["system", "user", "system", "assistant", "user"]
    assert said[3]["content"] == '{"name": "look", "arguments": {"a": "é", "n": null}}'
    for kind in ("image/JPEG", "image/jpg", "IMAGE/Jpg", "image/jpeg;name=a", "image/WebP"):
        assert validated(picture(f"DATA:{kind};BASE64,QUJD")).pictures()[0].data == "QUJD"
        message = Message("edge/pi/request", b"x", content_type=kind, user_properties=(("edge-prompt", "y"),))
        (shown,) = parse_request(message, TOPICS, 9).chat.pictures()
        assert base64.b64decode(shown.data) == b"x"


def test_a_result_may_be_empty():
    """Many functions have nothing to say."""
    turns = [TURN, CALL, {"role": "tool", "name": "look", "content": ""}]
    assert parse({"messages": turns}).chat.conversation()[-1] == {"role": "user", "content": "Result of look: "}


def test_null_content_beside_calls_is_what_the_api_sends():
    """An assistant's turn with nothing but calls, every other field null, as OpenAI's library gives it back."""
    turn = {**CALL, "content": None, "refusal": None, "audio": None, "function_call": None, "name": None}
    request = parse({"messages": [TURN, turn, {"role": "tool", "tool_call_id": "c", "content": "1"}]})
    assert request.warnings == ()
    assert request.chat.conversation()[1]["content"].startswith('{"name": "look"')


@given(st.integers(-(2**63), 2**64 - 1))
def test_any_seed_of_64_bits_is_taken(seed):
    """With a sign or without; the same one always gives the engine the same, small ones themselves."""
    dice = parse({"prompt": "x", "seed": seed}).chat.dice
    assert dice is not None
    assert 0 <= dice < 2**31
    assert dice == parse({"prompt": "x", "seed": seed}).chat.dice
    if 0 <= seed < SEEDS:
        assert dice == seed


def test_seeds_that_differ_in_their_upper_bits_stay_apart():
    """What programs make from a clock or a hash; -1 is a seed, none is none."""
    seeds = [-1, 0, *(2**power for power in range(31, 64)), -(2**63)]
    assert len({validated({"prompt": "x", "seed": seed}).dice for seed in [-1, 0, 2**31, 2**32 + 1, 2**33]}) == 5
    assert all(validated({"prompt": "x", "seed": seed}).dice is not None for seed in seeds)
    assert validated({"prompt": "x"}).dice is validated({"prompt": "x", "seed": None}).dice is None


@pytest.mark.parametrize(
    "given_format",
    [
        {"type": "json_object", "schema": OBJECT},
        {"type": "json_schema", "schema": OBJECT},
        {"type": "json_schema", "json_schema": {"schema": OBJECT}},
        {"type": "json_object", "json_schema": {"schema": OBJECT}},
        {"type": "json_schema", "schema": OBJECT, "json_schema": {"schema": OBJECT}},
    ],
)
def test_a_schema_is_honoured_wherever_it_is(given_format):
    """As OpenAI has it, as llama.cpp's server has it; beside tools an answer in its form is one that may come."""
    fields = {"prompt": "x", "response_format": given_format}
    assert validated(fields).guidance() == (OBJECT, False)
    schema, may_be_text = validated({**fields, "tools": [LOOK]}).guidance()
    assert (schema["anyOf"][-1], len(schema["anyOf"]), may_be_text) == (OBJECT, 2, False)
    assert len(validated({**fields, "tools": [LOOK], "tool_choice": "required"}).guidance()[0]["anyOf"]) == 1


# --- user properties ---


def with_picture(**properties: str) -> Request:
    """A picture as the payload, and what stands beside it."""
    pairs = tuple((f"edge-{name}", value) for name, value in {"prompt": "x", **properties}.items())
    return parse_request(Message("edge/pi/request", b"x", content_type="image/png", user_properties=pairs), TOPICS, 9)


@pytest.mark.parametrize("text", ["5", "5.0", "5e0", "50e-1"])
def test_user_properties_are_numbers_by_the_same_rule(text):
    """They are texts by nature."""
    request = with_picture(max_tokens=text, max_crops=text)
    assert (request.chat.max_tokens, request.chat.pictures()[0].crops_max) == (5, 5)


@pytest.mark.parametrize("text", ["5.5", "x", "", " 5", "0x5", "５", "true", "NaN", "1e999", "9" * 5000, "-1", "05"])
@pytest.mark.parametrize("name", ["max_tokens", "max_crops"])
def test_user_properties_that_are_no_numbers_are_told_by_their_name(name, text):
    """As they are written: with the prefix."""
    with pytest.raises(BadRequest) as raised:
        with_picture(**{name: text})
    assert raised.value.param == f"edge-{name}"


def test_user_properties_that_are_not_known_are_told():
    """As in JSON; one of another prefix is somebody else's."""
    assert with_picture(temperature="0.5").warnings == ("the field 'edge-temperature' is not known and was ignored",)


@pytest.mark.parametrize(
    "properties",
    [
        {"detail": "lowest"},
        {"id": ""},
        {"max_completion_tokens": "0"},
        {"max_completion_tokens": "4", "max_tokens": "5"},
    ],
)
def test_a_user_property_that_is_wrong_is_told_by_its_name(properties):
    """Values, and what does not go together."""
    with pytest.raises(BadRequest) as raised:
        with_picture(**properties)
    assert raised.value.param == f"edge-{next(iter(properties))}"
    assert with_picture(max_completion_tokens="4", max_tokens="4.0").chat.max_tokens == 4


def test_a_chunk_is_read_by_the_same_rule():
    """Numbers of user properties are texts, those of JSON are not; what is not known does not matter."""
    head = {"upload": "7", "count": 1, "total": 1, "sha256": "0" * 64}

    def in_json(**more: Any) -> Any:
        payload = json.dumps({**head, "data": "QQ==", **more}).encode()
        return parse_chunk(Message("edge/pi/chunk", payload), TOPICS, 1 << 20)

    def in_properties(**more: str) -> Any:
        pairs = tuple((f"edge-{name}", str(value)) for name, value in {**head, **more}.items())
        return parse_chunk(Message("edge/pi/chunk", b"A", user_properties=pairs), TOPICS, 1 << 20)

    assert in_json(index=0, zebra=1).data == in_json(index=0.0).data == in_properties(index="0").data == b"A"
    for make, place in ((lambda: in_json(index="0"), "index"), (lambda: in_properties(index="x"), "edge-index")):
        with pytest.raises(BadRequest) as raised:
            make()
        assert raised.value.param == place


# --- the OpenAI API's fields ---

API = {
    *("messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
    *("max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls"),
    *("prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"),
    *("reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream"),
    *("stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity"),
    "web_search_options",
}
"""`CompletionCreateParams` of OpenAI's Python library, 3.57."""
ROW = re.compile(r"^\| `(\w+)` \| (ignored|refused|taken)\b.*? \| (.*?) ?\|$", re.MULTILINE)
TABLE = ROW.findall((ROOT / "docs/wire.md").read_text(encoding="utf-8").partition("other fields.**")[2])


def test_every_field_of_the_api_is_decided():
    """Ours, or in the page's table; nothing else is there."""
    names = [name for name, _, _ in TABLE]
    assert sorted(names) == sorted(FOREIGN) == sorted(API - set(ChatRequest.model_fields))


@pytest.mark.parametrize(("name", "fate", "silent"), TABLE, ids=[name for name, _, _ in TABLE])
def test_the_pages_table_is_what_happens(name, fate, silent):
    """What is taken in silence is; anything else is ignored with a warning or refused by its name, as the page says."""
    values = [json.loads(each) for each in re.findall(r"`([^`]+)`", silent)]
    for value in [*values, None]:
        assert parse({"prompt": "x", name: value}).warnings == ()
    for value in [2, "x", {"a": 1}, ["x"], "1"]:
        if fate == "refused":
            with pytest.raises(BadRequest) as raised:
                parse({"prompt": "x", name: value})
            assert raised.value.param == name
        else:
            assert parse({"prompt": "x", name: value}).warnings[0].startswith(f"the field '{name}' ")


def test_a_boolean_is_no_number_there_either():
    """Python takes true for 1."""
    with pytest.raises(Fault):
        parse({"prompt": "x", "n": True})
    assert parse({"prompt": "x", "n": 1.0}).warnings == ()
