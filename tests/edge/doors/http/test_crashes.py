"""The engine is killed, or the daemon stopped, while each API streams: what is told then, and that it ends."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.conftest import Daemon, free_port, serving, wait_until
from tests.edge.commands.test_serve import child_of
from tests.edge.doors.http.doors import is_there

STORY = "Write a long story about a ship in the ice."
SECONDS = 120


class Way(NamedTuple):
    """How an API is asked for a stream. field: where it says how long the answer may be."""

    path: str
    body: dict[str, Any]
    tokens: str


TURNS = {"messages": [{"role": "user", "content": STORY}]}
OWN = {"temperature": 0, "loop_guard": False}
WAYS = {
    "chat": Way("/v1/chat/completions", TURNS | OWN | {"stream": True}, "max_tokens"),
    "completions": Way("/v1/completions", {"prompt": STORY, "stream": True} | OWN, "max_tokens"),
    "responses": Way("/v1/responses", {"input": STORY, "stream": True} | OWN, "max_output_tokens"),
    "ollama": Way("/api/chat", TURNS | {"loop_guard": False}, "num_predict"),
    "generate": Way("/api/generate", {"prompt": STORY, "loop_guard": False}, "num_predict"),
}


class Served(NamedTuple):
    """A daemon and its door."""

    daemon: Daemon
    address: str
    model: str

    def kill_engine(self) -> None:
        """As the kernel does where memory is short."""
        os.kill(child_of(self.daemon.process.pid), signal.SIGKILL)


@pytest.fixture(scope="module")
def served(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A real model, one answer at a time."""
    with started(bundle, tmp_path_factory.mktemp("crashes"), EDGE_ENGINE__ROWS="1") as made:
        yield made


@contextmanager
def started(bundle: Path, room: Path, **settings: str) -> Iterator[Served]:
    """A daemon with a door and no broker."""
    place = f"127.0.0.1:{free_port()}"
    address = f"http://{place}"
    with serving(bundle, 1, room, EDGE_HTTP__ADDRESS=place, **settings) as daemon:
        wait_until(lambda: is_there(address) and httpx.get(f"{address}/health").status_code == 200, SECONDS)
        yield Served(daemon, address, httpx.get(f"{address}/v1/models").json()["data"][0]["id"])


def lines(served: Served, way: Way, tokens: int) -> Iterator[str]:
    """What comes, line by line; httpx.ReadTimeout where nothing does."""
    body = {**way.body, "model": served.model}
    body |= (
        {"options": {"num_predict": tokens, "temperature": 0}} if way.tokens == "num_predict" else {way.tokens: tokens}
    )
    with httpx.stream("POST", served.address + way.path, json=body, timeout=SECONDS) as response:
        assert response.status_code == 200
        yield from (line for line in response.iter_lines() if line)


def text_of(line: str) -> str:
    """The piece of an answer that a line has, by whichever API; empty where it has none."""
    data = line.removeprefix("data: ")
    if not data.startswith("{"):
        return ""
    body = json.loads(data)
    if body.get("type") == "response.output_text.delta":
        return str(body["delta"])
    if body.get("choices"):
        choice = body["choices"][0]
        return str(choice.get("text") or (choice.get("delta") or {}).get("content") or "")
    return str(body.get("response") or (body.get("message") or {}).get("content") or "") if "done" in body else ""


def whole(found: list[str]) -> str:
    """All pieces."""
    return "".join(map(text_of, found))


def failure(found: list[str]) -> Any:
    """What the last words of a stream say of a failure, as its API has it; None where they say of none."""
    last = [line for line in found if line.startswith(("data: {", "{"))][-1]
    body = json.loads(last.removeprefix("data: "))
    if body.get("type") == "response.failed":
        return body["response"]["error"]
    return body.get("error")


def is_of_the_engine(name: str, error: Any) -> bool:
    """Whether it is its API's form of saying that the engine broke."""
    if name in ("ollama", "generate"):
        return isinstance(error, str) and "engine" in error
    if name == "responses":
        return error["code"] == "server_error" and "engine" in error["message"]
    return set(error) == {"message", "type", "param", "code"} and error["code"] == "engine_failed"


@pytest.mark.parametrize("name", WAYS)
def test_killed_once_it_goes_on_where_it_was(served, name):
    """Begun anew, nothing is told twice, and the whole is as it would have been."""
    way = WAYS[name]
    wanted = whole(list(lines(served, way, 40)))
    found: list[str] = []
    for line in lines(served, way, 40):
        found.append(line)
        if len(whole(found)) > 20 and len(whole(found[:-1])) <= 20:
            served.kill_engine()
    assert whole(found) == wanted
    assert failure(found) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", WAYS)
def test_killed_twice_it_ends_with_an_error(served, name):
    """In the API's own form, as its last words; and the next is answered."""
    way, told, kills = WAYS[name], list[str](), 0
    for line in lines(served, way, 1500):
        told.append(line)
        if text_of(line) and len(whole(told)) > 100 * kills and kills < 2:
            served.kill_engine()
            kills += 1
    assert kills == 2
    assert is_of_the_engine(name, failure(told)), told[-2:]
    assert whole(list(lines(served, way, 4)))


def test_a_stop_ends_streams_within_its_time(bundle, tmp_path):
    """What would take longer than `limits.stop_seconds` is cut off, each with its API's last words, and all is over."""
    names = ["chat", "responses", "ollama", "generate"]
    settings = {"EDGE_ENGINE__ROWS": "4", "EDGE_LIMITS__STOP_SECONDS": "2"}
    with started(bundle, tmp_path, **settings) as served, ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(list, lines(served, WAYS[name], 1500)) for name in names]
        wait_until(lambda: httpx.get(f"{served.address}/health").json()["load"]["running"] == 4)
        time.sleep(1)
        served.daemon.process.send_signal(signal.SIGTERM)
        for name, stream in zip(names, streams, strict=True):
            found = stream.result(SECONDS)
            error = failure(found)
            assert whole(found), name
            assert "stopping" in (error if isinstance(error, str) else error["message"])
        assert served.daemon.process.wait(60) == 0
        assert "Traceback" not in served.daemon.log.read_text()
