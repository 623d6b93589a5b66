"""A real daemon, broker and model: vectors over MQTT, beside answers that go on meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients import User
from tests.conftest import Daemon, embedded_broker, serving
from tests.export.sentences import small_bert
from tests.vectors import bringing, stored, unpacked


@pytest.fixture(scope="module")
def board(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One with an embedding model and a single row for answers."""
    room = tmp_path_factory.mktemp("vectors")
    made = bringing(bundle, room)
    with embedded_broker(room) as port, serving(made, port, room, EDGE_ENGINE__ROWS="1") as daemon:
        yield daemon


def ask(user: User, name: str, **fields: Any) -> dict[str, Any]:
    """A request of `me`, and its reply."""
    user.publish("edge/test/request/me", {"id": name, **fields})
    return user.answer(90, name)[1]


@pytest.fixture
def user(board: Daemon) -> Iterator[User]:
    """A client that reads its replies; the board is online."""
    with User(board.port, "edge/test/reply/me", "edge/test/info") as made:
        made.wait_online()
        yield made


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_vectors_are_transformers(user, encoding):
    """To 1e-5 of what was stored of Transformers, an empty text and one that is cut among them."""
    reply = ask(user, f"q-{encoding}", input=list(small_bert.TEXTS), encoding_format=encoding)
    assert (reply["code"], reply["text"], reply["finish_reason"]) == (200, "", "stop")
    made = reply["embeddings"]
    assert (made["model"], made["dimensions"]) == ("small-bert", 64)
    found = unpacked(made["vectors"]) if encoding == "base64" else np.array(made["vectors"], np.float32)
    assert np.abs(found - stored()).max() < 1e-5
    assert reply["warnings"] == ["only the first 32 tokens were read of input.3, input.4"]
    assert reply["usage"]["completion_tokens"] == 0
    assert reply["usage"]["prompt_tokens"] > 2 * 32 + 3 * 2


def test_the_board_tells_of_its_model(board):
    """In `info`."""
    with User(board.port, "edge/test/info") as reader:
        told = json.loads(reader.next().payload)
    assert told["embeddings"] == {"model": "small-bert", "dimensions": 64, "tokens_max": 32}


def test_vectors_wait_for_no_answer(user):
    """The only row is taken, and others wait for it: vectors come before the first of them ends."""
    for number in range(3):
        question = {"id": f"long-{number}", "prompt": "Count from one to a thousand.", "max_tokens": 120}
        user.publish("edge/test/request/me", {**question, "loop_guard": False, "stream": False})
    user.publish("edge/test/request/me", {"id": "v", "input": "A short question?", "stream": False})
    ended = []
    while "v" not in ended:
        message = user.next(60)
        body = json.loads(message.payload)
        if body.get("type") == "reply":
            ended.append(body["id"])
    assert ended == ["v"]
    for number in range(3):
        user.publish("edge/test/cancel/me", f"long-{number}")
        assert user.answer(60, f"long-{number}")[1]["code"] in (200, 499)


def test_a_cancel_ends_the_making(user):
    """In the middle of many texts, without vectors; and the next request is served."""
    user.publish("edge/test/request/me", {"id": "many", "input": ["word " * 24] * 1000, "encoding_format": "base64"})
    user.publish("edge/test/cancel/me", "many")
    reply = user.answer(60, "many")[1]
    assert reply["code"] in (499, 200)
    assert ("embeddings" in reply) == (reply["code"] == 200)
    assert ask(user, "next", input="a")["code"] == 200


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"model": "other"}, 404, "model"),
        ({"dimensions": 32}, 400, "dimensions"),
        ({"prompt": "and an answer"}, 400, "prompt"),
        ({"input": ["a"] * 1200}, 413, "input"),
        ({"input": [1, 2]}, 400, "input"),
    ],
)
def test_what_cannot_be_is_refused(user, fields, code, param):
    """By the field that should change."""
    reply = ask(user, f"r-{param}-{code}-{len(str(fields))}", **{"input": "a", **fields})
    assert (reply["code"], reply["error"]["param"]) == (code, param)


def test_a_bundle_without_a_model_says_how_to_get_one(bundle, tmp_path):
    """And tells of none."""
    topics = ("edge/test/reply/me", "edge/test/info")
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path), User(port, *topics) as asker:
        asker.wait_online()
        reply = ask(asker, "q", input="a")
    assert (reply["code"], reply["error"]["param"]) == (415, "input")
    assert "edge-export" in reply["error"]["message"]
