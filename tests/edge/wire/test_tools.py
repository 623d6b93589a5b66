"""Functions that a model may call: told in its prompt, held to by a grammar, read from its answer."""

from __future__ import annotations

import json

import pytest

from edge.engine import Finished
from edge.errors import BadRequest, Cancelled
from edge.service.waiting import Waiting
from edge.wire.chat import validated
from edge.wire.request import Address, Request
from edge.wire.tools import called
from tests.clients import User
from tests.conftest import embedded_broker, serving

LIGHT = {
    "type": "function",
    "function": {
        "name": "set_light",
        "description": "Turn a light on or off.",
        "parameters": {
            "type": "object",
            "properties": {"room": {"enum": ["kitchen", "hall"]}, "on": {"type": "boolean"}},
            "required": ["room", "on"],
            "additionalProperties": False,
        },
    },
}


def test_a_model_is_told_of_its_tools_and_a_template_needs_no_role_for_them():
    """One system turn, the asker's own text first; calls and results of earlier turns are ordinary turns."""
    call = {"id": "call-1", "function": {"name": "set_light", "arguments": '{"room": "hall", "on": true}'}}
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Light, please."},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "name": "set_light", "content": "done"},
    ]
    system, *rest = validated({"messages": turns, "tools": [LIGHT]}).conversation()
    assert system["content"].startswith("Be brief.\n\nYou may call")
    assert "set_light" in system["content"]
    assert [turn["role"] for turn in rest] == ["user", "assistant", "user"]
    assert json.loads(rest[1]["content"]) == {"name": "set_light", "arguments": {"room": "hall", "on": True}}
    assert rest[2]["content"] == "Result of set_light: done"


def test_a_system_text_comes_before_a_systems_turn():
    """`system`, then what `messages` begins with, then the tools: one turn."""
    turns = [{"role": "system", "content": "B"}, {"role": "user", "content": "x"}]
    (system, _) = validated({"system": "A", "messages": turns, "tools": [LIGHT]}).conversation()
    assert system["content"].startswith("A\n\nB\n\nYou may call")


def test_a_choice_decides_what_is_offered():
    """`none` offers nothing, a name that one alone, `auto` leaves room for text, `required` does not."""
    other = {"type": "function", "function": {"name": "other"}}

    def guided(choice: object):
        return validated({"prompt": "x", "tools": [LIGHT, other], "tool_choice": choice}).guidance()

    assert guided("none") is None
    assert guided("auto")[1]
    assert not guided("required")[1]
    (only,) = guided({"type": "function", "function": {"name": "other"}})[0]["anyOf"]
    assert only["properties"]["name"] == {"const": "other"}


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "required"},
        {"tools": [LIGHT], "tool_choice": {"type": "function", "function": {"name": "absent"}}},
        {"tools": [{"type": "function", "function": {"name": "no spaces"}}]},
        {"tools": [LIGHT] * 33},
    ],
)
def test_tools_that_cannot_be_called_are_refused(fields):
    """A fault names what is wrong before a model is asked."""
    with pytest.raises(BadRequest, match="tool"):
        validated({"prompt": "x", **fields})


def test_an_answer_is_a_call_or_is_not():
    """A text, JSON of another kind and a call that was cut off are none."""
    assert called('{"name": "a", "arguments": {"x": 1}}', "c")[0]["function"] == {"name": "a", "arguments": '{"x": 1}'}
    for text in ("Hello", "{}", '{"name": "a", "argum', '{"name": "a", "arguments": [1]}'):
        assert called(text, "c") is None


def test_the_real_model_calls_and_may_answer_in_words(bundle, tmp_path):
    """Required, it calls within the schema; left free, it says where Paris lies."""
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path), User(port, "edge/test/reply/me") as user:
        user.wait_online()
        asked = {"tools": [LIGHT], "max_tokens": 60}
        request = {"prompt": "Turn on the kitchen light.", "id": "q1", "tool_choice": "required"}
        user.publish("edge/test/request/me", request | asked)
        reply = user.answer(name="q1")[1]
        assert reply["finish_reason"] == "tool_calls"
        (call,) = reply["tool_calls"]
        assert call["function"]["name"] == "set_light"
        assert json.loads(call["function"]["arguments"]) == {"room": "kitchen", "on": True}
        user.publish("edge/test/request/me", {"prompt": "What is the capital of France?", "id": "q2", **asked})
        reply = user.answer(name="q2")[1]
        assert (reply["code"], reply["finish_reason"], "tool_calls" in reply) == (200, "stop", False)
        assert "Paris" in reply["text"]


def test_a_call_that_was_cancelled_is_no_call():
    """An asker that stops an answer is told so, however far the model's call had come."""
    chat = validated({"prompt": "x", "tools": [LIGHT]})
    request = Request(Address("answers/me", "q"), chat)
    waiting = Waiting(1, request, 0.0, text=['{"name": "set_light", "arguments": {}}'], started=0.0)
    assert waiting.outcome(Finished("stop", 1, 1, 0.0, 0.0)).finish_reason == "tool_calls"
    waiting.ended_by = Cancelled("cancelled as asked")
    ended = waiting.outcome(Finished("cancelled", 1, 1, 0.0, 0.0))
    assert (ended.code, ended.finish_reason, ended.tool_calls) == (499, "cancelled", [])
