"""Pictures through the door, by the real clients of each API, at a real board with a small model that sees."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import ollama
import openai
import pytest
from openai import OpenAI
from PIL import Image

from tests.clients import User
from tests.conftest import embedded_broker, free_port, serving, wait_until
from tests.edge.doors.http.doors import is_there
from tests.pictures import PROMPT, empty_png, encoded, photograph

SMALL, OTHER = encoded(photograph(64, 64), "PNG"), encoded(photograph(200, 500, seed=1))
GREEDY: dict[str, Any] = {"temperature": 0, "seed": 1}
FEW = 6
"""Tokens of an answer."""


class Seen(NamedTuple):
    """What came of a question about pictures. pictures: the tokens of each; None where the client passes that over."""

    text: str
    prompt_tokens: int
    pictures: list[int] | None


class Eyes(NamedTuple):
    """A board that sees, by each of its ways in."""

    address: str
    user: User
    openai: OpenAI
    ollama: ollama.Client
    model: str


@pytest.fixture(scope="module")
def eyes(vision_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Eyes]:
    """One with a broker and a door."""
    room, own = tmp_path_factory.mktemp("eyes"), free_port()
    address = f"http://127.0.0.1:{own}"
    with (
        embedded_broker(room) as port,
        serving(vision_bundle, port, room, EDGE_HTTP__ADDRESS=f"127.0.0.1:{own}"),
        User(port, "edge/test/reply/me") as user,
        OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=60) as asker,
    ):
        user.wait_online()
        wait_until(lambda: is_there(address))
        yield Eyes(address, user, asker, ollama.Client(address), asker.models.list().data[0].id)


def uri(data: bytes) -> str:
    """A picture as it is in JSON."""
    kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def parts(*pictures: bytes) -> list[dict[str, Any]]:
    """A content in the chat API's form."""
    shown: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": uri(each)}} for each in pictures]
    return [*shown, {"type": "text", "text": PROMPT}]


def by_mqtt(eyes: Eyes, *pictures: bytes) -> Seen:
    """As firmware asks."""
    body = {"messages": [{"role": "user", "content": parts(*pictures)}], "max_tokens": FEW, "stream": False, **GREEDY}
    eyes.user.publish("edge/test/request/me", body)
    reply = eyes.user.answer()[1]
    assert reply["code"] == 200, reply
    return Seen(reply["text"], reply["usage"]["prompt_tokens"], reply["usage"]["picture_tokens"])


def by_chat(eyes: Eyes, *pictures: bytes) -> Seen:
    """By OpenAI's client."""
    turns: Any = [{"role": "user", "content": parts(*pictures)}]
    made = eyes.openai.chat.completions.create(model=eyes.model, messages=turns, max_tokens=FEW, **GREEDY)
    assert made.usage is not None
    assert made.model_extra is not None
    told = made.model_extra["edge"]["picture_tokens"]
    return Seen(made.choices[0].message.content or "", made.usage.prompt_tokens, told)


def by_stream(eyes: Eyes, *pictures: bytes) -> Seen:
    """The same as a stream."""
    turns: Any = [{"role": "user", "content": parts(*pictures)}]
    more: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}, **GREEDY}
    found = list(eyes.openai.chat.completions.create(model=eyes.model, messages=turns, max_tokens=FEW, **more))
    text = "".join(each.choices[0].delta.content or "" for each in found if each.choices)
    told = next(each.model_extra["edge"] for each in found if each.model_extra and "edge" in each.model_extra)
    return Seen(text, found[-1].usage.prompt_tokens, told["picture_tokens"])


def by_responses(eyes: Eyes, *pictures: bytes) -> Seen:
    """By OpenAI's newer API."""
    shown = [{"type": "input_image", "image_url": uri(each)} for each in pictures]
    given: Any = [{"role": "user", "content": [*shown, {"type": "input_text", "text": PROMPT}]}]
    made = eyes.openai.responses.create(
        model=eyes.model, input=given, max_output_tokens=FEW, temperature=0, extra_body={"seed": 1}
    )
    assert made.usage is not None
    assert made.model_extra is not None
    return Seen(made.output_text, made.usage.input_tokens, made.model_extra["edge"]["picture_tokens"])


def by_ollamas_chat(eyes: Eyes, *pictures: bytes) -> Seen:
    """By Ollama's client, which makes base64 of bytes."""
    turn: Any = {"role": "user", "content": PROMPT, "images": list(pictures)}
    made = eyes.ollama.chat(eyes.model, [turn], options={"num_predict": FEW, **GREEDY})
    return Seen(made.message.content or "", made.prompt_eval_count or 0, None)


def by_ollamas_generate(eyes: Eyes, *pictures: bytes) -> Seen:
    """Its other way."""
    made = eyes.ollama.generate(eyes.model, PROMPT, images=list(pictures), options={"num_predict": FEW, **GREEDY})
    return Seen(made.response, made.prompt_eval_count or 0, None)


WAYS = [by_chat, by_stream, by_responses, by_ollamas_chat, by_ollamas_generate]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("pictures", [(SMALL,), (SMALL, OTHER)], ids=["one", "two"])
def test_it_is_seen_as_over_mqtt(eyes, way: Callable[..., Seen], pictures):
    """The same answer, of as many tokens."""
    wanted, found = by_mqtt(eyes, *pictures), way(eyes, *pictures)
    assert found[:2] == wanted[:2]
    assert found.pictures in (None, wanted.pictures)
    assert wanted.pictures is not None
    assert len(wanted.pictures) == len(pictures)


LARGE = encoded(Image.new("1", (30_000, 30_000)), "PNG")
MANY = [SMALL] * 9
"""As a picture of four crops may be, more than the context holds."""
BROKEN = {
    "cut short": (OTHER[: len(OTHER) // 2], 400, "damaged"),
    "of too many pixels": (LARGE, 413, "pixels"),
    "a bomb": (empty_png(60_000, 60_000), 413, "pixels"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("way", [by_chat, by_stream, by_responses, by_ollamas_chat])
def test_what_is_no_picture_is_refused(eyes, case, way):
    """As over MQTT, in each API's own shape, before a stream begins; and others are served after it."""
    data, status, says = BROKEN[case]
    with pytest.raises((openai.APIStatusError, ollama.ResponseError)) as raised:
        way(eyes, data)
    assert raised.value.status_code == status
    assert says in str(raised.value)
    assert by_chat(eyes, SMALL).pictures


@pytest.mark.parametrize("way", WAYS)
def test_more_pictures_than_the_context_holds(eyes, way):
    """Both figures are told."""
    with pytest.raises((openai.BadRequestError, ollama.ResponseError)) as raised:
        way(eyes, *MANY)
    assert raised.value.status_code in (400, 413)
    assert "tokens, but the context holds" in str(raised.value)


ASKED = {
    "/v1/chat/completions": lambda url: {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    },
    "/v1/responses": lambda url: {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]},
    "/api/chat": lambda url: {"messages": [{"role": "user", "content": "x", "images": [url]}]},
    "/api/generate": lambda url: {"prompt": "x", "images": [url]},
}
PLACES = {
    "/v1/chat/completions": "messages.0.content.0.image_url.url",
    "/v1/responses": "input.0.content.0.image_url",
    "/api/chat": "messages.0.images.0",
    "/api/generate": "images.0",
}


@pytest.mark.parametrize("path", ASKED)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_nothing_is_fetched(eyes, path, scheme):
    """An address is refused by the field that has it, and nobody connects to it."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        there.settimeout(0.3)
        url = f"{scheme}://127.0.0.1:{there.getsockname()[1]}/cat.jpg"
        said = httpx.post(eyes.address + path, json={"model": eyes.model, **ASKED[path](url)}, timeout=30)
        assert said.status_code == 400
        error = said.json()["error"]
        assert PLACES[path] in (error if isinstance(error, str) else error["message"])
        assert isinstance(error, str) or error["param"] == PLACES[path]
        with pytest.raises(TimeoutError):
            there.accept()


def test_a_body_that_is_larger_than_a_picture_may_be(eyes):
    """It is not read to its end."""
    content = b'{"messages": "' + b"x" * (9 << 20) + b'"}'
    said = httpx.post(f"{eyes.address}/v1/chat/completions", content=content, timeout=30)
    assert (said.status_code, said.json()["error"]["code"]) == (413, "request_too_large")
