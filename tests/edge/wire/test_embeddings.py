"""What may be asked for vectors, and how they are told."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from edge.errors import BadRequest, Fault, NotFound, TooLarge
from edge.wire.chat import validated
from edge.wire.embeddings import TEXTS_MAX, check, numbers, written
from edge.wire.message import packet_bytes
from edge.wire.reply import Outcome, fitted, terminal
from edge.wire.request import Address


def packed(*values: float) -> str:
    """A vector as it crosses."""
    return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()


@pytest.mark.parametrize(("given", "texts"), [("a", ["a"]), (["a", "", "b"], ["a", "", "b"]), ("", [""])])
def test_a_text_is_a_list_of_one(given, texts):
    """And an empty one is a text."""
    asked = validated({"input": given})
    assert (asked.input, asked.encoding_format, asked.warnings) == (texts, "float", ())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [1, 2, 3]}, "input"),
        ({"input": [[1, 2], [3]]}, "input"),
        ({"input": [None]}, "input.0"),
        ({"input": {"text": "a"}}, "input"),
        ({"input": ["a"] * (TEXTS_MAX + 1)}, "input"),
        ({"input": "a", "prompt": "b"}, "prompt"),
        ({"input": "a", "messages": [{"role": "user", "content": "b"}]}, "messages"),
        ({"input": "a", "system": "b"}, "system"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_cannot_be_is_told_by_its_place(fields, param):
    """Tokens of another model's, none, too many, or something to answer beside them."""
    with pytest.raises(BadRequest) as fault:
        validated(fields)
    assert fault.value.param == param


def test_what_says_nothing_is_told():
    """A field for answers beside texts, and one for vectors beside a prompt."""
    beside = validated({"input": "a", "max_tokens": 5, "temperature": 0, "keep": False, "user": "me"})
    assert [line.split("'")[1] for line in beside.warnings] == ["user", "max_tokens", "temperature"]
    assert [line.split("'")[1] for line in validated({"prompt": "a", "dimensions": 5}).warnings] == ["dimensions"]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, None),
        ({"model": "minilm", "dimensions": 384}, None),
        ({"model": "other"}, NotFound),
        ({"dimensions": 128}, BadRequest),
        ({"input": ["a"] * 171}, TooLarge),
        ({"input": ["a"] * 170}, None),
        ({"input": ["a"] * 2048, "encoding_format": "base64"}, None),
    ],
)
def test_what_the_board_makes(fields: dict[str, Any], kind: type[Fault] | None):
    """Its model's vectors in its length, as many as a reply has room for."""
    asked = validated({"input": "a", **fields})
    if kind is None:
        check(asked, asked.model, "minilm", 384)
        return
    with pytest.raises(kind):
        check(asked, asked.model, "minilm", 384)


def test_numbers_are_the_same_float32_again():
    """Each of them, and in few digits."""
    values = [1 / 3, -0.1, 2**-140, 1.0, 0.0]
    told = numbers(packed(*values))
    assert packed(*told) == packed(*values)
    assert json.dumps(told[0]) == "0.333333343"
    assert written({"vectors": ["x"]}, "base64") == {"vectors": ["x"]}


def test_vectors_that_no_broker_takes_are_an_error():
    """Nothing else has had them; a larger packet has them."""
    made = {"model": "minilm", "dimensions": 2, "vectors": [packed(0.6, 0.8)] * 500}
    whole = terminal(Address("edge/pi/reply", "q"), Outcome(200, "stop", embeddings=made))
    assert fitted(whole, packet_bytes(whole)) is whole
    body = json.loads(fitted(whole, 1000).payload)
    assert (body["code"], body["finish_reason"], body["error"]["param"]) == (413, "error", "input")
    assert "embeddings" not in body
