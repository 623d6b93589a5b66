"""The reader for firmware, docs/examples/c/edge_answer.h: what a board says, in pieces of any size, and what none says.

Compiled here with every warning and with sanitizers; skipped where no C compiler is.
"""

from __future__ import annotations

import json
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.errors import Unavailable
from edge.wire.message import dumps
from edge.wire.reply import Outcome, Usage, delta, queued, refusal, terminal
from edge.wire.request import Address
from tests.examples.programs import EXAMPLES, SANITIZERS, WARNINGS, has_all

pytestmark = [pytest.mark.checkout, pytest.mark.skipif(bool(has_all("cc")), reason=has_all("cc"))]
OURS, OTHER = Address("edge/pi/reply/me", "q1", "me"), Address("edge/pi/reply/me", "q2", "me")
NOTHING, STATUS, REPLY, AGAIN = range(4)
TEXT = 'A "quoted" \\ back/slash,\n\t{"type":"reply","id":"q1"} } ] \x01 é 水 🔥 ' + "long " * 200
WITH_ALL = Outcome(
    200,
    "tool_calls",
    TEXT,
    Usage(3, 4, 0, (5, 6)),
    warnings=('a "warning"',),
    tool_calls=[{"id": "call-1", "function": {"name": "code", "arguments": '{"code": 5}'}}],
    logprobs=[{"token": "text", "logprob": -1.5e-3, "top_logprobs": []}],
    sources=[{"path": "text", "text": "of a source", "page": None}],
)


@dataclass(frozen=True)
class Heard:
    """What came of a message."""

    shown: str
    how: int
    code: int
    state: str
    message: str


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that reads with it."""
    path = tmp_path_factory.mktemp("reader") / "read_answer"
    source = Path(__file__).with_name("read_answer.c")
    command = ["cc", *WARNINGS, *SANITIZERS, f"-I{EXAMPLES / 'c'}", "-o", str(path), str(source)]
    subprocess.run(command, check=True)
    return path


def heard(reader: Path, messages: list[bytes], piece: int) -> list[Heard]:
    """What comes of messages that arrive one behind the other, each in pieces of so many bytes."""
    fed = b"".join(b"%d %d\n%b" % (len(each), piece, each) for each in messages)
    done = subprocess.run([str(reader)], input=fed, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    found = []
    for line in done.stdout.decode().splitlines():
        shown, how, code, state, message = line.split(" ")
        texts = [bytes.fromhex(each[1:]).decode(errors="replace") for each in (shown, message)]
        found.append(Heard(texts[0], int(how), int(code), state[1:], texts[1]))
    assert len(found) == len(messages)
    return found


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64, 100_000])
def test_an_answer_is_read_in_any_pieces(reader: Path, piece: int):
    """Deltas, what others are told, a lost delta, a reply with all that one may have: each byte of the text once."""
    middle = TEXT[:30]
    said = [
        queued(OURS, 1, 2.0),
        delta(OTHER, 0, "no"),
        delta(OURS, 0, middle),
        terminal(OTHER, WITH_ALL),
        delta(OURS, 2, "behind a gap"),
        terminal(OURS, WITH_ALL),
    ]
    found = heard(reader, [dumps({"state": "online"}), *(each.payload for each in said)], piece)
    assert [each.how for each in found] == [STATUS, *[NOTHING] * 5, REPLY]
    assert (found[0].state, found[-1].code) == ("online", 200)
    assert [each.shown for each in found] == ["", "", "", middle, "", "", TEXT[30:]]


def test_what_tells_comes_before_the_text():
    """The order of keys that docs/wire.md promises, and that this reader lives by."""
    refused = terminal(OURS, refusal(Unavailable("full")))
    for said in (terminal(OURS, WITH_ALL), refused):
        assert list(json.loads(said.payload))[:5] == ["type", "id", "code", "finish_reason", "text"]
    assert list(json.loads(delta(OURS, 0, "x").payload)) == ["type", "id", "index", "text"]
    assert list(json.loads(queued(OURS, 1, 2.0).payload)) == ["type", "id", "place", "seconds"]


def test_escapes_are_read_as_any_json_has_them(reader: Path):
    """A board writes UTF-8 as it is; what passes it on may not."""
    body = json.dumps({"type": "reply", "id": "q1", "code": 200, "text": TEXT + "\ud800", "index": 0}, indent=1)
    (found,) = heard(reader, [body.replace("/", "\\/").encode()], 5)
    assert found.how == REPLY
    assert found.shown.startswith(TEXT)


def test_a_refusal_is_read(reader: Path):
    """Its code and as much of its reason as there is room for; no other `message` is taken for it."""
    long = Unavailable('no "room" ' + "x" * 300)
    for fault in (Unavailable("full"), long):
        (found,) = heard(reader, [terminal(OURS, refusal(fault)).payload], 3)
        assert (found.how, found.code, found.message) == (REPLY, 503, fault.message[:127])
    body = {"type": "reply", "id": "q1", "code": 200, "text": "", "error": None, "more": {"message": "no"}}
    assert heard(reader, [dumps(body)], 3)[0].message == ""


def test_another_answer_is_told(reader: Path):
    """After a crash: the reply does not begin with what was shown, or is shorter; then the next one is shown whole."""
    for other in ("uno dos", "on"):
        said = [
            delta(OURS, 0, "one "),
            terminal(OURS, Outcome(200, "stop", other)),
            terminal(OURS, Outcome(200, "stop", other)),
        ]
        found = heard(reader, [each.payload for each in said], 2)
        assert [each.how for each in found] == [NOTHING, AGAIN, REPLY]
        assert [each.shown for each in found] == ["one ", "", other]


def test_nothing_that_comes_breaks_it(reader: Path):
    """Messages with bytes changed, left out and put in, cut off, nested without end: seeded, under sanitizers."""
    chance = random.Random(26)
    whole = [
        terminal(OURS, WITH_ALL).payload,
        delta(OURS, 0, TEXT).payload,
        terminal(OURS, refusal(Unavailable("x"))).payload,
    ]
    messages = [b"[" * 10_000, b'{"a":' * 10_000, b"]}", b'"', b'{"id":"q1","type":"reply","text":"\\u12', b"\0" * 9]
    for _ in range(1000):
        message = bytearray(chance.choice(whole))
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(message))
            message[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        messages.append(bytes(message[: chance.randrange(len(message)) if chance.random() < 0.2 else None]))
    for piece in (1, 50):
        heard(reader, messages, piece)
