"""JSON schemas: what nothing can match and what no grammar can hold to is told before a model is asked."""

from __future__ import annotations

import contextlib
import json
import random
import time
from typing import Any

import numpy as np
import pytest

from edge.bundle import read_manifest
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.guidance import Guide, Vocabulary
from edge.errors import BadRequest, EngineFailed
from edge.wire.chat import validated
from edge.wire.schema import FORMATS, UNSUPPORTED

TEXT: dict[str, Any] = {"type": "string"}
CLOSED: dict[str, Any] = {"type": "object", "additionalProperties": False}
IMPOSSIBLE: dict[str, Any] = {
    "false": False,
    "no-value": {"enum": []},
    "no-type": {"type": []},
    "a-negative-length": {"type": "string", "maxLength": -1},
    "lengths": {"type": "string", "minLength": 5, "maxLength": 2},
    "bounds": {"type": "number", "minimum": 5, "maximum": 2},
    "bounds-left-out": {"type": "number", "exclusiveMinimum": 2, "maximum": 2},
    "no-integer-between": {"type": "integer", "minimum": 1.2, "maximum": 1.8},
    "items": {"type": "array", "minItems": 3, "maxItems": 1},
    "no-item": {"type": "array", "items": False, "minItems": 1},
    "no-first-item": {"type": "array", "prefixItems": [{"enum": []}], "minItems": 1},
    "properties": {"type": "object", "minProperties": 3, "maxProperties": 1},
    "too-few-properties": {**CLOSED, "properties": {}, "minProperties": 1},
    "too-many-required": {"type": "object", "required": ["a", "b"], "maxProperties": 1},
    "required-and-closed": {**CLOSED, "required": ["x"], "properties": {}},
    "required-and-false": {"type": "object", "properties": {"x": False}, "required": ["x"]},
    "required-within": {**CLOSED, "properties": {"a": {**CLOSED, "required": ["b"]}}, "required": ["a"]},
    "other-properties": {"type": "object", "additionalProperties": {"enum": []}, "required": ["q"]},
    "types": {"allOf": [TEXT, {"type": "number"}]},
    "enum-of-another-type": {"type": "string", "enum": [1, 2]},
    "enum-too-long": {"enum": ["abc"], "maxLength": 2},
    "no-integer": {"type": "integer", "enum": [1.5]},
    "const-and-enum": {"const": 1, "enum": [2, True]},
    "none-of-any": {"anyOf": []},
    "none-of-one": {"oneOf": [False, {"enum": []}]},
    "each-for-itself": {"type": ["string", "array"], "minLength": 2, "maxLength": 1, "items": False, "minItems": 1},
    "not": {"not": {}},
    "itself": {"$ref": "#"},
    "itself-within": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "to-and-fro": {
        "$ref": "#/$defs/a",
        "$defs": {
            "a": {"type": "array", "items": {"$ref": "#/$defs/b"}, "minItems": 1},
            "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]},
        },
    },
}
MALFORMED: dict[str, Any] = {
    "type": {"type": "text"},
    "type-number": {"type": 5},
    "length-text": {"type": "string", "minLength": "5"},
    "length-half": {"type": "string", "minLength": 1.5},
    "properties-list": {"type": "object", "properties": []},
    "property-null": {"type": "object", "properties": {"a": None}},
    "required-text": {"type": "object", "required": "x"},
    "multiple": {"type": "integer", "multipleOf": 0},
    "enum-text": {"enum": "ab"},
    "any-object": {"anyOf": {}},
    "nowhere": {"$ref": "#/$defs/b"},
    "format": {"type": "string", "format": "nonsense"},
    "deep": {"type": "array", "items": {"anyOf": [TEXT, {"uniqueItems": True}]}},
    **{name: {name: {}} for name in UNSUPPORTED},
}
FINE: dict[str, Any] = {
    "true": True,
    "any": {},
    "other-kinds": {"type": ["string", "null"], "minLength": 5, "maxLength": 2},
    "another-way": {"anyOf": [{"enum": []}, {"enum": [1]}]},
    "optional": {**CLOSED, "properties": {"x": False, "y": {"type": "integer"}}, "required": ["y"]},
    "empty-list": {"type": "array", "items": False},
    "whole-numbers": {"type": "string", "minLength": 2.0, "maxLength": 3e0},
    "one-integer": {"type": "integer", "minimum": 1.2, "maximum": 2},
    "draft-4": {"type": "number", "minimum": 1, "exclusiveMinimum": True},
    "tree": {
        "$ref": "#/$defs/t",
        "$defs": {"t": {"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]}},
    },
    "chain": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/c"}, "c": TEXT}},
    "escaped": {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": TEXT}},
    "unused": {"type": "string", "$defs": {"a": {"not": {}}}},
    "data": {"const": {"not": 1, "type": 5}},
    "unknown": {"type": "string", "nullable": True, "x-order": 1},
    **{name: {"type": "string", "format": name} for name in FORMATS},
}
EVERY = IMPOSSIBLE | MALFORMED


def answers(schema: Any) -> dict[str, Any]:
    """A request for an answer of a schema."""
    return {"prompt": "x", "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}


@pytest.mark.parametrize("kind", EVERY)
def test_what_cannot_be_followed_is_refused(kind):
    """By its field, for an answer, for a tool's arguments and within a schema that is fine."""
    within = {"type": "object", "properties": {"a": {"type": "array", "items": EVERY[kind], "minItems": 1}}}
    schemas = [EVERY[kind]] if "$ref" in json.dumps(EVERY[kind]) else [EVERY[kind], {**within, "required": ["a"]}]
    for schema in schemas:
        with pytest.raises(BadRequest, match="cannot be followed") as raised:
            validated(answers(schema))
        assert raised.value.param == "response_format"
        tools = [{"type": "function", "function": {"name": name}} for name in ("a", "b")]
        tools[1]["function"]["parameters"] = schema  # type: ignore[index]
        with pytest.raises(BadRequest) as raised:
            validated({"prompt": "x", "tools": tools})
        assert raised.value.param == "tools.1.function.parameters"
        assert validated({"prompt": "x", "tools": tools, "tool_choice": "none"}).guidance() is None


@pytest.mark.parametrize("kind", FINE)
def test_what_can_be_followed_is_taken_and_the_compiler_takes_it_too(kind, vocabulary):
    """Nothing is refused that a grammar could hold to; the first token of each can be chosen."""
    schema, _ = validated(answers(FINE[kind])).guidance()
    assert vocabulary.guide(schema, may_be_text=False).allowed().any()


@pytest.fixture(scope="module")
def vocabulary(bundle) -> Vocabulary:
    """The default model's."""
    manifest = read_manifest(bundle)
    return Vocabulary(bundle, manifest.vocab_size, manifest.stop_token_ids)


@pytest.mark.parametrize("kind", EVERY)
def test_the_compiler_would_not_have_followed_it_either(kind, vocabulary):
    """What is refused here without asking it: it refuses as well, or its grammar ends where no JSON does."""
    schema = EVERY[kind]
    if kind in ("false", "property-null"):
        return
    try:
        guide = vocabulary.guide(schema, may_be_text=False)
        for _ in range(9):
            (allowed,) = np.nonzero(guide.allowed())
            if guide.take(int(allowed[-1])):
                break
    except (BadRequest, EngineFailed):
        return
    assert kind in ("itself-within", "to-and-fro"), kind


def test_where_it_is_wrong_is_told():
    """The place within the schema, in a line."""
    schema = {"type": "object", "properties": {"a": {"items": {"minLength": 3, "maxLength": 1, "type": "string"}}}}
    schema = {**schema, "required": ["a"]}
    schema["properties"]["a"] |= {"type": "array", "minItems": 1}  # type: ignore[index]
    with pytest.raises(BadRequest, match=r"properties\.a\.items\.0: minLength is 3, maxLength is 1"):
        validated(answers(schema))
    with pytest.raises(BadRequest, match=r"properties\.b\.anyOf\.1: not is not supported"):
        validated(answers({"properties": {"b": {"anyOf": [{}, {"not": {}}]}}}))


def test_a_tools_arguments_are_an_object():
    """A call has no others; a schema that leaves more is narrowed, one that leaves none is refused."""
    for parameters in ({"type": "string"}, {"enum": [1]}, {"type": ["null", "array"]}):
        with pytest.raises(BadRequest, match="let an object match") as raised:
            validated(
                {"prompt": "x", "tools": [{"type": "function", "function": {"name": "a", "parameters": parameters}}]}
            )
        assert raised.value.param == "tools.0.function.parameters"
    for parameters in ({}, True, {"type": ["object", "null"]}):
        asked = {"prompt": "x", "tools": [{"type": "function", "function": {"name": "a", "parameters": parameters}}]}
        (call,) = validated(asked).guidance()[0]["anyOf"]
        assert call["properties"]["arguments"]["type"] == "object"


def test_references_of_each_tool_are_its_own(vocabulary, bundle):
    """As libraries write them that make schemas from classes; beside an answer's schema with the same names."""
    tools = [
        {"type": "function", "function": {"name": name, "parameters": referring(value)}}
        for name, value in (("f", 7), ("g", 8))
    ]
    schema, may_be_text = validated({**answers(referring(9)), "tools": tools}).guidance()
    tokenizer = Tokenizer(bundle, read_manifest(bundle))
    said = {drawn(vocabulary.guide(schema, may_be_text), tokenizer, random.Random(seed)) for seed in range(60)}
    assert said == {'{"name":"f","arguments":{"a":7}}', '{"name":"g","arguments":{"a":8}}', '{"a":9}'}


def referring(value: int) -> dict[str, Any]:
    """A schema of one value, named elsewhere in it."""
    return {
        **CLOSED,
        "properties": {"a": {"$ref": "#/$defs/x"}},
        "required": ["a"],
        "$defs": {"x": {"enum": [value]}},
    }


def drawn(guide: Guide, tokenizer: Tokenizer, chance: random.Random) -> str:
    """One of the answers that may be."""
    said: list[int] = []
    while not said or not guide.take(said[-1]):
        said.append(int(chance.choice(np.flatnonzero(guide.allowed()))))
    return tokenizer.text(said)


def test_a_schema_of_any_size_is_looked_at_in_bounded_time():
    """References in the worst order take no longer than so many rounds; more schemas than may be are refused."""
    some, many = (took(worst(count)) for count in (60, 1_200))
    assert many < 60 * some + 0.1
    with pytest.raises(BadRequest, match="more than 4000 schemas"):
        validated(answers({"anyOf": [{"type": "null"}] * 4001}))


def worst(count: int) -> dict[str, Any]:
    """Schemas that refer to each other so that a round finds out about few of them."""
    after = {f"{number}": f"{number + 1 if number % 2 else max(0, number - 3)}" for number in range(count)}
    named = {name: {"allOf": [{"$ref": f"#/$defs/{each}"}]} for name, each in after.items() if each in after}
    ends = {name: TEXT for name in after if name not in named}
    return answers({"anyOf": [{"$ref": f"#/$defs/{name}"} for name in after], "$defs": named | ends})


def took(fields: dict[str, Any]) -> float:
    """Seconds until such a request is understood or refused."""
    started = time.perf_counter()
    with contextlib.suppress(BadRequest):
        validated(fields)
    return time.perf_counter() - started
