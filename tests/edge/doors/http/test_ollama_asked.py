"""What is asked in Ollama's API as a request of the wire: passed, laid elsewhere, ignored with a word, or refused."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.doors.http import ollama_asked
from edge.doors.http.ollama_asked import Understood, asked_name, chat, generate
from edge.errors import BadRequest
from edge.wire.chat import validated
from tests.edge.doors.http.bodies import JSON

ABOUT = {"model": "smollm2", "context_length": 2048, "max_tokens_ceiling": None}
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0 and so on").decode()
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n and so on").decode()
GET_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    },
}


def asks(text: str = "Hello", **more: Any) -> Understood:
    """A body of one turn."""
    return chat({"model": "smollm2", "messages": [{"role": "user", "content": text}], **more}, ABOUT)


def test_a_chat_is_turns():
    """Roles in whatever letters, streamed unless said otherwise."""
    body = {"model": "smollm2", "messages": [{"role": "USER", "content": "Hello"}]}
    asked = chat(body, ABOUT)
    assert asked.fields == {
        "model": "smollm2",
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [],
        "stream": True,
    }
    assert (asked.is_streamed, asked.is_empty, asked.warnings) == (True, False, ())
    assert validated(asked.fields).messages[0].text() == "Hello"


def test_options_by_their_names_here():
    """Those that a board has; a seed of -1 and a length below 1 are Ollama's words for "any"."""
    options = {"temperature": 0.5, "top_k": 20, "top_p": 0.9, "min_p": 0.1, "repeat_penalty": 1.1, "stop": ["."]}
    asked = asks(options={**options, "seed": 7, "num_predict": 30})
    sampling = {"temperature": 0.5, "top_k": 20, "top_p": 0.9, "min_p": 0.1, "repetition_penalty": 1.1, "stop": ["."]}
    assert asked.fields.items() >= {**sampling, "seed": 7, "max_tokens": 30}.items()
    assert asked.warnings == ()
    assert validated(asked.fields).max_tokens == 30
    for nothing in (-1, -2, 0):
        asked = asks(options={"seed": -1, "num_predict": nothing, "presence_penalty": 0.0, "typical_p": 1.0})
        assert (asked.fields.get("seed"), asked.fields["max_tokens"], asked.warnings) == (None, 2048, ())
    bounded = chat({"model": "m", "options": {"num_predict": -1}}, {**ABOUT, "max_tokens_ceiling": 64})
    assert bounded.fields["max_tokens"] == 64


def test_what_is_ignored_is_told():
    """Options of another engine, a context larger than there is, a model that should go: a line each, and bounded."""
    options = {"num_gpu": 1, "mirostat": 2, "typical_p": 0.3, "num_ctx": 8192}
    asked = asks(options=options, keep_alive=0)
    assert asked.warnings == (
        "options.mirostat was ignored",
        "options.num_gpu was ignored",
        "options.typical_p was ignored",
        "options.num_ctx was ignored: the context has 2048 tokens",
        "keep_alive was ignored: the model stays loaded, as the board's operator has it",
    )
    for harmless in ({"options": {"num_ctx": 2048}}, {"keep_alive": -1}, {"keep_alive": "5m"}, {"think": False}):
        assert asks(**harmless).warnings == ()
    many = asks(options={f"option_{number}": 1 for number in range(100)}).warnings
    assert (len(many), many[-1]) == (17, "other options that were ignored: 84")
    assert asks(options=None, format=None, tools=None).warnings == ()


def test_fields_that_ollama_does_not_have_are_the_boards_own():
    """What programs say beside is passed on, where the wire knows it or tells that it does not."""
    asked = asks(documents="museum", keep=False, foo=1)
    assert (asked.fields["documents"], asked.fields["keep"]) == ("museum", False)
    assert validated(asked.fields).warnings == ("the field 'foo' is not known and was ignored",)
    within = chat({"model": "m", "messages": [{"role": "user", "content": "x", "mood": "good"}]}, ABOUT)
    assert within.warnings == ("the field 'messages.0.mood' is not known and was ignored",)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"think": True}, "think"),
        ({"think": "high"}, "think"),
        ({"format": "yaml"}, "format"),
        ({"format": ["json"]}, "format"),
        ({"options": []}, "options"),
        ({"options": {"num_ctx": "large"}}, "options.num_ctx"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": ["Hello"]}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": "x", "images": ["!"]}]}, "messages.0.images.0"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGVsbG8="]}]}, "messages.0.images.0"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages.0.tool_calls.0.function"),
        ({"tools": [5]}, "tools.0"),
        ({"stream": "yes"}, "stream"),
        ({"keep_alive": []}, "keep_alive"),
    ],
)
def test_what_is_wrong_in_a_chat_is_told_by_its_place(body, param):
    """As the asker wrote it."""
    with pytest.raises(BadRequest) as caught:
        asks(**body)
    assert caught.value.param is not None
    assert caught.value.param.split(".function-")[0].startswith(param)


@pytest.mark.parametrize(
    ("body", "param"), [({"raw": True}, "raw"), ({"suffix": "}"}, "suffix"), ({"context": [1]}, "context")]
)
def test_what_would_be_another_answer_is_refused(body, param):
    """Not quietly left out."""
    with pytest.raises(BadRequest) as caught:
        generate({"model": "m", "prompt": "x", **body}, ABOUT)
    assert caught.value.param == param


def test_a_prompt_and_its_pictures():
    """A prompt alone is one; with pictures it is a turn; a template of one's own is told to be ignored."""
    asked = generate({"model": "m", "prompt": "Hello", "system": "Be brief.", "template": "{{ .Prompt }}"}, ABOUT)
    assert asked.fields == {"model": "m", "prompt": "Hello", "system": "Be brief.", "stream": True}
    assert asked.warnings == ("template was ignored: the model's own is used",)
    seen = generate({"model": "m", "prompt": "What is it?", "images": [JPEG], "system": ""}, ABOUT)
    (turn,) = seen.fields["messages"]
    assert [part["type"] for part in turn["content"]] == ["image_url", "text"]
    assert turn["content"][0]["image_url"]["url"] == f"data:image/jpeg;base64,{JPEG}"
    assert "system" not in seen.fields
    assert len(validated(seen.fields).images()) == 1


def test_pictures_stand_where_the_text_says():
    """`[img]` is the next picture's place, those without one come first, and marks without a picture are text."""
    turn = {"role": "user", "content": "one [img] two [img]", "images": [JPEG, PNG, JPEG]}
    (said,) = chat({"model": "m", "messages": [turn]}, ABOUT).fields["messages"]
    assert [each.get("text", each["type"]) for each in said["content"]] == [
        "image_url",
        "one ",
        "image_url",
        " two ",
        "image_url",
    ]
    assert "image/jpeg" in said["content"][0]["image_url"]["url"]
    (said,) = chat({"model": "m", "messages": [{**turn, "images": [PNG]}]}, ABOUT).fields["messages"]
    assert [each.get("text", each["type"]) for each in said["content"]] == ["one ", "image_url", " two [img]"]


def test_formats():
    """Any JSON, or what a schema says."""
    assert asks(format="json").fields["response_format"] == {"type": "json_object"}
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    assert validated(asks(format=schema).fields).response_format.schema_of_answer() == schema
    assert "response_format" not in asks(format="").fields


def test_tools_take_the_arguments_that_they_list():
    """Ollama's form cannot say that others may not come, and a function would be called with what it has not."""
    (tool,) = asks(tools=[GET_WEATHER]).fields["tools"]
    assert tool["function"]["parameters"]["additionalProperties"] is False
    assert tool["function"]["parameters"]["required"] == ["city"]
    assert GET_WEATHER["function"]["parameters"].keys() == {"type", "required", "properties"}
    said = {"type": "object", "additionalProperties": True, "properties": None}
    (tool,) = asks(tools=[{"function": {"name": "f", "parameters": said}}]).fields["tools"]
    assert tool == {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "additionalProperties": True}},
    }


def test_calls_and_their_results():
    """Arguments as an object; a result is of the call that it names, or of the first that has none yet."""
    call = {"function": {"index": 0, "name": "light", "arguments": {"on": True}}}
    other = {"id": "call-2", "function": {"name": "door", "arguments": {}}}
    turns = [
        {"role": "user", "content": "It is dark."},
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call, other]},
        {"role": "tool", "content": "open", "tool_call_id": "call-2"},
        {"role": "tool", "content": "done"},
        {"role": "tool", "content": "again", "tool_name": "bell"},
        {"role": "tool", "content": "whose?"},
    ]
    asked = chat({"model": "m", "messages": turns}, ABOUT)
    assert asked.warnings == ()
    assert [turn.get("name") for turn in asked.fields["messages"][2:]] == ["door", "light", "bell", None]
    known = validated(asked.fields)
    assert known.warnings == ()
    assert known.messages[1].turn()["content"] == (
        '\n{"name": "light", "arguments": {"on": true}}\n{"name": "door", "arguments": {}}'
    )


@pytest.mark.parametrize(
    ("body", "is_unloaded"),
    [({}, False), ({"keep_alive": "5m"}, False), ({"keep_alive": 0}, True), ({"keep_alive": "0s"}, True)],
)
def test_who_asks_nothing_has_the_model_loaded_or_unloaded(body, is_unloaded):
    """By either way to ask."""
    for asked in (chat({"model": "m", **body}, ABOUT), generate({"model": "m", **body}, ABOUT)):
        assert (asked.is_empty, asked.is_unloaded) == (True, is_unloaded)


def test_a_field_of_the_wire_by_its_name_here():
    """So that what is wrong is told in the asker's words."""
    assert asked_name("repetition_penalty") == "options.repeat_penalty"
    assert asked_name("max_tokens") == "options.num_predict"
    assert asked_name("messages.0.content") == "messages.0.content"
    assert asked_name("messages.2.content.1.image_url.url") == "messages.2.images"
    assert asked_name("response_format") == "format"
    assert asked_name("stop.0") == "options.stop.0"


FIELDS = [*ollama_asked.Chat.model_fields, *ollama_asked.Generate.model_fields, "documents", "temperature"]


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_understood_or_refused(body):
    """Never anything else."""
    for understand in (chat, generate):
        with contextlib.suppress(BadRequest):
            assert understand({"model": "m", **body}, ABOUT).fields["model"]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (300, 300.0),
        (0, 0.0),
        (-1, -1.0),
        (1e300, 1e9),
        ("5m", 300.0),
        ("1h30m", 5400.0),
        ("1.5h", 5400.0),
        ("500ms", 0.5),
        ("60", 60.0),
        ("-1s", -1.0),
        ("+2s", 2.0),
        ("0", 0.0),
        *((wrong, None) for wrong in ("soon", "5 m", "m", "1e3s", "", "5m-", "٣s", True, [], {}, "9" * 400)),
    ],
)
def test_how_long_a_model_is_to_stay(said, seconds):
    """Seconds, or a duration as Go's `time.ParseDuration` reads it; anything else is refused by its name."""
    if seconds is not None:
        assert ollama_asked.seconds_of(said) == seconds
        return
    with pytest.raises(BadRequest, match="keep_alive"):
        ollama_asked.seconds_of(said)
