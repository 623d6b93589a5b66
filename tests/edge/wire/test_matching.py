"""Arguments held to a tool's schema, compared with the reference validator."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.wire.matching import closed, mismatch, whole

SCHEMAS = [
    {"enum": ["a", "b", 1, True, None]},
    {"const": 0},
    {"type": "boolean"},
    {"type": "integer", "minimum": -2, "maximum": 5},
    {"type": "number", "maximum": 1.5},
    {"type": "string", "minLength": 1, "maxLength": 3, "pattern": "^[ab]+$"},
    {"type": "string", "pattern": "a|b"},
    {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 2},
    {"type": "array"},
    {"type": "object"},
    {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]},
            "c": {"type": "array", "items": {"type": "array", "items": {"type": "boolean"}}},
        },
        "required": ["a"],
    },
]
LEAVES = st.none() | st.booleans() | st.integers(-4, 8) | st.sampled_from([0.5, 1.5, 2.5]) | st.text("ab\n", max_size=4)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=2000)
@given(schema=st.sampled_from(SCHEMAS), value=VALUES)
def test_a_value_matches_as_the_reference_says(schema, value):
    """Of the closed schema; but for a line's end, which Python's `$` lets through behind a text, and ours does not."""
    ours = closed(schema)
    why = mismatch(value, ours)
    is_right = jsonschema.Draft202012Validator(ours).is_valid(value)
    assert (why is None) == is_right or (isinstance(value, str) and value.endswith("\n") and why)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [("a|b", "^(?:a|b)$"), ("^a$", "^(?:a)$"), ("a\\$", "^(?:a\\$)$"), ("^(?:a)$", "^(?:(?:a))$")],
)
def test_a_pattern_is_about_the_whole_text(pattern, wanted):
    """However it is anchored."""
    assert whole(pattern) == wanted


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "a schema should be an object"),
        ({}, "say its type"),
        ({"type": ["string", "null"]}, "type should be one of"),
        ({"type": "string", "format": "uri"}, "format is not taken"),
        ({"type": "string", "pattern": "("}, "pattern:"),
        ({"type": "object", "additionalProperties": True}, "names its properties"),
        ({"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}]}}}, "a say its type"),
        ({"type": "array", "items": {"type": "text"}}, "items type should be"),
        ({"$ref": "#", "type": "object"}, "\\$ref is not taken"),
    ],
)
def test_what_is_open_is_refused(schema, said):
    """A schema of which we cannot tell ourselves whether something matches it."""
    with pytest.raises(ValueError, match=said):
        closed(schema)
