"""Bytes to text: marks, charsets and null characters, and what can be read of a message that is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import BadRequest, Unsupported
from edge.wire.fields import parse_fields
from edge.wire.message import Message
from edge.wire.request import address_of, parse_cancel, parse_request
from edge.wire.text import check_strings, decoded, glimpse
from edge.wire.topics import Topics

TOPICS = Topics("pi")
ASKED = {"prompt": "naïve 日本 🙂", "id": "q1", "response_topic": "answers/me"}
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


def request(payload: bytes, content_type: str | None = None):
    """A payload as a request."""
    return parse_request(Message("edge/pi/request/me", payload, content_type=content_type), TOPICS, 65536)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_in_every_encoding(encoding):
    """With its mark, or known by its first two characters."""
    asked = request(json.dumps(ASKED, ensure_ascii=False).encode(encoding))
    assert (asked.chat.prompt, asked.address.id, asked.address.topic) == ("naïve 日本 🙂", "q1", "answers/me")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_bare_text_in_every_encoding(encoding):
    """Nothing of its mark is in the prompt."""
    assert request("What is it?".encode(encoding)).chat.prompt == "What is it?"


CHARSETS = {"utf-8": "utf-8", "UTF-8": "utf-8", "iso-8859-1": "latin-1", "windows-1252": "cp1252", "utf-16": "utf-16"}


@pytest.mark.parametrize(("charset", "encoding"), CHARSETS.items())
def test_a_declared_charset_is_believed(charset, encoding):
    """In a content type's parameter, whatever its letters, for texts and for JSON."""
    text = "Grüße, naïve"
    assert request(text.encode(encoding), f"text/plain; charset={charset}").chat.prompt == text
    payload = json.dumps({"prompt": text}, ensure_ascii=False).encode(encoding)
    assert request(payload, f'application/json; charset="{charset}"').chat.prompt == text


def test_a_charset_that_is_not_read_is_named():
    """With those that are; bytes that are none of their charset are a wrong request."""
    with pytest.raises(Unsupported, match=r"koi8-r.*utf-8"):
        request(b"x", "text/plain; charset=koi8-r")
    with pytest.raises(BadRequest, match="not UTF-8"):
        request(b"\xff\xfd")
    with pytest.raises(BadRequest, match="not ASCII"):
        request("ü".encode(), "text/plain; charset=us-ascii")


@pytest.mark.parametrize("ends", [b"\0", b"\0\0", b"\0\0\0\0"])
def test_what_ends_a_c_string_is_no_part_of_it(ends):
    """One letter, a text, JSON, and the name of a cancel."""
    assert request(b"A" + ends).chat.prompt == "A"
    assert request(b"Hello" + ends).chat.prompt == "Hello"
    assert request(json.dumps(ASKED).encode() + ends).address.id == "q1"
    assert parse_cancel(Message("edge/pi/cancel/me", b"q1" + ends), TOPICS).name == b"q1"


@pytest.mark.parametrize(
    "payload",
    [
        b"before\0after",
        b'{"prompt": "before\\u0000after"}',
        b'{"messages": [{"role": "user", "content": [{"type": "text", "text": "b\\u0000"}]}]}',
        b'{"prompt": "x", "system": "\\u0000"}',
        b'{"prompt": "x", "stop": ["\\u0000"]}',
        b'{"prompt": "x", "id": "q\\u0000"}',
        b'{"prompt": "x", "\\u0000": 1}',
        b'{"prompt": "x", "response_format": {"type": "json_schema", "json_schema": {"schema": {"const": "\\u0000"}}}}',
    ],
)
def test_a_null_character_within_is_refused(payload):
    """Wherever it is: what follows it would be cut off in the tokenizer, and nobody told."""
    with pytest.raises(BadRequest, match="null character"):
        request(payload)


def test_what_is_wrong_in_a_string_is_told_by_its_place():
    """As pydantic tells places."""
    with pytest.raises(BadRequest) as raised:
        check_strings({"messages": [{"content": "x"}, {"content": "y\0"}]})
    assert raised.value.param == "messages.1.content"


def test_brackets_in_strings_are_no_nesting():
    """A log with colours, code that was cut off; nesting outside of strings counts as before."""
    for text in ("\x1b[31m" * 200, "{{{{[[[[" * 100, '"[' * 200, "\\[" * 200):
        assert request(json.dumps({"prompt": text}).encode()).chat.prompt == text
    for deep in ("[" * 33, '{"a":' * 33, '{"x": "]]]]", "a": ' + "[" * 33):
        with pytest.raises(BadRequest, match="nests deeper"):
            parse_fields(b'{"a": ' + deep.encode(), is_plain_text=False, says_json=False)


@pytest.mark.parametrize(
    "payload",
    [
        '{"id": "q1", "response_topic": "answers/me", "a": ' + "[" * 200,
        '{"messages": [{"tool_calls": [{"id": "other"}]}], "id": "q1", "response_topic": "answers/me", "a": nonsense}',
        '{"prompt": "say \\"id\\": \\"other\\"", "id": "q1", "response_topic": "answers/me", "temperature": 99',
        '{"prompt": "' + "x" * 100_000 + '", "id": "q1", "response_topic": "answers/me"}',
        '{"prompt": "a\\u0000b", "id": "q1", "response_topic": "answers/me"}',
        '\ufeff{"id": "q1", "response_topic": "answers/me", "prompt": 1}',
    ],
    ids=["too-deep", "broken-behind", "cut-off", "too-large", "null", "mark"],
)
def test_a_refused_message_is_answered_where_it_says(payload):
    """Whatever is wrong with it: under its id, on its topic, which are at the top of the object and nowhere else."""
    address = address_of(Message("edge/pi/request/me", payload.encode()), TOPICS)
    assert (address.id, address.topic) == ("q1", "answers/me")


@given(
    st.binary(max_size=300), st.sampled_from([None, "text/plain", "application/json; charset=utf-16", "x;charset=y"])
)
def test_any_bytes_are_text_or_refused(payload, content_type):
    """With a fault, never otherwise; what is text has no mark before it and no null character."""
    glimpse(payload, content_type, ("id",))
    try:
        text = decoded(payload, content_type)
    except (BadRequest, Unsupported):
        return
    assert "\0" not in text


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=8))
)
def test_a_glimpse_sees_what_json_sees(value):
    """Of a whole object, the strings at its top under the names that are looked for."""
    value = {**value, "id": "q", "other": {"id": "no"}}
    seen = glimpse(json.dumps(value).encode(), None, ("id", "other", "x"))
    assert seen == {name: value[name] for name in ("id", "other", "x") if isinstance(value.get(name), str)}
