"""The way out, against a server over real sockets: what it says, whatever it says, and how it is let go of."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from typing import Any

import pytest
from pydantic import ValidationError

from edge.config import Upstream as Settings
from edge.doors.upstream import Upstream
from edge.errors import Fault
from edge.wire.chat import validated
from edge.wire.passed import Passed, fields_of
from tests.openai_server import USAGE, Script, chunk, serving


def door(url: str, **settings: Any) -> Upstream:
    """The door to a server."""
    return Upstream(Settings(url=url, models=["big"], **{"silent_seconds": 5, **settings}))


async def said(upstream: Upstream, number: int = 1) -> list[str | Passed]:
    """All that is told of one request."""
    async with asyncio.timeout(20):
        return [piece async for piece in upstream.generate(number, {"model": "big", "messages": []})]


def fault(script: Script, **settings: Any) -> Fault:
    """How a request fails."""
    with serving(script), pytest.raises(Fault) as raised:
        asyncio.run(said(door(script.url, **settings)))
    return raised.value


def test_an_answer_comes_in_pieces():
    """Texts as they come, then how it ended, with the model's own name and the usage; bytes are counted."""
    with serving(Script()) as script:
        upstream = door(script.url, key="sesame")
        *pieces, passed = asyncio.run(said(upstream))
        assert pieces == ["Far ", "away"]
        assert passed == Passed("stop", "big-2026", 7, 2)
        assert script.keys == ["Bearer sesame"]
        assert upstream.sent_bytes == script.sizes[0]
        assert upstream.received_bytes > 200


@pytest.mark.parametrize("ending", [b"\n\n", b"\r\n\r\n", b"\r\r", b"\n: a comment\nevent: x\nid: 3\n\n"])
def test_lines_end_as_the_standard_lets_them(ending):
    """Comments and fields that mean nothing here are passed over."""
    script = Script()
    script.ending = ending
    with serving(script):
        assert asyncio.run(said(door(script.url)))[:2] == ["Far ", "away"]


def test_a_server_that_does_not_stream_is_heard_too():
    """One JSON object, whatever was asked for."""
    script = Script()
    message = {"role": "assistant", "content": "All at once"}
    script.whole = {"model": "big", "choices": [{"message": message, "finish_reason": "length"}], "usage": None}
    with serving(script):
        assert asyncio.run(said(door(script.url))) == ["All at once", Passed("length", "big")]


def test_calls_come_in_pieces():
    """Several, by their index, with the ids that their results will refer to."""
    first = {"index": 0, "id": "a", "function": {"name": "lamp", "arguments": '{"on":'}}
    second = {"index": 1, "id": "b", "function": {"name": "fan", "arguments": "{}"}}
    rest = {"index": 0, "function": {"arguments": " true}"}}
    events = [chunk("", tool_calls=[each]) for each in (first, second, rest)]
    with serving(Script([*events, chunk(finish_reason="tool_calls"), USAGE])) as script:
        (passed,) = asyncio.run(said(door(script.url)))
    assert isinstance(passed, Passed)
    told = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in passed.tool_calls
    ]
    assert told == [("a", "lamp", {"on": True}), ("b", "fan", {})]


def test_logprobs_are_ours():
    """Without bytes, none above 0."""
    others = [{"token": "Far", "logprob": 1e-9, "bytes": [70]}]
    event = chunk("Far")
    event["choices"][0]["logprobs"] = {
        "content": [{"token": "Far", "logprob": -0.5, "bytes": [70], "top_logprobs": others}]
    }
    with serving(Script([event])) as script:
        *_, passed = asyncio.run(said(door(script.url)))
    assert isinstance(passed, Passed)
    assert passed.logprobs == [{"token": "Far", "logprob": -0.5, "top_logprobs": [{"token": "Far", "logprob": 0.0}]}]


REFUSED = [
    (400, b'{"error": {"message": "too many messages"}}', 400, "too many messages"),
    (401, b'{"error": {"message": "Incorrect key: sesame"}}', 500, "correct the credential upstream_key"),
    (403, b"no", 500, "correct the credential upstream_key"),
    (404, b'{"error": "no such model"}', 404, "upstream.models"),
    (413, b"", 413, "413"),
    (429, b'{"message": "slow down"}', 503, "slow down"),
    (500, b"<html>\n boom </html>", 503, "boom"),
    (302, b"", 500, "not followed"),
    (418, b'{"detail": "a teapot"}', 500, "a teapot"),
]


@pytest.mark.parametrize(("status", "words", "code", "told"), REFUSED)
def test_a_refusal_names_the_server_and_what_to_do(status, words, code, told):
    """Each status as the code of the same meaning; a key is in no message."""
    script = Script()
    script.status, script.words, script.headers = status, words, {"Retry-After": "7", "Location": "http://127.0.0.1:1/"}
    found = fault(script, key="sesame", name="cloud")
    assert (found.code, told in found.message, "cloud" in found.message) == (code, True, True)
    assert "sesame" not in found.message
    assert found.retry_after == (7 if code == 503 else None)


HOSTILE = [
    [b"{"],
    [b"[]"],
    [b'{"choices": 5}'],
    [b'{"choices": ["x"]}'],
    [b'{"choices": [{"delta": [1]}]}'],
    [b'{"choices": [{"delta": {"tool_calls": [{"index": "x"}]}}]}'],
    [b'{"choices": [{"delta": {}, "logprobs": {"content": [{}]}}]}'],
    [b'{"usage": {"prompt_tokens": "many"}, "choices": []}'],
    [b'{"error": {"message": "overloaded"}}'],
    [b"x" * (2 << 20)],
]


@pytest.mark.parametrize("events", HOSTILE)
def test_what_cannot_be_understood_is_a_fault(events):
    """Never an answer that does not end, never what ends the daemon."""
    assert fault(Script(events)).code in (500, 503)


def test_a_stream_that_is_cut_is_a_fault():
    """It has no end, so it is no answer."""
    script = Script()
    script.is_cut = True
    assert fault(script).code == 503


def test_a_silent_server_is_given_up():
    """After the time that the operator gives it."""
    script = Script()
    script.pause_seconds = 30
    assert "does not answer" in fault(script, silent_seconds=0.3).message


def test_nobody_there_is_a_fault_that_says_what_to_look_at():
    """The unit's filter looks like a network that is away."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(Fault, match="IPAddressAllow"):
        asyncio.run(said(door(f"http://127.0.0.1:{port}/v1")))


def test_a_cancel_and_a_close_let_go_of_the_server():
    """It sees that nobody reads on, long before its answer ends."""

    async def scene(is_cancelled: bool) -> None:
        script = Script([chunk("word ") for _ in range(4000)])
        script.pause_seconds = 0.01
        with serving(script):
            upstream = door(script.url)
            pieces = upstream.generate(3, {})
            await anext(pieces)
            if is_cancelled:
                upstream.cancel(3)
                while not isinstance(last := await anext(pieces), Passed):
                    pass
                assert last.finish_reason == "cancelled"
            await pieces.aclose()
            assert await asyncio.to_thread(script.gone.wait, 10)

    asyncio.run(scene(True))
    asyncio.run(scene(False))


def test_no_proxy_of_the_environment_is_used(monkeypatch):
    """No connection but to the address that the operator gave."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        with serving(Script()) as script:
            asyncio.run(said(door(script.url)))
        proxy.settimeout(0.1)
        with pytest.raises(TimeoutError):
            proxy.accept()


def test_many_at_once():
    """Each has its own answer."""

    async def scene(upstream: Upstream) -> list[Any]:
        return await asyncio.gather(*(said(upstream, number) for number in range(20)))

    with serving(Script()) as script:
        answers = asyncio.run(scene(door(script.url)))
    assert [answer[:2] for answer in answers] == [["Far ", "away"]] * 20
    assert threading.active_count() < 100


GOOD = [
    "https://models.example/v1",
    "http://127.0.0.1:8080/v1/",
    "http://[::1]:1",
    "http://localhost/",
    "http://10.0.0.2/v1",
]
BAD = [
    "models.example",
    "ftp://models.example",
    "https://",
    "https://me:word@models.example",
    "https://models.example/v1?key=x",
    "https://models.example/#x",
    "https://models.example:99999",
    "https://models.example/ v1",
    "https://[::1",
]


@pytest.mark.parametrize("url", GOOD)
def test_addresses_that_can_be(url):
    """With or without an end that is a slash."""
    assert Settings(url=url, models=["big"]).url == url.rstrip("/")


@pytest.mark.parametrize("url", BAD)
def test_addresses_that_cannot(url):
    """Told when the settings are read."""
    with pytest.raises(ValidationError, match="url"):
        Settings(url=url, models=["big"])


def test_a_key_is_not_shown_to_the_network():
    """Plain HTTP is for this board alone where there is one; without any model nothing could be asked."""
    with pytest.raises(ValidationError, match="https://"):
        Settings(url="http://10.0.0.2/v1", models=["big"], key="sesame")
    assert Settings(url="http://127.0.0.1/v1", models=["big"], key="sesame").key
    with pytest.raises(ValidationError, match="models is empty"):
        Settings(url="https://models.example/v1")


def test_what_is_sent_is_the_apis():
    """Ours alone stays here: documents, keep, priority; what the API has no word for is left out."""
    chat = validated(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "Is the lamp on?"}]},
                {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "lamp", "arguments": {}}}]},
                {"role": "tool", "content": "on", "tool_call_id": "a"},
            ],
            "tools": [{"type": "function", "function": {"name": "lamp"}}],
            "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
            "stop": "x",
            "temperature": 0.5,
            "top_k": 4,
            "priority": "high",
            "keep": False,
            "logprobs": True,
            "top_logprobs": 2,
        }
    )
    fields = fields_of(chat, "big", 99)
    assert set(fields) == {
        *("model", "messages", "max_tokens", "stream", "stream_options", "temperature", "stop", "logprobs"),
        *("top_logprobs", "tools", "tool_choice", "response_format"),
    }
    assert [turn["role"] for turn in fields["messages"]] == ["system", "user", "assistant", "tool"]
    assert fields["messages"][1]["content"] == "Is the lamp on?"
    assert fields["messages"][2]["tool_calls"][0]["function"] == {"name": "lamp", "arguments": "{}"}
    assert fields["messages"][3]["tool_call_id"] == "a"
    assert fields["response_format"]["json_schema"]["name"] == "answer"
    assert fields["max_tokens"] == 99


def test_pictures_go_as_they_came():
    """A data URI, which such servers take."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    chat = validated({"messages": [{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}]})
    sent = fields_of(chat, "big", 9)["messages"][0]["content"]
    assert [part["type"] for part in sent] == ["image_url", "text"]
    assert sent[0]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert validated({"prompt": "x", "system": "s"}).upstream is None
