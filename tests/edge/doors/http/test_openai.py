"""OpenAI's own client at the door: what it sends is understood, what comes back is what it reads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from edge.errors import (
    BadRequest,
    Conflict,
    DeadlineExceeded,
    EngineFailed,
    Fault,
    NotFound,
    TooLarge,
    TooMany,
    Unavailable,
    Unsupported,
)
from edge.testing.inside import MemoryInside
from tests.edge.doors.http.doors import SAID, bodies, door, fault

ASK: dict[str, Any] = {"model": "small", "messages": [{"role": "user", "content": "Are the lamps off?"}]}
CALL = {"id": "call-1", "type": "function", "function": {"name": "switch", "arguments": '{"on": true}'}}
CALLED = '{"name":"switch","arguments":{"on":true}}'
TOOL = {
    "type": "function",
    "function": {"name": "switch", "parameters": {"type": "object", "properties": {"on": {"type": "boolean"}}}},
}
LIKELY = {"token": "ä", "logprob": -0.1, "top_logprobs": [{"token": "ä", "logprob": -0.1}]}


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[MemoryInside, OpenAI, str]]:
    """A door, its inside, and a client of it."""
    inside = MemoryInside()
    with (
        door(inside, aliases=["gpt-4o-mini"]) as address,
        OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=20) as client,
    ):
        yield inside, client, address


@pytest.fixture
def inside(opened) -> MemoryInside:
    """What the door opens to; whatever earlier tests asked is forgotten."""
    found = opened[0]
    found.told, found.asked, found.left = bodies(SAID, "All lamps", " are off."), [], []
    return found


@pytest.fixture
def client(opened) -> OpenAI:
    """One that does not try again."""
    return opened[1]


def test_a_conversation_is_answered(inside, client):
    """The text, why it ends, what it took; and all that a reply has beside these."""
    inside.told = bodies(energy=None, warnings=("the field 'x' is not known and was ignored",))
    said = client.chat.completions.create(**ASK)
    assert (said.object, said.model, said.choices[0].message.content) == ("chat.completion", "small", SAID)
    assert said.choices[0].finish_reason == "stop"
    assert said.usage is not None
    assert (said.usage.prompt_tokens, said.usage.completion_tokens, said.usage.total_tokens) == (7, 3, 10)
    assert said.usage.prompt_tokens_details is not None
    assert said.usage.prompt_tokens_details.cached_tokens == 2
    beside = said.model_extra["edge"]
    assert beside["warnings"] == ["the field 'x' is not known and was ignored"]
    assert {"timings", "energy", "finish_reason"} <= set(beside)
    (asked,) = inside.asked
    assert (asked.client, asked.is_named, asked.fields) == ("http:local", False, {**ASK, "stream": False})
    assert said.id == asked.id


def test_it_is_streamed(inside, client):
    """Whose it is, pieces, why it ends; usage where that is wanted, in a chunk of its own."""
    with client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    first, *middle, last, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert [each.choices[0].delta.content for each in middle] == ["All lamps", " are off."]
    assert (last.choices[0].finish_reason, last.choices[0].delta.content) == ("stop", None)
    assert (usage.choices, usage.usage.total_tokens) == ([], 10)
    assert {each.usage for each in chunks[:-1]} == {None}
    assert len({each.id for each in chunks}) == 1
    assert inside.asked[0].fields == {**ASK, "stream": True}
    assert inside.left == []


def test_a_stream_without_usage(inside, client):
    """No chunk without a choice, which older programs stumble over."""
    with client.chat.completions.create(**ASK, stream=True) as stream:
        assert all(len(each.choices) == 1 for each in stream)


def test_the_clients_own_accumulation(inside, client):
    """`stream()` puts a completion together from the chunks."""
    with client.chat.completions.stream(**ASK) as stream:
        said = stream.get_final_completion()
    assert said.choices[0].message.content == SAID


def test_extra_fields_pass(inside, client):
    """Those of the wire that OpenAI's API has not."""
    extra = {"priority": "high", "deadline_ms": 60_000, "keep": False, "documents": "house"}
    client.chat.completions.create(**ASK, extra_body={**extra, "id": "mine", "response_topic": "answers/x"})
    assert inside.asked[0].fields == {**ASK, **extra, "stream": False}
    assert inside.asked[0].id.startswith("chatcmpl-")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call(is_stream, inside, client):
    """A call comes as a call, also where it came in pieces, and none of it as text."""
    inside.told = bodies(CALLED, *CALLED.partition(":"), finish_reason="tool_calls", tool_calls=[CALL])
    said = completed(client, is_stream, **ASK, tools=[TOOL])
    (choice,) = said.choices
    assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
    (call,) = choice.message.tool_calls
    assert (call.id, call.type, call.function.name) == ("call-1", "function", "switch")
    assert json.loads(call.function.arguments) == {"on": True}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("text", ['{"like": "a call"}', SAID])
def test_no_call(is_stream, text, inside, client):
    """A text is one, though it may begin like a call and tools are there."""
    inside.told = bodies(text, text[:5], text[5:])
    (choice,) = completed(client, is_stream, **ASK, tools=[TOOL]).choices
    assert (choice.finish_reason, choice.message.content, choice.message.tool_calls) == ("stop", text, None)


def completed(client: OpenAI, is_stream: bool, **asked: Any) -> Any:
    """A completion, either way."""
    if not is_stream:
        return client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        return stream.get_final_completion()


def test_a_calls_result_says_what_was_called(inside, client):
    """The API has its id alone; the model is told its name."""
    turns = [*ASK["messages"], {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    client.chat.completions.create(
        model="small", messages=[*turns, {"role": "tool", "tool_call_id": "call-1", "content": "done"}]
    )
    assert inside.asked[0].fields["messages"][-1]["name"] == "switch"


class Lamp(BaseModel):
    """What is asked for."""

    name: str
    is_on: bool


def test_an_answer_of_a_class(inside, client):
    """`parse` sends its schema, and reads the answer."""
    inside.told = bodies('{"name": "hall", "is_on": false}')
    said = client.chat.completions.parse(**ASK, response_format=Lamp)
    assert said.choices[0].message.parsed == Lamp(name="hall", is_on=False)
    assert inside.asked[0].fields["response_format"]["json_schema"]["schema"]["required"] == ["name", "is_on"]


@pytest.mark.parametrize("reason", ["length", "loop"])
def test_an_answer_that_was_cut_off_is_not_parsed(reason, inside, client):
    """One that went in circles is cut off, too."""
    inside.told = bodies('{"name": "hal', finish_reason=reason)
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(**ASK, response_format=Lamp)


@pytest.mark.parametrize("is_stream", [False, True])
def test_logprobs(is_stream, inside, client):
    """Each token's with its bytes."""
    inside.told = bodies("ä", "ä", logprobs=[LIKELY])
    (choice,) = completed(client, is_stream, **ASK, logprobs=True, top_logprobs=1).choices
    (token,) = choice.logprobs.content
    assert (token.token, token.logprob, token.bytes) == ("ä", -0.1, [0xC3, 0xA4])
    assert [each.token for each in token.top_logprobs] == ["ä"]


FAULTS: list[tuple[Fault, type[openai.APIStatusError], str | None]] = [
    (BadRequest("should be 1", "n"), openai.BadRequestError, None),
    (NotFound("this board serves another", "model"), openai.NotFoundError, "model_not_found"),
    (DeadlineExceeded("too late"), openai.APIStatusError, "deadline_exceeded"),
    (Conflict("another is open", "id"), openai.ConflictError, "conflict"),
    (TooLarge("the payload has 9 bytes, but 8 are allowed"), openai.APIStatusError, "request_too_large"),
    (TooLarge("the prompt has 9 tokens, but the context holds 8"), openai.BadRequestError, "context_length_exceeded"),
    (Unsupported("small reads text alone, no pictures", "messages"), openai.BadRequestError, "unsupported"),
    (TooMany("8 wait already", retry_after=3), openai.RateLimitError, "rate_limit_exceeded"),
    (EngineFailed("it broke"), openai.InternalServerError, "engine_failed"),
    (Unavailable("the queue is full", retry_after=3), openai.InternalServerError, "unavailable"),
]


@pytest.mark.parametrize(("error", "kind", "code"), FAULTS, ids=lambda value: getattr(value, "message", None))
@pytest.mark.parametrize("is_stream", [False, True])
def test_faults_are_the_clients_errors(error, kind, code, is_stream, inside, client):
    """Of the class that programs catch, with its code, its field, and when to come again; streamed or not."""
    inside.told = fault(error)
    with pytest.raises(kind) as raised:
        client.chat.completions.create(**ASK, stream=is_stream)
    body = raised.value.body
    assert (body["message"], body["param"], body["code"]) == (error.message, error.param, code)
    assert raised.value.response.headers.get("retry-after") == (error.retry_after and str(error.retry_after))
    assert raised.value.request_id


def test_a_stream_that_breaks_raises(inside, client):
    """After the first word there is no status any more; the client reads the error in the stream."""
    inside.told = [*bodies(SAID, "All")[:-1], *fault(EngineFailed("it broke"))]
    with client.chat.completions.create(**ASK, stream=True) as stream, pytest.raises(openai.APIError, match="it broke"):
        list(stream)


def test_what_is_tried_again_has_one_name(opened, inside):
    """A client that may try again does so after 503, and not after what would end the same; its key names both."""
    _, client, _ = opened
    inside.told = fault(Unavailable("full", retry_after=1))
    again = client.with_options(max_retries=1)
    with pytest.raises(openai.InternalServerError):
        again.chat.completions.create(**ASK, extra_headers={"Idempotency-Key": "mine"})
    assert [(each.id, each.is_named) for each in inside.asked] == [("mine", True)] * 2
    inside.told, inside.asked = fault(EngineFailed("twice")), []
    with pytest.raises(openai.InternalServerError):
        again.chat.completions.create(**ASK)
    assert len(inside.asked) == 1


@pytest.mark.parametrize("key", ["", "x" * 201, "x\ty"])
def test_a_key_that_is_none(key, inside, client):
    """It is refused: an asker that counts on it must know."""
    with pytest.raises(openai.BadRequestError, match="Idempotency-Key"):
        client.chat.completions.create(**ASK, extra_headers={"Idempotency-Key": key})


def test_models(opened, inside):
    """The served one and its other names, which ask for it."""
    _, client, _ = opened
    assert [each.id for each in client.models.list()] == ["small", "gpt-4o-mini"]
    assert client.models.retrieve("gpt-4o-mini").owned_by == "edge-slm"
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve("gpt-7")
    assert raised.value.code == "model_not_found"
    said = client.chat.completions.create(**ASK | {"model": "gpt-4o-mini"})
    assert said.model == "small"
    assert "model" not in inside.asked[0].fields


def test_completions(inside, client):
    """A prompt is a user's turn, streamed or not."""
    inside.told = bodies(SAID, "All lamps", " are off.", logprobs=[LIKELY])
    said = client.completions.create(model="small", prompt="Lamps?", max_tokens=9, logprobs=1, echo=False)
    assert (said.object, said.choices[0].text, said.usage.total_tokens) == ("text_completion", SAID, 10)
    assert said.choices[0].logprobs.text_offset == [6]
    assert said.choices[0].logprobs.top_logprobs == [{"ä": -0.1}]
    asked = {"model": "small", "prompt": "Lamps?", "max_tokens": 9, "logprobs": True, "top_logprobs": 1}
    assert inside.asked[0].fields == {**asked, "stream": False}
    options = {"include_usage": True}
    with client.completions.create(model="small", prompt=["Lamps?"], stream=True, stream_options=options) as stream:
        chunks = list(stream)
    assert "".join(each.choices[0].text for each in chunks[:-1]) == SAID
    assert (chunks[-2].choices[0].finish_reason, chunks[-1].usage.total_tokens) == ("stop", 10)


@pytest.mark.parametrize(
    ("field", "value"), [("prompt", [1, 2]), ("prompt", ["a", "b"]), ("echo", True), ("best_of", 2), ("suffix", "x")]
)
def test_completions_that_are_none(field, value, inside, client):
    """What would be another answer than was asked for is refused by its name."""
    with pytest.raises(openai.BadRequestError) as raised:
        client.completions.create(**{"model": "small", "prompt": "x", field: value})
    assert raised.value.param == field
    assert inside.asked == []


@pytest.mark.parametrize("options", [{"stream": False, "stream_options": {}}, {"stream": True, "stream_options": 5}])
def test_options_of_a_stream(options, inside, client):
    """They are looked at here: the wire has none."""
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**ASK, **options)
    assert raised.value.param == "stream_options"


def test_asynchronous_ones(opened, inside):
    """Several at once, by its other client."""
    *_, address = opened

    async def work() -> list[str | None]:
        async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", timeout=20) as client:
            async with client.chat.completions.stream(**ASK) as stream:
                streamed = (await stream.get_final_completion()).choices[0].message.content
            whole = await asyncio.gather(*(client.chat.completions.create(**ASK) for _ in range(8)))
            return [streamed, *(each.choices[0].message.content for each in whole)]

    assert asyncio.run(work()) == [SAID] * 9
