"""`edge ask` and a stream that is not as it should be, from a board that a test plays."""

from __future__ import annotations

import json
import os
import signal

import pytest

from tests.conftest import embedded_broker
from tests.edge.commands.program import Board, ended, in_terminal, scripted, shown_on, started, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The embedded broker for all tests here."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as port:
        yield port


@pytest.fixture
def board(port):
    """A board that says what a test has it say."""
    with Board(port) as board:
        yield board


STREAMS = {
    "whole": ([(0, "a "), (1, "b "), (2, "c")], "a b c", "a b c\n", 0),
    "none came": ([], "a b c", "a b c\n", 0),
    "the first is lost": ([(1, "b "), (2, "c")], "a b c", "a b c\n", 0),
    "one within is lost": ([(0, "a "), (2, "c")], "a b c", "a b c\n", 0),
    "the last is lost": ([(0, "a "), (1, "b ")], "a b c", "a b c\n", 0),
    "one comes twice": ([(0, "a "), (0, "a "), (1, "b "), (2, "c")], "a b c", "a b c\n", 0),
    "begun again alike": ([(0, "a "), (1, "b "), (0, "a "), (1, "b "), (2, "c")], "a b c", "a b c\n", 0),
    "begun again in other pieces": ([(0, "a "), (1, "b "), (0, "a"), (1, " b c")], "a b c", "a b c\n", 0),
    "begun again with a gap": ([(0, "a "), (1, "b "), (0, "a "), (2, "c")], "a b c", "a b c\n", 0),
    "begun again unlike": ([(0, "x "), (1, "y "), (0, "a "), (1, "b ")], "a b c", "x y \na b c\n", 75),
    "begun again unlike, a piece lost": ([(0, "x "), (1, "y "), (1, "b ")], "a b c", "x y \na b c\n", 75),
    "of indexes that cannot be": ([(-1, "z"), (10**30, "z"), (0, "a ")], "a b c", "a b c\n", 0),
}


@pytest.mark.parametrize("name", STREAMS)
def test_standard_output_is_the_reply(board, name):
    """Whatever became of the pieces; where what was printed is not its beginning, that is said, in the status, too."""
    pieces, text, printed, status = STREAMS[name]
    asking = started(board.env, "ask", "hi")
    board.asked()
    board.pieces(*pieces)
    board.ends(text, index=3)
    done = ended(asking)
    assert done[:2] == (status, printed)
    assert ("began its answer again" in done[2]) == bool(status)


def test_a_terminal_is_repaired_in_sight(board):
    """Who sees both answers needs no status to tell them apart; what is said stands on lines of its own."""
    asking, terminal = in_terminal(board.env, "ask", "hi")
    board.asked()
    board.pieces((0, "x "), (0, "a "), (1, "b "))
    board.ends("a b c", index=3)
    said = "edge ask: the board began its answer again and said something else; the whole of it comes last"
    shown = shown_on(terminal)
    assert sorted(shown.splitlines()) == sorted(["x ", "a b c", said])
    assert asking.wait(10) == 0


def test_a_reply_without_its_text(board):
    """A broker's bound left it out: pieces are the answer where all came, and else it is told that they are not."""
    for pieces, printed, status in (([(0, "a "), (1, "b")], "a b\n", 0), ([(0, "a ")], "a \n", 75)):
        asking = started(board.env, "ask", "hi")
        board.asked()
        board.pieces(*pieces)
        board.ends("", index=2, warnings=["the text was left out"])
        done = ended(asking)
        assert done[:2] == (status, printed)
        assert ("1 of 2 pieces of the answer are lost" in done[2]) == bool(status)


def test_an_answer_that_was_broken_off(board):
    """What there was of it stays; a refusal prints nothing on standard output."""
    for pieces, text, printed in (([(0, "a ")], "a b", "a b\n"), ([(0, "a ")], "", "a \n"), ([], "", "")):
        asking = started(board.env, "ask", "hi")
        board.asked()
        board.pieces(*pieces)
        board.ends(text, code=500, error={"message": "it broke"})
        assert ended(asking) == (1, printed, "edge ask: 500: it broke\n")


UNREADABLE = {
    "no JSON": b"{",
    "no text": b"\xff\xfe\x00",
    "no object": b"[1]",
    "deep": b"[" * 100_000,
    "a type that is not known": {"type": "thought", "text": "x"},
    "no type": {"text": "x"},
    "a type of another kind": {"type": 5, "text": "x"},
    "a list for a type": {"type": ["reply"], "text": "x"},
    "a piece without an index": {"type": "delta", "text": "x"},
    "a piece without a text": {"type": "delta", "index": 0, "text": None},
    "a place that is none": {"type": "queued", "place": "first"},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_understood_is_passed_over_and_told(board, name):
    """The reply has the whole answer, and comes."""
    asking = started(board.env, "ask", "hi")
    board.asked()
    strange = UNREADABLE[name]
    board.user.publish(board.reply_topic, strange if isinstance(strange, bytes) else {"id": board.id, **strange})
    board.ends("a b c")
    status, out, said = ended(asking)
    assert (status, out, said.count("passed over")) == (0, "a b c\n", 1)


@pytest.mark.parametrize("body", [{}, {"code": "200", "text": "x"}, {"code": 200}, {"code": 200, "text": ["x"]}])
def test_a_reply_of_another_language(board, body):
    """Without a code or a text it is none; the status is sysexits' for a protocol."""
    asking = started(board.env, "ask", "hi")
    board.asked()
    board.says("reply", **body)
    status, _, said = ended(asking)
    assert (status, "the board's reply has no" in said) == (76, True), said


@pytest.mark.parametrize("strange", [None, [], "x", {}, {"prompt_tokens": "x"}])
def test_a_reply_without_what_is_beside_the_answer(board, strange):
    """Figures, warnings and reasons that are missing or odd cost nobody the answer."""
    for code, status in ((200, 0), (500, 1)):
        asking = started(board.env, "ask", "--verbose", "hi")
        board.asked()
        odd = {"usage": strange, "timings": strange, "warnings": strange, "finish_reason": strange, "error": strange}
        board.ends("a b c", code=code, **odd)
        done = ended(asking)
        assert done[:2] == (status, "a b c\n")
        assert "cannot be read" in done[2]


def test_what_an_answer_took_and_what_slowed_it(board):
    """With --verbose: joules without the idle board's, where those are known, and the governor's reason."""
    energy = {"gross_joules": 31.2, "net_joules": 18.4}
    for taken, shown in ((energy, "18.4 J"), (energy | {"net_joules": None}, "31.2 J with an idle board's")):
        asking = started(board.env, "ask", "--verbose", "hi")
        board.asked()
        board.ends("a b c", energy=taken, slowed={"duty": 0.5, "reason": "to stay below\x1b[2J 77 °C"})
        status, _, said = ended(asking)
        assert (status, f"(stop), {shown}; slowed down: to stay below" in said) == (0, True), said
        assert "\x1b" not in said


STEERING = "a\x1b]52;c;eA==\x07b\x1b[2Jc\rd\x9b31me\u202ef\u2066g\x08h\x7fi\x00j\ttab\nline"


def test_what_steers_a_terminal_reaches_none(board):
    """Not from an answer, an error or a warning; a pipe gets the text as it is."""
    for code in (200, 500):
        for words in (["ask", "hi"], ["ask", "--no-stream", "hi"], ["ask", "--json", "hi"]):
            asking, terminal = in_terminal(board.env, *words)
            board.asked()
            board.pieces((0, STEERING[:7]))
            board.ends(STEERING, code=code, warnings=[STEERING], error={"message": STEERING})
            shown = shown_on(terminal)
            asking.wait(10)
            steering = set(shown) & set(STEERING) - set("\n\tabcdefghijklmnopqrstuvwxyzA=;523[]1J")
            assert not steering
            assert "\\u001b" in shown
            assert "\ttab\nline" in shown or "--json" in words
    asking = started(board.env, "ask", "hi")
    board.asked()
    board.pieces((0, STEERING[:7]))
    board.ends(STEERING)
    assert ended(asking)[:2] == (0, f"{STEERING}\n")


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437", "utf-8", "ascii:replace"])
def test_an_answer_of_characters_that_the_output_lacks(board, encoding):
    """They are spelled out; JSON stays JSON."""
    text = "größe € 🙂 \ud800"
    env = {**board.env, "LC_ALL": "C", "PYTHONIOENCODING": encoding}
    for words in (["ask", "hi"], ["ask", "--json", "hi"]):
        asking = started(env, *words)
        board.asked()
        board.ends(text)
        out, said = asking.communicate(timeout=30)
        assert (asking.returncode, said) == (0, b"")
        if "--json" in words:
            assert json.loads(out.decode(encoding.partition(":")[0]))["text"].startswith("größe € 🙂")
        else:
            assert out.startswith(b"gr")


# --- boards and brokers that come and go ---


def test_a_board_that_goes_offline_and_comes_back(board):
    """It is told; the answer is waited for."""
    asking = started(board.env, "ask", "hi")
    board.asked()
    assert asking.stderr is not None
    board.state("offline")
    until(asking.stderr, "the board went offline")
    board.state("online")
    until(asking.stderr, "the board is back")
    board.ends("a b c")
    assert ended(asking) == (0, "a b c\n", "")


def test_a_status_without_anybody(board):
    """The broker knows that nobody has the request, and it is told at once."""
    board.user.client.unsubscribe("edge/odd/request/+")
    board.user.client.unsubscribe("edge/odd/cancel/+")
    status, _, said = ended(started(board.env, "ask", "hi"))
    assert (status, "no board named 'odd' listens" in said) == (69, True), said


def test_a_board_that_nobody_knows(board, port):
    """Those that are there are named, by every command alike; a name that is none is not."""
    board.user.publish("edge/bad name/status", {"state": "online"}, retain=True)
    for words in (["ask", "--timeout", "4", "hi"], ["status", "--wait", "1"]):
        status, _, said = ended(started(board.env, *words, "--device", "attic"))
        assert (status, "no board named attic is known to this broker" in said) == (69, True), said
        assert "those on it are odd (online)\n" in said
        assert "bad name" not in said
    board.user.publish("edge/bad name/status", b"", retain=True)


def test_a_time_that_is_over_at_once(board):
    """A board that is there is not said to be unknown."""
    status, _, said = ended(started(board.env, "ask", "--timeout", "0.0001", "hi"))
    assert (status, "no board named" in said) == (4, False), said


def test_a_board_that_stays_away(board):
    """The wait has an end, the asker's own."""
    board.state("offline")
    status, _, said = ended(started(board.env, "ask", "--timeout", "3", "hi"))
    assert (status, "the board 'odd' is offline" in said) == (4, True), said
    assert "to come online: it is offline" in said


def test_an_unreadable_status_is_none(board):
    """It is waited for one that says something."""
    board.state(3)
    asking = started(board.env, "ask", "hi")
    assert asking.stderr is not None
    until(asking.stderr, "waiting for the board")
    for strange in (b"", b"{", b"[]", b"\xff", b'{"status": "online"}', b"[" * 100_000):
        board.user.publish("edge/odd/status", strange, retain=True)
    board.state("online")
    board.asked()
    board.ends("a b c")
    assert ended(asking)[:2] == (0, "a b c\n")


def test_a_broker_that_is_started_anew(tmp_path):
    """What came while the connection was lost is gone, so the question is asked again under its id."""
    with embedded_broker(tmp_path) as port, Board(port) as board:
        asking = started(board.env, "ask", "hi")
        first = board.asked()
    with embedded_broker(tmp_path, port), Board(port) as board:
        assert board.asked() == first
        board.ends("a b c")
        status, out, said = ended(asking)
    assert (status, out, "lost" in said) == (0, "a b c\n", True), said


# --- signals and readers that leave ---

ENDINGS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_while_it_streams(port, tmp_path, number, status):
    """The board cancels, says so, and the status is the signal's."""
    with scripted(port, tmp_path, "slow", 1000, 0.05):
        asking = started({"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "slow"}, "ask", "hi")
        assert asking.stdout is not None
        asking.stdout.read(5)
        asking.send_signal(number)
        done = ended(asking)
    assert (done[0], "499: cancelled as asked" in done[2]) == (status, True)


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_while_it_waits_its_turn(board, number, status):
    """The cancel goes out; a board that says nothing is waited for a few seconds, a second signal ends it at once."""
    for signals in (1, 2):
        asking = started(board.env, "ask", "hi")
        board.asked()
        board.says("queued", place=3)
        assert asking.stderr is not None
        until(asking.stderr, "waiting, 3 before us")
        asking.send_signal(number)
        assert json.loads(board.user.next().payload) == {"id": board.id}
        until(asking.stderr, "cancelling")
        if signals == 2:
            asking.send_signal(signal.SIGINT)
        assert ended(asking) == (status, "", "")


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_before_anything_was_asked(port, number, status):
    """While a board is waited for, and while the question is."""
    asking = started({"EDGE_BROKER__PORT": str(port)}, "ask", "--device", "attic", "hi")
    assert asking.stderr is not None
    until(asking.stderr, "waiting for the board 'attic'")
    asking.send_signal(number)
    assert ended(asking) == (status, "", "")
    ours, theirs = os.openpty()
    asking = started({}, "ask", stdin=theirs)
    os.close(theirs)
    assert asking.stderr is not None
    until(asking.stderr, "type the question")
    asking.send_signal(number)
    assert ended(asking)[:2] == (status, "")
    os.close(ours)


def test_an_ignored_signal_stays_ignored(board):
    """As `nohup` has it, and a shell for what it starts with `&`."""
    ignoring = lambda: [signal.signal(number, signal.SIG_IGN) for number, _ in ENDINGS[::2]]  # noqa: E731
    asking = started(board.env, "ask", "hi", preexec_fn=ignoring)
    board.asked()
    for number, _ in ENDINGS[::2]:
        asking.send_signal(number)
    board.ends("a b c")
    assert ended(asking) == (0, "a b c\n", "")


def test_a_reader_that_leaves(board):
    """`| head -1`: the board is told, nobody else."""
    asking = started(board.env, "ask", "hi")
    board.asked()
    board.pieces((0, "a "))
    assert asking.stdout is not None
    asking.stdout.read(2)
    asking.stdout.close()
    asking.stdout = None
    board.pieces((1, "b "))
    assert json.loads(board.user.next().payload) == {"id": board.id}
    assert ended(asking) == (141, "", "")
