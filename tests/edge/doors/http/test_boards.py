"""The door of a daemon that runs: the same queue, journal and end as over MQTT, with a broker or without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI

from tests.clients import User
from tests.conftest import embedded_broker, running, wait_until
from tests.edge.doors.http.doors import Board, board

ASK: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "x"}]}


@contextmanager
def client(made: Board, **options: Any) -> Iterator[OpenAI]:
    """OpenAI's, which does not try again."""
    with OpenAI(base_url=f"{made.address}/v1", api_key="none", **{"max_retries": 0, "timeout": 30} | options) as found:
        yield found


def said_to(asker: OpenAI, content: str = "x", **more: Any) -> str | None:
    """A whole answer."""
    asked = ASK | {"messages": [{"role": "user", "content": content}]}
    found: str | None = asker.chat.completions.create(**asked, **more).choices[0].message.content
    return found


def is_idle(made: Board) -> bool:
    """Whether nothing runs or waits."""
    load = made.load()
    return not load["running"] and not load["queue_length"]


def test_without_a_broker(tmp_path: Path):
    """Asked, streamed, measured, and refused as the wire refuses."""
    with board(tmp_path) as made, client(made) as asker:
        assert said_to(asker) == "word word word "
        with asker.chat.completions.create(**ASK, stream=True) as stream:
            assert "".join(each.choices[0].delta.content or "" for each in stream) == "word word word "
        with pytest.raises(openai.BadRequestError) as raised:
            asker.chat.completions.create(**ASK, n=17)
        assert raised.value.param == "n"
        with pytest.raises(openai.NotFoundError, match="serves scripted"):
            asker.chat.completions.create(**ASK | {"model": "gpt-7"})
        assert "edge_governor_state" in httpx.get(f"{made.address}/metrics").text
        assert httpx.get(f"{made.address}/health/ready").json()["load"]["accepts"]
        assert "Traceback" not in made.log.read_text()


def test_several_answers(tmp_path: Path):
    """`n` of them, whole and streamed, each by its index; the tokens of all are counted, the prompt once."""
    with board(tmp_path) as made, client(made) as asker:
        whole = asker.chat.completions.create(**ASK, n=3)
        assert [(each.index, each.message.content) for each in whole.choices] == [
            (number, "word word word ") for number in range(3)
        ]
        assert {each.finish_reason for each in whole.choices} == {"stop"}
        assert whole.usage is not None
        assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (1, 9)
        said, ends, roles = {0: "", 1: ""}, [], []
        with asker.chat.completions.create(**ASK, n=2, stream=True, stream_options={"include_usage": True}) as stream:
            for chunk in stream:
                for each in chunk.choices:
                    said[each.index] += each.delta.content or ""
                    roles += [each.index] if each.delta.role else []
                    ends += [each.index] if each.finish_reason else []
                usage = chunk.usage
        assert said == {0: "word word word ", 1: "word word word "}
        assert (ends, roles) == ([0, 1], [0, 1])
        assert usage is not None
        assert usage.completion_tokens == 6
        older = asker.completions.create(model="scripted", prompt="x", n=2)
        assert [each.text for each in older.choices] == ["word word word "] * 2
        with asker.completions.create(model="scripted", prompt="x", n=2, stream=True) as stream:
            ended = [each.choices[0].index for each in stream if each.choices[0].finish_reason]
        assert ended == [0, 1]
        refused = httpx.post(f"{made.address}/api/generate", json={"model": "scripted", "prompt": "x", "n": 2})
        assert (refused.status_code, "n should be 1" in refused.text) == (400, True)


def test_beside_a_broker(tmp_path: Path):
    """Both ways at once, each its own answers."""
    with embedded_broker(tmp_path) as port, board(tmp_path, port, pause=0.02) as made, client(made) as asker:
        with User(port, "edge/pi/reply/me") as user, ThreadPoolExecutor(4) as pool:
            user.wait_online("pi")
            said = [pool.submit(said_to, asker) for _ in range(4)]
            for number in range(4):
                user.publish("edge/pi/request/me", {"prompt": "y", "id": f"q{number}", "stream": False})
            assert {user.answer()[1]["id"] for _ in range(4)} == {f"q{number}" for number in range(4)}
            assert [each.result() for each in said] == ["word word word "] * 4
        assert sorted(made.begun()) == ["x"] * 4 + ["y"] * 4


@pytest.mark.parametrize("is_stream", [True, False])
def test_who_leaves_has_it_stopped(is_stream, tmp_path: Path):
    """In the middle of a stream, or tired of waiting for the whole: the engine stops, and nothing waits on."""
    with board(tmp_path, pieces=5000, pause=0.02) as made, client(made, timeout=1) as asker:
        if is_stream:
            with asker.chat.completions.create(**ASK, stream=True) as stream:
                assert next(iter(stream)).choices[0].delta.role == "assistant"
                assert made.load()["running"] == 1
        else:
            with pytest.raises(openai.APITimeoutError):
                said_to(asker)
        wait_until(lambda: is_idle(made), 10)
        assert "ended with 499" in made.log.read_text()


def test_a_full_queue(tmp_path: Path):
    """429 for who has enough waiting, 503 where all together have, both with when to come again."""
    limits = {"EDGE_LIMITS__QUEUE_LENGTH": "3", "EDGE_LIMITS__QUEUE_PER_CLIENT": "2"}
    tokens = {"EDGE_HTTP__TOKENS": "one 0123456789abcdef-one\ntwo 0123456789abcdef-two"}
    with board(tmp_path, pieces=5000, pause=0.02, **limits, **tokens) as made, ThreadPoolExecutor(8) as pool:
        one, two = (made.address, "0123456789abcdef-one"), (made.address, "0123456789abcdef-two")
        for count in range(3):
            pool.submit(held, *one)
            wait_until(lambda count=count: made.load()["running"] + made.load()["queue_length"] == count + 1)  # type: ignore[misc]
        refused = asked_at(*one)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        pool.submit(held, *two)
        wait_until(lambda: made.load()["queue_length"] == 3)
        refused = asked_at(*two)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (503, True)
        assert httpx.get(f"{made.address}/health/ready").json()["status"] == "full"
        made.process.send_signal(signal.SIGKILL)


def asked_at(address: str, token: str) -> httpx.Response:
    """What comes back at once."""
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.post(f"{address}/v1/chat/completions", json=ASK, headers=headers, timeout=20)


def held(address: str, token: str) -> None:
    """One that asks until the board is gone."""
    with pytest.raises(httpx.TransportError):
        asked_at(address, token)


def test_a_stop_lets_what_runs_end(tmp_path: Path):
    """The running stream comes to its end, who waits is told 503, and the daemon ends with 0."""
    with board(tmp_path, pieces=60, pause=0.05) as made, client(made) as asker, ThreadPoolExecutor(1) as pool:
        with asker.chat.completions.create(**ASK, stream=True) as stream:
            chunks = iter(stream)
            assert [next(chunks), next(chunks)]
            waits = pool.submit(asked_at, made.address, "none")
            wait_until(lambda: made.load()["queue_length"] == 1)
            made.process.send_signal(signal.SIGTERM)
            assert waits.result().status_code == 503
            assert list(chunks)[-1].choices[0].finish_reason == "stop"
        assert made.process.wait(20) == 0
        assert "Traceback" not in made.log.read_text()


def test_after_a_crash_a_named_request_has_its_answer(tmp_path: Path):
    """Killed in the middle; asked again under its key it is told the answer, made once by the daemon that lived."""
    key = {"Idempotency-Key": "order-66"}
    with board(tmp_path, pieces=200, pause=0.05) as made, client(made) as asker:
        lost: list[Exception] = []
        asking = threading.Thread(target=lambda: lost.append(failure(asker, key)))
        asking.start()
        wait_until(lambda: made.begun() == ["x"])
        made.process.send_signal(signal.SIGKILL)
        asking.join(20)
        assert isinstance(lost[0], openai.APIConnectionError)
    with board(tmp_path) as made, client(made) as asker:
        first = said_to(asker, extra_headers=key)
        assert first == "word word word "
        assert said_to(asker, extra_headers=key) == first
        assert made.begun() == ["x", "x"]
        assert said_to(asker, "y") == first
        assert made.begun() == ["x", "x", "y"]


def failure(asker: OpenAI, headers: dict[str, str]) -> Exception:
    """What an asker gets in place of an answer."""
    with pytest.raises(openai.APIError) as raised:
        said_to(asker, extra_headers=headers)
    return raised.value


def test_another_request_of_an_open_key(tmp_path: Path):
    """409, and clients do not try it again; the same one joins, and is told from the beginning."""
    key = {"Idempotency-Key": "k"}
    with (
        board(tmp_path, pieces=40, pause=0.05) as made,
        client(made, max_retries=2) as asker,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(said_to, asker, extra_headers=key)
        wait_until(lambda: made.begun() == ["x"])
        with pytest.raises(openai.ConflictError):
            said_to(asker, "y", extra_headers=key)
        assert said_to(asker, extra_headers=key) == first.result() == "word " * 40
        assert made.begun() == ["x"]


def test_a_unix_socket(tmp_path: Path):
    """The same API without a port; who asks is named by the user that it runs as."""
    path = tmp_path / "http.sock"
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": "1", "EDGE_JOURNAL__FOLDER": str(tmp_path / "state")}
    env |= {"EDGE_LOG_LEVEL": "debug"}
    with running(
        [sys.executable, "-m", "edge.testing"], tmp_path / "log", env | {"EDGE_HTTP__ADDRESS": f"unix:{path}"}
    ):
        wait_until(path.exists)
        transport = httpx.HTTPTransport(uds=str(path), retries=5)
        with httpx.Client(transport=transport, base_url="http://edge", timeout=20) as asker:
            wait_until(lambda: asker.get("/health").status_code == 200)
            said = asker.post("/v1/chat/completions", json=ASK).json()
        assert said["choices"][0]["message"]["content"] == "word word "
        assert f"for uid-{os.getuid()}," in (tmp_path / "log").read_text()
    assert not path.exists()


@pytest.mark.parametrize("is_open", [False, True])
def test_what_is_off_is_not_in_memory(is_open, tmp_path: Path):
    """Without an address no library of the door is imported."""
    env = {"EDGE_DEVICE": "pi", "EDGE_BROKER__PORT": "1", "EDGE_JOURNAL__FOLDER": str(tmp_path / "state")}
    env |= {"EDGE_HTTP__ADDRESS": f"unix:{tmp_path / 'http.sock'}"} if is_open else {}
    log = tmp_path / "log"
    with running([sys.executable, "-X", "importtime", "-m", "edge.testing"], log, env):
        wait_until(lambda: "online" in log.read_text())
    imported = {
        line.rpartition("|")[2].strip() for line in log.read_text().splitlines() if line.startswith("import time:")
    }
    assert "edge.service.daemon" in imported
    for library in ("starlette", "uvicorn", "h11", "anyio", "edge.doors.http.app"):
        assert (library in imported) is is_open, library


def test_where_the_library_is_not_there_the_start_says_what_to_install(tmp_path: Path):
    """With the extra's name."""
    program = "import sys; sys.modules['uvicorn'] = None; from edge.testing.__main__ import main; sys.exit(main())"
    env = {"EDGE_HTTP__ADDRESS": "127.0.0.1:1", "EDGE_JOURNAL__FOLDER": str(tmp_path)}
    log = tmp_path / "log"
    with running([sys.executable, "-c", program], log, env) as process:
        assert process.wait(30) == 78
    assert "edge-slm[http]" in log.read_text()


@pytest.mark.slow
def test_a_long_wait_is_filled_with_comments(tmp_path: Path):
    """Nobody between takes the stream for dead."""
    with board(tmp_path, pieces=2, pause=12) as made:
        command = ["curl", "-sSN", "--max-time", "60", f"{made.address}/v1/chat/completions", "-d"]
        done = subprocess.run(
            [*command, json.dumps(ASK | {"stream": True})], capture_output=True, text=True, check=True
        )
        assert ": working" in done.stdout
        assert done.stdout.endswith("data: [DONE]\n\n")


@pytest.mark.slow
def test_who_takes_nothing_is_let_go(tmp_path: Path):
    """A reader that stops reading holds its request for a minute, no longer."""
    with board(tmp_path, pieces=200_000) as made:
        body = json.dumps(ASK | {"stream": True})
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        host, port = made.address.removeprefix("http://").split(":")
        import socket

        with socket.create_connection((host, int(port))) as reader:
            reader.sendall((head + body).encode())
            began = time.monotonic()
            wait_until(lambda: is_idle(made), 150)
            assert time.monotonic() - began > 1
