"""OpenAI's Responses API, asked by its own client: whole, streamed, parsed, with functions, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response, ResponseInputParam, ResponseStreamEvent
from pydantic import BaseModel, ConfigDict, TypeAdapter

from edge.testing.inside import MemoryInside
from tests.edge.doors.http.bodies import ANSWER, CALL, DELTAS, REPLY, WORDS_AND_CALL, fault

Place = tuple[str, MemoryInside]
ADD: Any = {
    "type": "function",
    "name": "add_two_numbers",
    "description": "Add two numbers",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    "strict": True,
}


class Person(BaseModel):
    """What an answer is to be."""

    model_config = ConfigDict(extra="forbid")

    name: Literal["Ada", "Alan"]
    age: Literal[30, 40]


def client(place: str) -> OpenAI:
    """That does not try again by itself."""
    return OpenAI(base_url=f"{place}/v1", api_key="none", max_retries=0)


def asks(door: Place, told: list[dict[str, Any]]) -> OpenAI:
    """A client of a door at which this will be told."""
    door[1].told = told
    return client(door[0])


def test_a_response_in_one(door):
    """Its text, its figures, what was said of the request, and that nothing is kept of it."""
    asked = asks(door, ANSWER).responses
    answer = asked.create(model="scripted", input="Hello", instructions="Be brief.", metadata={"a": "b"}, user="me")
    assert (answer.output_text, answer.status, answer.model) == ("Hello world", "completed", "scripted")
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (37, 12, 49)
    assert answer.usage.input_tokens_details.cached_tokens == 30
    assert (answer.instructions, answer.metadata, answer.temperature) == ("Be brief.", {"a": "b"}, 0.0)
    assert (answer.model_extra["store"], answer.error, answer.incomplete_details) == (False, None, None)
    assert answer.model_extra["edge"]["timings"]["queue_seconds"] == 0.5
    fields = door[1].asked[-1].fields
    assert (fields["system"], fields["messages"][0]["content"], fields["user"]) == ("Be brief.", "Hello", "me")


def test_a_stream_of_events(door):
    """In the API's order and numbered; the deltas are the text."""
    told = list(asks(door, ANSWER).responses.create(model="scripted", input="Hello", stream=True))
    assert [event.sequence_number for event in told] == list(range(len(told)))
    assert [event.type for event in told[:4]] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == "Hello world"
    assert told[-1].type == "response.completed"


@pytest.mark.parametrize("told", [ANSWER, CALL, WORDS_AND_CALL], ids=["text", "call", "both"])
def test_events_are_those_that_the_library_describes(door, told):
    """To the letter: its own models, which its client does not hold answers to, find nothing wrong with them."""
    door[1].told = told
    body = {"input": "x", "stream": True, "tools": [ADD]}
    with httpx.stream("POST", f"{door[0]}/v1/responses", json=body) as answer:
        events = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    known: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    assert [known.validate_json(event).type for event in events][-1] == "response.completed"
    Response.model_validate(httpx.post(f"{door[0]}/v1/responses", json=body | {"stream": False}).json())


def test_the_clients_own_stream_puts_it_together(door):
    """Snapshots, the parsed text and the final response, by the library's own rules."""
    text = '{"name": "Ada", "age": 30}'
    told = [{"type": "delta", "id": "q1", "index": 0, "text": text[:9]}, {**REPLY, "text": text}]
    with asks(door, told).responses.stream(model="scripted", input="Who?", text_format=Person) as stream:
        snapshots = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        assert snapshots == [text[:9], text]
        assert stream.get_final_response().output_parsed == Person(name="Ada", age=30)
    schema = door[1].asked[-1].fields["response_format"]["json_schema"]["schema"]
    assert schema["required"] == ["name", "age"]


def test_functions_are_called_and_answered(door):
    """A call is an item; it goes back with its result, and the conversation with them."""
    asked = asks(door, CALL).responses
    said: ResponseInputParam = [{"role": "user", "content": "3 and 4?"}]
    answer = asked.create(model="scripted", input=said, tools=[ADD], tool_choice="auto")
    (call,) = answer.output
    assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "add_two_numbers", {"a": 3, "b": 4})
    with asked.stream(model="scripted", input=said, tools=[ADD]) as stream:
        kinds = [event.type for event in stream]
        assert stream.get_final_response().output[0].call_id == call.call_id == "call-7"
    assert "response.output_text.delta" not in kinds
    door[1].told = ANSWER
    said += [call.to_dict(), {"type": "function_call_output", "call_id": call.call_id, "output": "7"}]
    assert asked.create(model="scripted", input=said, tools=[ADD]).output_text == "Hello world"
    _, called, result = door[1].asked[-1].fields["messages"]
    assert called["tool_calls"][0]["function"]["name"] == result["name"] == "add_two_numbers"
    assert result["content"] == "7"


def test_words_beside_a_call_are_an_item_of_their_own(door):
    """As a server behind the board may say some: the message first, in one and as a stream."""
    asked = asks(door, WORDS_AND_CALL).responses
    answer = asked.create(model="scripted", input="x", tools=[ADD])
    assert ([item.type for item in answer.output], answer.output_text) == (["message", "function_call"], "Hello world")
    with asked.stream(model="scripted", input="x", tools=[ADD]) as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output] == ["message", "function_call"]
    assert json.loads(final.output[1].arguments) == {"a": 3, "b": 4}


def test_logprobs_where_they_are_included(door):
    """With the bytes of each token."""
    token = {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.5}]}
    told = [{**REPLY, "text": "é", "logprobs": {"content": [token]}}]
    include: Any = ["message.output_text.logprobs"]
    answer = asks(door, told).responses.create(model="scripted", input="x", include=include, top_logprobs=1)
    (found,) = answer.output[0].content[0].logprobs
    assert (found.token, found.bytes, found.top_logprobs[0].token) == ("é", [195, 169], "e")
    assert door[1].asked[-1].fields["top_logprobs"] == 1


def test_one_that_was_cut_off_is_incomplete(door):
    """In one and as a stream."""
    asked = asks(door, [*DELTAS, {**REPLY, "finish_reason": "length"}]).responses
    answer = asked.create(model="scripted", input="x", max_output_tokens=2)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    told = list(asked.create(model="scripted", input="x", stream=True))
    assert (told[-1].type, told[-1].response.output_text) == ("response.incomplete", "Hello world")


def test_the_wires_own_fields_go_along(door):
    """As `extra_body`."""
    extra = {"documents": "museum", "keep": False, "top_k": 5}
    asks(door, ANSWER).responses.create(model="scripted", input="x", extra_body=extra)
    assert {**door[1].asked[-1].fields, **extra} == door[1].asked[-1].fields


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (fault(400, "max_tokens is wrong", "max_tokens"), openai.BadRequestError),
        (fault(404, "another model", "model"), openai.NotFoundError),
        (fault(409, "one is open", "id"), openai.ConflictError),
        (fault(429, "8 wait already", None, 6), openai.RateLimitError),
        (fault(500, "the engine failed"), openai.InternalServerError),
        (fault(503, "the queue is full", None, 20), openai.InternalServerError),
    ],
)
def test_faults_are_the_clients_exceptions(door, reply, error, stream):
    """By their status, where nothing has been told yet; the field at fault by its name in this API."""
    with pytest.raises(error) as caught:
        asks(door, [reply]).responses.create(model="scripted", input="x", stream=stream)
    names = {"max_tokens": "max_output_tokens"}
    assert caught.value.param == names.get(reply["error"]["param"], reply["error"]["param"])


def test_a_fault_in_the_middle_of_a_stream_is_its_last_event(door):
    """The response has failed, and says why."""
    asked = asks(door, [*DELTAS, fault(500, "the engine failed")]).responses
    told = list(asked.create(model="scripted", input="x", stream=True))
    assert (told[-1].type, told[-1].response.status) == ("response.failed", "failed")
    assert told[-1].response.error.message == "the engine failed"


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input.0.type"),
    ],
)
def test_what_a_board_cannot_is_refused_by_its_name(door, wish, param):
    """Before anything is asked."""
    before = len(door[1].asked)
    with pytest.raises(openai.BadRequestError) as caught:
        client(door[0]).responses.create(**{"model": "scripted", "input": "x", **wish})
    assert (caught.value.param, len(door[1].asked)) == (param, before)


def test_a_daemon_answers(board):
    """Without a broker: in one, streamed, and several at once; what is wrong is told by its place in this API."""
    asked = client(board).responses
    assert asked.create(model="scripted", input="Hello").output_text == "word word "
    told = list(asked.create(model="scripted", input="Hello", stream=True))
    assert "".join(event.delta for event in told if event.type == "response.output_text.delta") == "word word "
    answer = asked.create(model="scripted", input="x", reasoning={"effort": "high"}, store=True)
    assert answer.model_extra["edge"]["warnings"] == [
        "store was ignored: answers are not kept here",
        "the field 'reasoning_effort' is not known and was ignored",
    ]
    picture: Any = {"type": "input_image", "image_url": "http://example.org/x.jpg", "detail": "low"}
    with pytest.raises(openai.BadRequestError) as caught:
        asked.create(model="scripted", input=[{"role": "user", "content": [picture]}])
    assert caught.value.param == "input.0.content.0.image_url"

    async def several() -> list[str]:
        asker = AsyncOpenAI(base_url=f"{board}/v1", api_key="none")
        answers = await asyncio.gather(*(asker.responses.create(model="scripted", input="x") for _ in range(4)))
        return [answer.output_text for answer in answers]

    assert asyncio.run(several()) == ["word word "] * 4


@pytest.mark.slow
def test_a_real_model_answers(model):
    """The stream has the text of the whole; an answer is parsed; a function is called with arguments that fit it."""
    asked = client(model).responses
    fixed: Any = {"input": "What is the capital of France?", "max_output_tokens": 30, "temperature": 0}
    whole = asked.create(**fixed)
    with asked.stream(model=whole.model, **fixed) as stream:
        assert stream.get_final_response().output_text == whole.output_text
    assert asked.parse(input="Who is it?", model=whole.model, text_format=Person).output_parsed.age in (30, 40)
    called = asked.create(
        model=whole.model, input="3 and 4?", tools=[ADD], tool_choice="required", max_output_tokens=60
    )
    assert called.output[0].type in ("function_call", "message")
    named = {"type": "function", "name": "add_two_numbers"}
    closed = {**ADD, "parameters": {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}}
    closed["parameters"]["additionalProperties"] = False
    (call,) = asked.create(model=whole.model, input="x", tools=[closed], tool_choice=named).output
    assert json.loads(call.arguments)["a"] in (1, 2)
