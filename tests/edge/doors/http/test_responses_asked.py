"""What is asked in OpenAI's Responses API as a request of the wire, and each event of its answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.doors.http.responses_asked import Create, understood
from edge.doors.http.responses_told import Response
from edge.errors import BadRequest
from edge.wire.chat import validated
from tests.edge.doors.http.bodies import JSON, REPLY

ABOUT = {"model": "smollm2", "sampling": {"temperature": 0.0, "top_p": 1.0}}
PICTURE = "data:image/jpeg;base64,/9j/4A=="
FUNCTION = {"type": "function", "name": "light", "parameters": {"type": "object"}, "strict": None, "description": None}


def test_a_text_and_a_list():
    """A text is one turn of the user; instructions come before it; names of the chat API's are those of the wire."""
    asked = understood({"input": "Hello", "instructions": "Be brief.", "max_output_tokens": 5, "temperature": 0.5})
    known = validated(asked.fields)
    assert (known.messages[0].role, known.messages[0].text(), known.system) == ("user", "Hello", "Be brief.")
    assert (known.max_tokens, known.temperature, known.stream, known.warnings) == (5, 0.5, False, ())
    parts = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": PICTURE, "detail": "low"}]
    turns = [{"role": "developer", "content": "Short."}, {"role": "user", "content": parts, "type": "message"}]
    known = validated(understood({"input": turns}).fields)
    assert [turn.role for turn in known.messages] == ["developer", "user"]
    assert known.images()[0].image_url.detail == "low"


def test_an_answer_of_before_its_calls_and_their_results():
    """What `output` had goes back as it came; thoughts and ids of it are nothing that a board reads."""
    said = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    given = [
        {"role": "user", "content": "It is dark."},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [said]},
        {"type": "function_call", "id": "fc_1", "call_id": "call-1", "name": "light", "arguments": '{"on": true}'},
        {"type": "function_call_output", "call_id": "call-1", "output": "done"},
    ]
    asked = understood({"input": given})
    known = validated(asked.fields)
    assert (asked.warnings, known.warnings) == ((), ())
    assert [turn.turn()["content"] for turn in known.messages] == [
        "It is dark.",
        'I look.\n{"name": "light", "arguments": {"on": true}}',
        "Result of light: done",
    ]


def test_tools_and_formats():
    """Functions alone, chosen by name or word; a schema is where this API has it."""
    choice = {"type": "function", "name": "light"}
    known = validated(understood({"input": "x", "tools": [FUNCTION], "tool_choice": choice}).fields)
    assert (known.tools[0].function.name, known.offered_tools()[0].function.name) == ("light", "light")
    schema = {"type": "object", "properties": {}}
    text = {"format": {"type": "json_schema", "name": "answer", "schema": schema, "strict": True}}
    assert validated(understood({"input": "x", "text": text}).fields).response_format.schema_of_answer() == schema
    known = validated(understood({"input": "x", "text": {"format": {"type": "json_object"}}}).fields)
    assert known.response_format.schema_of_answer() == {"type": "object"}


def test_what_is_ignored_is_told():
    """By the door what is this API's, by the wire what is the chat API's, too."""
    asked = understood(
        {"input": "x", "store": True, "truncation": "auto", "include": ["web_search_call.results"], "user": "me"}
        | {"reasoning": {"effort": "high"}, "text": {"verbosity": "low"}, "max_tool_calls": 3}
    )
    assert asked.warnings == (
        "store was ignored: answers are not kept here",
        "truncation was ignored: what is longer than the context is refused",
        "max_tool_calls was ignored: an answer has one call at most",
        "include 'web_search_call.results' was ignored",
    )
    told = validated(asked.fields).warnings
    assert [line.split("'")[1] for line in told] == ["reasoning_effort", "user", "verbosity"]
    quiet = {"store": False, "background": False, "include": ["reasoning.encrypted_content"], "metadata": {"a": "b"}}
    asked = understood({"input": "x", "stream_options": {"include_obfuscation": False}, **quiet})
    assert (asked.warnings, validated(asked.fields).warnings, asked.said["metadata"]) == ((), (), {"a": "b"})


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"messages": []}, "messages"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "file_search"}}, "tool_choice.type"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0.type"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, "input.0.content.0"),
        ({"input": [{"role": "user", "content": ["Hello"]}]}, "input.0.content.0"),
    ],
)
def test_what_cannot_be_is_refused_by_its_place(body, param):
    """Whatever refers to an earlier answer, what a service would run by itself, and what is wrong."""
    with pytest.raises(BadRequest) as caught:
        understood({"input": "x", **body})
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


@pytest.mark.parametrize(
    ("body", "param", "place"),
    [
        ({"max_output_tokens": 0}, "max_tokens", "max_output_tokens"),
        (
            {"input": [{"role": "user", "content": "x"}, {"role": "robot", "content": "y"}]},
            "messages.1.role",
            "input.1.role",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://x"}]}]},
            "messages.0.content.0.image_url.url",
            "input.0.content.0.image_url",
        ),
        ({"tools": [{**FUNCTION, "name": "a b"}]}, "tools.0.function.name", "tools.0.name"),
        ({"text": {"format": {"type": "json_schema", "schema": {"type": "x"}}}}, "response_format", "text.format"),
    ],
)
def test_what_the_wire_finds_wrong_is_told_in_the_askers_words(body, param, place):
    """By the place that it has in this API's request."""
    asked = understood({"input": "x", **body})
    with pytest.raises(BadRequest) as caught:
        validated(asked.fields)
    assert caught.value.param == param
    assert asked.asked_name(param) == place


def events(*steps: tuple[str, ...], reply: dict[str, Any] | None = None, rest: str = "") -> list[dict[str, Any]]:
    """Those of a stream."""
    response = Response(understood({"input": "x"}), ABOUT)
    told = [event for name, *words in steps for event in getattr(response, name)(*words)]
    return told if reply is None else [*told, *response.end(reply, rest)]


def kinds(told: list[dict[str, Any]]) -> list[str]:
    """Their types without what they have in common, after a look at their numbers."""
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return [event["type"].removeprefix("response.") for event in told]


OPENED = ["output_item.added", "content_part.added"]
CLOSED = ["output_text.done", "content_part.done", "output_item.done"]


def test_the_events_of_a_text():
    """Created, in progress, the item, its part, its pieces, and all of it closed again."""
    told = events(("piece", "Hello"), ("piece", " world"), reply=REPLY)
    deltas = ["output_text.delta"] * 2
    assert kinds(told) == ["created", "in_progress", *OPENED, *deltas, *CLOSED, "completed"]
    assert told[-1]["response"]["output"][0]["id"] == told[2]["item"]["id"]
    assert told[-1]["response"]["output"][0]["content"][0]["text"] == "Hello world"
    assert told[-1]["response"]["id"] == told[0]["response"]["id"]
    assert (told[0]["response"]["status"], told[-1]["response"]["store"]) == ("in_progress", False)


def test_the_events_of_one_that_waits():
    """It is queued, once, and in progress when its first piece comes."""
    told = events(("queued",), ("queued",), ("piece", "Hello"), reply=REPLY, rest=" world")
    assert kinds(told)[:4] == ["created", "queued", "in_progress", "output_item.added"]
    assert told[0]["response"]["status"] == "queued"


def test_the_events_of_a_call_of_an_answer_without_words_and_of_one_that_was_cut_off():
    """A call has its own; an empty answer is an empty message; one that was too long is incomplete."""
    call = {"id": "call-1", "type": "function", "function": {"name": "light", "arguments": '{"on": true}'}}
    told = events(reply=REPLY | {"finish_reason": "tool_calls", "tool_calls": [call]}, rest='{"name"')
    arguments = ["function_call_arguments.delta", "function_call_arguments.done"]
    assert kinds(told) == ["created", "in_progress", OPENED[0], *arguments, "output_item.done", "completed"]
    assert told[-1]["response"]["output"][0]["call_id"] == "call-1"
    assert kinds(events(reply=REPLY | {"text": ""}))[2:5] == [*OPENED, "output_text.delta"]
    cut = events(("piece", "Hello world"), reply=REPLY | {"finish_reason": "length"})
    assert kinds(cut)[-1] == "incomplete"
    assert cut[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_the_event_of_a_failure():
    """It is the last, and says why."""
    error = {"message": "the engine failed", "param": None, "retry_after": None}
    told = events(("piece", "Hello"), ("failed", error, 500))
    assert kinds(told)[-1] == "failed"
    assert told[-1]["response"]["error"]["code"] == "server_error"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(list(Create.model_fields)), JSON))
def test_any_json_is_understood_or_refused(body):
    """Never anything else."""
    try:
        asked = understood(body)
    except BadRequest as fault:
        assert fault.message
    else:
        assert asked.fields["messages"] is not None
