"""What is asked in OpenAI's Responses API as a request of the wire, and each event of its answer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.doors.http.asking import Waits
from edge.doors.http.errors import Refused
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
    text = {"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}
    given = [
        {"role": "user", "content": "It is dark."},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]},
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


def events(*steps: Callable[[Response], Iterable[bytes]], **request: Any) -> list[dict[str, Any]]:
    """Those of a stream, read back."""
    response = Response("resp-1", understood({"input": "x", **request}), ABOUT)
    sent = b"".join(chunk for step in steps for chunk in step(response)).decode()
    lines = [each.partition("\n") for each in sent.removesuffix("\n\n").split("\n\n")]
    told = [(name, json.loads(body.removeprefix("data: "))) for name, _, body in lines if not name.startswith(":")]
    assert all(name == f"event: {event['type']}" for name, event in told)
    return [event for _, event in told]


def said(text: str) -> Callable[[Response], Iterable[bytes]]:
    """A piece of the answer."""
    return lambda response: response.piece(text)


def ended(**changes: Any) -> Callable[[Response], Iterable[bytes]]:
    """The answer's end."""
    return lambda response: response.end({**REPLY, **changes})


def waits(response: Response) -> Iterable[bytes]:
    """It is in the queue."""
    return response.waits(Waits(2, 5.0))


def kinds(told: list[dict[str, Any]]) -> list[str]:
    """Their types without what they have in common, after a look at their numbers."""
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    return [event["type"].removeprefix("response.") for event in told]


OPENED = ["output_item.added", "content_part.added"]
CLOSED = ["output_text.done", "content_part.done", "output_item.done"]


def test_the_events_of_a_text():
    """Created, in progress, the item, its part, its pieces, and all of it closed again."""
    told = events(said("Hello"), said(" world"), ended())
    deltas = ["output_text.delta"] * 2
    assert kinds(told) == ["created", "in_progress", *OPENED, *deltas, *CLOSED, "completed"]
    last = told[-1]["response"]
    assert last["output"][0]["id"] == told[2]["item"]["id"]
    assert last["output"][0]["content"][0]["text"] == "Hello world"
    assert last["id"] == told[0]["response"]["id"] == "resp-1"
    assert (told[0]["response"]["status"], last["status"], last["store"]) == ("in_progress", "completed", False)
    assert (last["usage"]["total_tokens"], last["usage"]["input_tokens_details"]["cached_tokens"]) == (49, 30)


def test_the_events_of_one_that_waits():
    """It is queued, once, and in progress when its first piece comes; a silence is a comment."""
    told = events(waits, waits, lambda response: response.waits(None), said("Hello world"), ended())
    assert kinds(told)[:4] == ["created", "queued", "in_progress", "output_item.added"]
    assert told[0]["response"]["status"] == "queued"


def test_the_events_of_a_call():
    """It is told when it is whole, and no piece of it as text; what only looked like one is text."""
    function = {"name": "light", "arguments": '{"on": true}'}
    call = {"id": "call-1", "type": "function", "function": function}
    last = ended(finish_reason="tool_calls", text='{"name": "l', tool_calls=[call])
    told = events(said('{"name"'), said(': "l'), last, tools=[FUNCTION])
    arguments = ["function_call_arguments.delta", "function_call_arguments.done"]
    assert kinds(told) == ["created", "in_progress", OPENED[0], *arguments, "output_item.done", "completed"]
    assert told[-1]["response"]["output"][0].items() >= {"call_id": "call-1", **function}.items()
    cut = events(said('{"na'), ended(finish_reason="length", text='{"na'), tools=[FUNCTION])
    assert [event["delta"] for event in cut if event["type"].endswith("text.delta")] == ['{"na']


@pytest.mark.parametrize("reason", ["length", "loop"])
def test_the_events_of_one_that_was_cut_off_and_of_an_empty_one(reason):
    """The one is incomplete; the other is a message without words."""
    told = events(said("Hello world"), ended(finish_reason=reason))
    assert kinds(told)[-1] == "incomplete"
    assert told[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert told[-1]["response"]["edge"]["finish_reason"] == reason
    assert kinds(events(ended(text=""))) == [
        "created",
        "in_progress",
        *OPENED,
        "output_text.delta",
        *CLOSED,
        "completed",
    ]


def test_the_event_of_a_failure():
    """It is the last, and says why, in the asker's words."""
    told = events(said("Hello"), lambda response: response.broken(Refused(500, "the engine failed")))
    assert kinds(told)[-1] == "failed"
    assert told[-1]["response"]["error"] == {"code": "server_error", "message": "the engine failed"}
    told = events(waits, lambda response: response.broken(Refused(400, "max_tokens is wrong", "max_tokens")))
    assert told[-1]["response"]["error"]["message"] == "max_output_tokens is wrong"


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(list(Create.model_fields)), JSON))
def test_any_json_is_understood_or_refused(body):
    """Never anything else."""
    with contextlib.suppress(BadRequest):
        assert understood(body).fields["messages"] is not None
