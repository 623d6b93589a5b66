"""`edge ask --embed`: a line a text, whatever brings the texts, in as many requests as they take."""

from __future__ import annotations

import json
import math
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.commands.vectors import BYTES_AT_ONCE, TEXTS_AT_ONCE, in_requests
from edge.testing.vectors import vector
from tests.clients import User
from tests.conftest import embedded_broker, running
from tests.edge.commands.program import Board, ended, started


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a command needs to know to ask a scripted board that makes vectors."""
    folder = tmp_path_factory.mktemp("vectors")
    with embedded_broker(folder) as port:
        found = {"EDGE_DEVICE": "test", "EDGE_BROKER__PORT": str(port)}
        settings = {**found, "EDGE_JOURNAL__FOLDER": str(folder / "state")}
        command = [sys.executable, "-m", "edge.testing", "--vectors"]
        with running(command, folder / "daemon.log", settings), User(port) as user:
            user.wait_online()
            yield found


def are_of(printed: str, texts: list[str]) -> bool:
    """Whether the lines are the vectors of these texts, to float32's last bit."""
    found = [json.loads(line) for line in printed.splitlines()]
    made = [struct.pack(f"<{len(each['embedding'])}f", *each["embedding"]) for each in found]
    return [each["index"] for each in found] == list(range(len(texts))) and made == [vector(text) for text in texts]


@pytest.mark.parametrize(
    ("words", "piped", "texts"),
    [
        (["--embed", "one", "and another"], None, ["one", "and another"]),
        (["--embed", ""], None, [""]),
        (["--embed"], b"one\n\nand another\r\n", ["one", "", "and another"]),
        (["--embed", "-"], "ä\n😀".encode(), ["ä", "😀"]),
        (["--embed", "--timeout", "60", "one"], None, ["one"]),
    ],
)
def test_a_line_for_each_text(env, words, piped, texts):
    """Of the command line, or of standard input, empty ones too; and nothing else on standard output."""
    status, printed, _ = ended(started(env, "ask", *words, **({"stdin": -1} if piped else {})), piped)
    assert status == 0
    assert are_of(printed, texts)


def test_many_texts_take_several_requests(env):
    """In one row all the same."""
    texts = [f"text number {number}" for number in range(TEXTS_AT_ONCE * 2 + 1)]
    status, printed, _ = ended(started(env, "ask", "--embed", stdin=-1), "\n".join(texts).encode())
    assert status == 0
    assert are_of(printed, texts)


def test_as_json_it_is_the_reply(env):
    """Its vectors in base64, as they cross the wire."""
    status, printed, _ = ended(started(env, "ask", "--json", "--embed", "one", "two"))
    reply = json.loads(printed)
    assert (status, reply["code"], len(reply["embeddings"]["vectors"])) == (0, 200, 2)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--embed"], "there is no text"),
        (["--embed", "a", "--max-tokens", "5"], "--max-tokens says nothing of vectors"),
        (["--embed", "a", "--no-loop-guard"], "--no-loop-guard says nothing of vectors"),
        (["what?", "--embed", "a"], "say all texts behind --embed"),
    ],
)
def test_what_cannot_be_is_refused_before_it_is_asked(env, words, why):
    """78, and what to do."""
    status, printed, said = ended(started(env, "ask", *words))
    assert (status, printed) == (78, "")
    assert why in said


def test_a_board_without_such_a_model(tmp_path: Path):
    """1, with the board's word; a reply that has no vectors is no answer either: 76."""
    with embedded_broker(tmp_path) as port, Board(port) as board:
        asking = started(board.env, "ask", "--embed", "a")
        assert board.asked()["input"] == ["a"]
        board.ends("", code=415, error={"message": "it brings none"})
        assert ended(asking) == (1, "", "edge ask: 415: it brings none\n")
        for made in (None, {}, {"vectors": "AAAA"}, {"vectors": []}, {"vectors": [5]}, {"vectors": [""]}):
            asking = started(board.env, "ask", "--embed", "a")
            board.asked()
            board.ends("", **({} if made is None else {"embeddings": made}))
            status, printed, said = ended(asking)
            assert (status, printed) == (76, "")
            assert "vectors that can be read" in said


@pytest.mark.parametrize("length", [1, 100, BYTES_AT_ONCE // 3, BYTES_AT_ONCE * 2])
def test_requests_are_bounded(length):
    """No text is lost, none moved; together they are no more than may be, unless one alone is."""
    texts = [f"{number}{'x' * length}" for number in range(300)]
    found = list(in_requests(texts))
    assert [text for some in found for text in some] == texts
    for some in found:
        assert len(some) <= TEXTS_AT_ONCE
        assert len(some) == 1 or sum(map(len, some)) <= BYTES_AT_ONCE
    assert len(found) >= math.ceil(300 / TEXTS_AT_ONCE)
