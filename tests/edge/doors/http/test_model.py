"""The door before the real model: what its clients count on holds for its answers, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import httpx
import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.conftest import free_port, serving, wait_until
from tests.edge.doors.http.doors import is_there
from tests.edge.doors.http.test_home_assistant_calls import ASKED, TRIED, TURN_OFF, TURNS

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 24}
ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
LAMP: Any = {
    "type": "function",
    "function": {
        "name": "lamp_off",
        "parameters": {
            "type": "object",
            "properties": {"lamp": {"enum": ["hall", "door"]}},
            "required": ["lamp"],
            "additionalProperties": False,
        },
    },
}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture(scope="module")
def asker(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    """A client of a daemon with the real model and no broker."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = {"EDGE_HTTP__ADDRESS": f"127.0.0.1:{port}", "EDGE_ENGINE__ROWS": "4"}
    with serving(bundle, 1, tmp_path_factory.mktemp("model"), **settings):
        wait_until(lambda: is_there(address) and httpx.get(f"{address}/health").status_code == 200, 120)
        with OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=120) as client:
            yield client


@pytest.fixture(scope="module")
def model(asker: OpenAI) -> str:
    """What the served one is called."""
    return asker.models.list().data[0].id


def test_a_stream_is_the_whole(asker, model):
    """Greedy, the pieces together are the answer that comes at once, and count as many tokens."""
    whole = asker.chat.completions.create(model=model, **ASK, **GREEDY)
    with asker.chat.completions.stream(model=model, **ASK, **GREEDY, stream_options={"include_usage": True}) as stream:
        streamed = stream.get_final_completion()
    assert whole.choices[0].message.content == streamed.choices[0].message.content != ""
    assert whole.usage.completion_tokens == streamed.usage.completion_tokens > 0
    assert streamed.usage.prompt_tokens_details.cached_tokens > 0


class Place(BaseModel):
    """What is asked for."""

    kind: Literal["city", "country"]
    is_capital: bool


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_of_a_class(is_stream, asker, model):
    """It fits, whatever it says."""
    asked = {"model": model, **ASK, **GREEDY, "response_format": Place}
    if is_stream:
        with asker.chat.completions.stream(**asked) as stream:
            said = stream.get_final_completion()
    else:
        said = asker.chat.completions.parse(**asked)
    assert isinstance(said.choices[0].message.parsed, Place)


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_that_must_be(is_stream, asker, model):
    """Its arguments are of the schema."""
    more = {"tools": [LAMP], "tool_choice": "required", "temperature": 0}
    if is_stream:
        with asker.chat.completions.stream(model=model, messages=TURNS, **more) as stream:
            (choice,) = stream.get_final_completion().choices
    else:
        (choice,) = asker.chat.completions.create(model=model, messages=TURNS, **more).choices
    (call,) = choice.message.tool_calls
    assert (choice.finish_reason, call.function.name) == ("tool_calls", "lamp_off")
    assert json.loads(call.function.arguments)["lamp"] in ("hall", "door")


def test_logprobs(asker, model):
    """As many as tokens, streamed or not; both APIs."""
    whole = asker.chat.completions.create(model=model, **ASK, **GREEDY, logprobs=True, top_logprobs=2)
    tokens = whole.choices[0].logprobs.content
    assert "".join(each.token for each in tokens).startswith(whole.choices[0].message.content)
    assert {len(each.top_logprobs) for each in tokens} == {2}
    with asker.chat.completions.stream(model=model, **ASK, **GREEDY, logprobs=True, top_logprobs=2) as stream:
        assert stream.get_final_completion().choices[0].logprobs.content == tokens
    texts = asker.completions.create(model=model, prompt="Is it?", **GREEDY, logprobs=2).choices[0].logprobs
    assert len(texts.tokens) == len(texts.token_logprobs) == len(texts.text_offset)


def test_home_assistants_first_calls(asker, model):
    """It tries a completion with a tool and three tokens, both ways, then asks with its recommended settings."""
    for stream in (False, True):
        said = asker.chat.completions.create(model=model, stream=stream, **TRIED)
        assert list(said) if stream else said.choices
    more = {**ASKED, "max_tokens": 40, "tools": [TURN_OFF]}
    assert asker.chat.completions.create(model=model, messages=TURNS, **more).choices[0].finish_reason


def test_what_the_model_cannot(asker, model):
    """A conversation that its context does not hold, by the code that programs look for; a picture."""
    with pytest.raises(openai.BadRequestError) as raised:
        asker.chat.completions.create(model=model, messages=[{"role": "user", "content": "lamp " * 20_000}])
    assert raised.value.code == "context_length_exceeded"
    picture: Any = [{"type": "image_url", "image_url": {"url": PIXEL}}]
    with pytest.raises(openai.BadRequestError) as raised:
        asker.chat.completions.create(model=model, messages=[{"role": "user", "content": picture}])
    assert (raised.value.code, raised.value.param) == ("unsupported", "messages")
