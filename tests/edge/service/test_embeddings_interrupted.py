"""Vectors whose making takes a while: cancelled, killed, of many texts, and by onnxruntime-genai's engine."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import User
from tests.conftest import Daemon, embedded_broker, serving
from tests.edge.commands.test_serve import child_of
from tests.export.sentences import small_bert
from tests.vectors import bringing

WIDE = {"hidden_size": 128, "intermediate_size": 2048, "num_hidden_layers": 6}
"""Of a model that needs seconds for a thousand texts."""
MANY = {"input": [f"{number} {'the pump stops ' * 12}" for number in range(1000)], "encoding_format": "base64"}
SECONDS = 240
GROWN_KB = 200_000
"""What the model itself and a batch of texts may take; the texts' values at once would be gigabytes."""


@pytest.fixture(scope="module", params=["batched", "genai"])
def board(request: Any, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that makes vectors slowly, with either engine."""
    room = tmp_path_factory.mktemp("interrupted")
    made = bringing(bundle, room, small_bert.write(room / "wide-bert", **WIDE))
    with embedded_broker(room) as port, serving(made, port, room, EDGE_ENGINE__KIND=request.param) as daemon:
        yield daemon


@pytest.fixture
def user(board: Daemon) -> Iterator[User]:
    """A client that reads its replies; the board is online."""
    with User(board.port, "edge/test/reply/me") as made:
        made.wait_online()
        yield made


def ask(user: User, name: str, **fields: Any) -> dict[str, Any]:
    """A request of `me`, and its reply."""
    user.publish("edge/test/request/me", {"id": name, "stream": False, **fields})
    return user.answer(SECONDS, name)[1]


def begin(user: User, board: Daemon, name: str) -> None:
    """Have vectors of a thousand texts made, and return in the middle of it: the engine has worked for a while."""
    before = worked(board)
    user.publish("edge/test/request/me", {"id": name, "stream": False, **MANY})
    until = time.monotonic() + SECONDS
    while worked(board) - before < 0.5:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert user.inbox.empty()


def worked(board: Daemon) -> float:
    """Seconds of a processor that the engine's process has had; 0 while there is none."""
    try:
        stat = Path(f"/proc/{child_of(board.process.pid)}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return 0.0
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def peak_kb(board: Daemon) -> int:
    """The most memory that the engine's process has had."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{child_of(board.process.pid)}/status").read_text())
    assert found
    return int(found[1])


def test_answers_and_vectors_beside_each_other(user):
    """Whichever engine answers."""
    assert ask(user, "v", input=["a", "b"])["embeddings"]["dimensions"] == 128
    assert ask(user, "a", prompt="Hi", max_tokens=4)["code"] == 200


def test_a_cancel_ends_the_making(user, board):
    """In its middle, without vectors and long before its end; and the next is made."""
    begin(user, board, "many")
    user.publish("edge/test/cancel/me", "many")
    reply = user.answer(SECONDS, "many")[1]
    assert (reply["code"], reply["finish_reason"]) == (499, "cancelled")
    assert "embeddings" not in reply
    assert ask(user, "next", input="a")["code"] == 200


def test_a_thousand_texts_are_bounded(user, board):
    """All have their vectors, and memory has a batch of them at a time."""
    assert ask(user, "one", input="a")["code"] == 200
    before = peak_kb(board)
    reply = ask(user, "thousand", **MANY)
    assert (reply["code"], len(reply["embeddings"]["vectors"])) == (200, 1000)
    assert peak_kb(board) - before < GROWN_KB


def test_a_killed_engine_makes_them_anew(user, board):
    """Once: they come after all, the same. Twice: 500. The next has its own."""
    wanted = ask(user, "calm", **MANY)["embeddings"]
    begin(user, board, "killed")
    os.kill(child_of(board.process.pid), signal.SIGKILL)
    reply = user.answer(SECONDS, "killed")[1]
    assert (reply["code"], reply["embeddings"]) == (200, wanted)
    begin(user, board, "again")
    for kill in range(2):
        gone = child_of(board.process.pid)
        os.kill(gone, signal.SIGKILL)
        while kill == 0 and worked_by_another(board, gone) < 3:
            time.sleep(0.02)
    reply = user.answer(SECONDS, "again")[1]
    assert (reply["code"], "engine" in reply["error"]["message"]) == (500, True), json.dumps(reply)[:500]
    assert ask(user, "after", input="a")["code"] == 200


def worked_by_another(board: Daemon, gone: int) -> float:
    """What an engine has worked that is not the one which was killed."""
    try:
        return 0.0 if child_of(board.process.pid) == gone else worked(board)
    except (OSError, IndexError):
        return 0.0
