"""A real daemon, broker and model: answers from a folder of documents, and what stays of what was asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.documents.adding import add
from tests import museum
from tests.clients import User
from tests.conftest import Daemon, embedded_broker, serving, wait_until

SECRET = "Xyz" * 60
"""A text that can be found in a file, as it is or in base64, wherever it begins."""
HEAD = "You are the keeper of the museum, and you answer in one short sentence, and politely. " * 6


@pytest.fixture
def board(bundle: Path, tmp_path: Path) -> Iterator[Daemon]:
    """One with the museum's documents that keeps beginnings on disk, on a device named `test`."""
    add(museum.write(tmp_path / "texts"), tmp_path / "documents/museum.index", None, "", lambda *_: None)
    more = {"EDGE_DOCUMENTS__FOLDER": str(tmp_path / "documents"), "EDGE_TELEMETRY__PERIOD_SECONDS": "0.5"}
    more["EDGE_ENGINE__PREFIX_DISK_BYTES"] = str(1 << 30)
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path, **more) as daemon:
        yield daemon


def ask(user: User, name: str, prompt: str, **fields: Any) -> dict[str, Any]:
    """A question of `me`, and its reply."""
    request = {"prompt": prompt, "id": name, "max_tokens": 24, "temperature": 0, **fields}
    user.publish("edge/test/request/me", request)
    return user.answer(90, name)[1]


def holds(folder: Path, text: str) -> bool:
    """Whether a repeated text of three letters is in a file below a folder, in base64 too."""
    turned = [(text[at:] + text[:at])[:12].encode() for at in range(3)]
    sought = [*turned, *map(base64.urlsafe_b64encode, turned)]
    found = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return any(each in contents for each in sought for contents in found)


def test_answers_come_from_documents(board: Daemon, tmp_path: Path):
    """The fact that is in them, and where it stands; others are told which there are."""
    with User(board.port, "edge/test/reply/me", "edge/test/info") as user:
        user.wait_online()
        reply = ask(user, "q1", "With which oil is the pump oiled?", documents="museum")
        assert reply["code"] == 200
        (source,) = [each for each in reply["sources"] if "linseed" in each["text"]]
        assert (source["path"], source["title"], source["page"]) == ("machines/pump.md", "The bilge pump of 1912", None)
        easy = [(ask(user, question, question, documents="museum"), word) for question, word in museum.EASY]
        assert sum(word in answer["text"].lower() for answer, word in easy) >= 3
        again = ask(user, "q2", "And with which oil is the bilge pump of 1912 oiled, please?", documents="museum")
        assert again["sources"][0] == reply["sources"][0]
        assert again["usage"]["cached_tokens"] > 60
        nothing = ask(user, "q3", "Zebras, quokkas, xylophones?", documents="museum")
        assert (nothing["code"], nothing["sources"], nothing["usage"]["completion_tokens"]) == (200, [], 0)
        assert "nothing" in nothing["text"]
        unknown = ask(user, "q4", "What?", documents="zoo")
        assert (unknown["code"], unknown["error"]["param"]) == (404, "documents")
        assert "museum" in unknown["error"]["message"]
        assert "sources" not in ask(user, "q5", "Hello?")
    with User(board.port, "edge/test/info") as user:
        assert json.loads(user.next().payload)["documents"] == ["museum"]
    (tmp_path / "documents/museum.index").write_bytes(b"broken")
    with User(board.port, "edge/test/reply/me") as user:
        broken = ask(user, "q6", "With which oil is the pump oiled?", documents="museum")
        assert (broken["code"], broken["error"]["param"]) == (500, "documents")
        assert "museum" in broken["error"]["message"]
    assert "documents museum cannot be read" in board.log.read_text()


def test_nothing_stays_of_what_is_not_to_stay(board: Daemon, tmp_path: Path):
    """With `keep` false, or after `forget`, no file has a byte of it: not the journal, not the cache, not the log."""
    state, cache = tmp_path / "state", tmp_path / "cache"

    def blocks() -> int:
        return len(list(cache.rglob("*.kv")))

    with User(board.port, "edge/test/reply/me") as user:
        user.wait_online()
        for number in range(3):
            ask(user, f"q{number}", f"{SECRET} {number}", system=HEAD, keep=False)
        wait_until(lambda: not holds(state, SECRET))
        assert blocks() == 0
        assert not holds(tmp_path, SECRET)
        for number in range(3):
            ask(user, f"r{number}", f"{SECRET} {number}", system=HEAD)
        assert holds(state, SECRET)
        wait_until(lambda: blocks() > 0)
        first = ask(user, "r4", "Hello?", system=HEAD)
        assert first["usage"]["cached_tokens"] > 64
        user.publish("edge/test/forget/me", b"")
        wait_until(lambda: blocks() == 0 and not holds(state, SECRET))
        assert ask(user, "r5", "Hello?", system=HEAD)["usage"]["cached_tokens"] == 0
        assert not holds(tmp_path, SECRET)


def test_ratings_are_told_in_the_telemetry(board: Daemon):
    """As many as were good and bad."""
    with User(board.port, "edge/test/reply/me") as user:
        user.wait_online()
        ask(user, "q", "Hello?")
        user.publish("edge/test/rating/me", {"id": "q", "rating": "bad"})
        user.publish("edge/test/rating/me", {"id": "q", "rating": "good"})
    with User(board.port, "edge/test/telemetry") as user:
        wait_until(lambda: json.loads(user.next().payload)["inference"]["ratings"] == {"good": 1, "bad": 0})


def test_tools_beside_documents(bundle: Path, tmp_path: Path):
    """A tool is used and pieces are read in every round; where none is found, what the tool says is answered from."""
    add(museum.write(tmp_path / "texts"), tmp_path / "documents/museum.index", None, "", lambda *_: None)
    tool = {
        "kind": "telemetry",
        "description": "How many answers run.",
        "clients": ["*"],
        "values": ["inference.running"],
    }
    more = {"EDGE_DOCUMENTS__FOLDER": str(tmp_path / "documents"), "EDGE_TOOLS": json.dumps({"load": tool})}
    asked = {
        "documents": "museum",
        "board_tools": ["load"],
        "tool_choice": {"type": "function", "function": {"name": "load"}},
    }
    with (
        embedded_broker(tmp_path) as port,
        serving(bundle, port, tmp_path, **more),
        User(port, "edge/test/reply/me") as user,
    ):
        user.wait_online()
        found = ask(user, "q1", "With which oil is the pump oiled?", **asked)
        assert (found["code"], [call["name"] for call in found["board_calls"]]) == (200, ["load"])
        assert any("linseed" in each["text"] for each in found["sources"])
        assert "error" not in found["board_calls"][0]
        lost = ask(user, "q2", "Zebras, quokkas, xylophones?", **asked)
        assert (lost["code"], lost["sources"], bool(lost["board_calls"])) == (200, [], True)
        assert lost["usage"]["completion_tokens"] > 0
        assert "nothing was found in documents museum" in lost["warnings"]
        free = ask(user, "q3", "Zebras, quokkas, xylophones?", documents="museum", board_tools=True)
        assert free["usage"]["completion_tokens"] > 0
        alone = ask(user, "q4", "Zebras, quokkas, xylophones?", documents="museum")
        assert alone["usage"]["completion_tokens"] == 0
