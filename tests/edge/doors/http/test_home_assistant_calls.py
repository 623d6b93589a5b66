"""What Home Assistant's own `llama_cpp` integration (2026.11) sends, and what it takes from the answers.

Its code needs Home Assistant; here are its calls of the `openai` client, in their order, and its way to read a stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, AsyncStream, Omit
from openai.types.chat import ChatCompletionChunk

from edge.errors import Unsupported
from edge.testing.inside import MemoryInside
from edge.wire.chat import validated
from tests.edge.doors.http.doors import SAID, bodies, door, fault

CALL = {"id": "call-1", "type": "function", "function": {"name": "HassTurnOff", "arguments": '{"name": "hall"}'}}
CALLED = '{"name":"HassTurnOff","arguments":{"name":"hall"}}'
TRIED: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What is the capital of France?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "test_function",
                "description": "Test function.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ],
    "max_tokens": 3,
}
"""With which it tries a server when it is set up."""
TURN_OFF = {
    "type": "function",
    "function": {
        "name": "HassTurnOff",
        "description": "Turns off a device",
        "parameters": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "domain": {"type": "array", "items": {"type": "string"}}},
            "required": [],
        },
    },
}
ASKED: dict[str, Any] = {"max_tokens": 3000, "top_p": 1.0, "temperature": 0.7, "user": "01K", "response_format": Omit()}
"""What it says with each request, as its recommended settings have it."""
TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "You are a voice assistant for Home Assistant."},
    {"role": "user", "content": "Turn the hall off"},
]
LOCAL_KEY = "sk-0000000000000000000"
"""What it sends where its user gave no key."""


async def read(stream: AsyncStream[ChatCompletionChunk]) -> AsyncIterator[dict[str, Any]]:
    """The role, pieces of text, and a call once it is whole: its first choice up to its finish_reason, no more."""
    call: dict[str, Any] | None = None
    has_role = False
    async for chunk in stream:
        if not chunk.choices:
            continue
        delta = chunk.choices[0].delta
        if call is None and not delta.tool_calls:
            said = {} if delta.content is None else {"content": delta.content}
            if not has_role and delta.role == "assistant":
                said, has_role = {"role": "assistant", **said}, True
            if said:
                yield said
        elif delta.tool_calls and (function := delta.tool_calls[0].function):
            if call is None:
                call = {"id": delta.tool_calls[0].id, "name": function.name, "arguments": function.arguments or ""}
            else:
                call["arguments"] += function.arguments or ""
        if chunk.choices[0].finish_reason:
            if call:
                yield {"call": {**call, "arguments": json.loads(call["arguments"])}}
            return


def run(inside: MemoryInside, work: Any, **http: Any) -> Any:
    """What some work with a client of a door comes to."""

    async def within(address: str) -> Any:
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key=LOCAL_KEY, timeout=20) as client:
            return await work(client)

    with door(inside, **http) as address:
        return asyncio.run(within(address))


def test_it_is_set_up():
    """Models are listed, and a completion with a tool is tried, whole and as a stream."""

    async def work(client: AsyncOpenAI) -> list[str]:
        page = await client.with_options(timeout=10.0).models.list()
        names = [model.id async for model in page]
        for stream in (False, True):
            result = await client.chat.completions.create(model=names[0], stream=stream, **TRIED)
            if stream:
                assert [each async for each in result][-1].choices[0].finish_reason == "length"
        return names

    inside = MemoryInside(bodies("The", "The", finish_reason="length"))
    assert run(inside, work) == ["small"]
    assert [validated(dict(asked.fields)).warnings for asked in inside.asked] == [(), ()]


def test_its_default_model_may_be_another_name_of_ours():
    """Older entries have `gpt-3.5-turbo` in them."""

    async def work(client: AsyncOpenAI) -> Any:
        return await client.chat.completions.create(model="gpt-3.5-turbo", stream=False, **TRIED)

    assert run(MemoryInside(bodies()), work, aliases=["gpt-3.5-turbo"]).choices[0].message.content == SAID


def test_a_lamp_is_turned_off():
    """A call is made, its result goes back, the answer comes word by word."""
    inside = MemoryInside(bodies(CALLED, CALLED[:9], CALLED[9:], finish_reason="tool_calls", tool_calls=[CALL]))

    async def work(client: AsyncOpenAI) -> list[dict[str, Any]]:
        async def turn(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
            more = {"model": "small", "messages": messages, "tools": [TURN_OFF], "stream": True}
            return [each async for each in read(await client.chat.completions.create(**more, **ASKED))]

        role, called = await turn(TURNS)
        assert role == {"role": "assistant"}
        assert called == {"call": {"id": "call-1", "name": "HassTurnOff", "arguments": {"name": "hall"}}}
        inside.told = bodies(SAID, "All lamps", " are off.")
        result = {"role": "tool", "tool_call_id": "call-1", "content": '{"data": {"success": true}, "error": null}'}
        return await turn([*TURNS, {"role": "assistant", "content": None, "tool_calls": [CALL]}, result])

    said = run(inside, work)
    assert said == [{"role": "assistant"}, {"content": "All lamps"}, {"content": " are off."}]
    chat = validated(dict(inside.asked[1].fields))
    assert chat.conversation()[-1]["content"].startswith("Result of HassTurnOff: ")
    assert chat.warnings == ("the field 'user' is not known and was ignored",)


def test_it_asks_for_data():
    """A task with a structure is a JSON schema; an answer that is whole is read as JSON."""
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}
    form = {"type": "json_schema", "json_schema": {"name": "lamps", "strict": True, "schema": schema}}
    inside = MemoryInside(bodies('{"count": 3}'))

    async def work(client: AsyncOpenAI) -> Any:
        asked = {**ASKED, "response_format": form}
        return await client.chat.completions.create(model="small", messages=TURNS, tools=Omit(), stream=False, **asked)

    assert json.loads(run(inside, work).choices[0].message.content) == {"count": 3}
    assert validated(dict(inside.asked[0].fields)).response_format.schema_of_answer() == schema


def test_a_picture_that_the_model_does_not_see():
    """It is an error that the integration shows, with our words."""
    url = {"url": "data:image/jpeg;base64,/9j/4AAQ", "detail": "auto"}
    parts = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": url}]
    inside = MemoryInside(fault(Unsupported("small reads text alone, no pictures", "messages")))

    async def work(client: AsyncOpenAI) -> None:
        messages: Any = [{"role": "user", "content": parts}]
        with pytest.raises(openai.APIStatusError) as raised:
            await client.chat.completions.create(model="small", messages=messages, stream=False, **ASKED)
        assert raised.value.response.json()["error"]["message"] == "small reads text alone, no pictures"

    run(inside, work)
    assert len(validated(dict(inside.asked[0].fields)).images()) == 1


def test_a_key_that_is_wrong_asks_for_another():
    """The integration has its user type it again where it gets 401."""

    async def work(client: AsyncOpenAI) -> None:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()

    run(MemoryInside(), work, tokens="hass 0123456789abcdef-hass")
