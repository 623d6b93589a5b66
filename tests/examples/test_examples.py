"""Programs that ask, as docs/examples has them: they print what the board says, and end as its README promises.

Most of it before a board that the test plays, since no real one says such things when it is asked to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import embedded_broker, running, serving
from tests.examples.played import SECONDS, board, reads
from tests.examples.programs import Program, asked, built, parameters, there
from tests.proxy import Proxy

pytestmark = pytest.mark.checkout
slowly = pytest.mark.skipif("RUN_EXAMPLES" not in os.environ, reason="`make examples-test` runs it")
each_program = pytest.mark.parametrize("program", parameters())
QUESTION = 'What does "E42" mean, at 20 °C?\nAnd\\or E43?'
PIECES = ['It is "hot"\\', "\nat 90 °C; ", "🔥 stop it.\t"]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The embedded broker's."""
    with embedded_broker(tmp_path_factory.mktemp("broker")) as port:
        yield port


def ended(process: subprocess.Popen[str], printed: str = "") -> tuple[int, str, str]:
    """Exit status, all of standard output, and standard error."""
    output, errors = process.communicate(timeout=SECONDS)
    return process.returncode, printed + output, errors


@each_program
def test_an_answer_is_printed_as_it_comes(program: Program, port: int):
    """Each piece before the next is there; what is not this question's is let be."""
    with board(port, f"comes-{program.name}") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        _, request = played.request()
        name = request["id"]
        assert (request["prompt"], request["deadline_ms"]) == (QUESTION, 60000)
        for noise in (b"", "5", "null", "[]", '["', b"\xff\xfe", '{"type": "delta"', "{}", {"type": "reply"}):
            played.say(noise)
        for body in ({"type": "tomorrow", "text": "no"}, {"type": "queued", "place": 2, "seconds": 14.5}, {}):
            played.say({**body, "id": name})
        played.delta("another", 0, "no")
        played.reply("another", "no", 400, "no")
        printed = ""
        for index, piece in enumerate(PIECES):
            played.delta(name, index, piece)
            printed += reads(process, piece)
        assert process.poll() is None
        played.reply(name, "".join(PIECES))
        assert ended(process, printed) == (0, "".join(PIECES) + "\n", "")


@each_program
def test_what_was_lost_is_printed_at_the_end(program: Program, port: int):
    """A piece may be lost; the reply has them all, and nothing is said twice."""
    with board(port, f"lost-{program.name}") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        name = played.request()[1]["id"]
        played.delta(name, 0, "one ")
        played.delta(name, 2, "three ")
        played.delta(name, 0, "one ")
        played.reply(name, "one two three four")
        assert ended(process) == (0, "one two three four\n", "")


@each_program
def test_an_answer_that_begins_anew_is_printed_whole(program: Program, port: int):
    """After a crash the board may say it in other words. C, which keeps no text, asks for it again."""
    if program.name == "micropython":
        pytest.skip("it keeps neither the text nor a sum of it, and says so")
    with board(port, f"anew-{program.name}") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        payload, request = played.request()
        played.delta(request["id"], 0, "one ")
        played.reply(request["id"], "uno dos tres")
        if program.name.startswith("c"):
            assert played.request()[0] == payload
            played.reply(request["id"], "uno dos tres")
        status, output, _ = ended(process)
        assert status == 0
        assert output.endswith("\nuno dos tres\n")


@each_program
def test_a_refusal_is_told(program: Program, port: int):
    """Code and message on standard error, and exit status 1."""
    with board(port, f"refuses-{program.name}", "loading") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        played.reply(played.request()[1]["id"], "", 429, 'no "more" $(of) those')
        status, _, errors = ended(process)
        assert status == 1
        assert '429 no "more" $(of) those' in errors


@each_program
def test_after_a_lost_connection_the_same_is_asked_again(program: Program, port: int):
    """To the byte, so that the board answers once; a status that goes and comes in between does no harm."""
    with Proxy(port) as proxy, board(port, f"cut-{program.name}") as played:
        process = asked(program, proxy.port, QUESTION, BOARD=played.name)
        payload, request = played.request()
        played.delta(request["id"], 0, "one ")
        printed = reads(process, "one ")
        played.tell("offline")
        proxy.cut()
        played.tell("online")
        assert played.request()[0] == payload
        played.delta(request["id"], 0, "one ")
        played.reply(request["id"], "one two")
        assert ended(process, printed)[:2] == (0, "one two\n")


@each_program
def test_an_interrupt_stops_the_answer(program: Program, port: int):
    """Ctrl-C: the board is told to stop, and the exit status says so."""
    if program.name == "micropython":
        pytest.skip("a microcontroller has no Ctrl-C")
    with board(port, f"stops-{program.name}") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        name = played.request()[1]["id"]
        played.delta(name, 0, "one ")
        reads(process, "one ")
        process.send_signal(signal.SIGINT)
        assert played.cancelled() == name
        assert ended(process)[0] == 130


@pytest.mark.parametrize("case", ["away", "nowhere", pytest.param("nobody", marks=slowly)])
def test_boards_that_are_not_there(case: str, port: int):
    """All at once, since some wait: one that is offline, no broker, one that nobody knows; 69, and why."""
    with board(port, "away", "offline"):
        at = 1 if case == "nowhere" else port
        for program, process in [(each.name, asked(each, at, "?", BOARD=case)) for each in there()]:
            status, output, errors = ended(process)
            assert (status, output.strip()) == (69, ""), (program, errors)
            assert {"away": "offline", "nobody": "no word of", "nowhere": "broker"}[case] in errors, program


@slowly
def test_a_silent_board_is_not_waited_for(port: int):
    """All at once: 4, some seconds after the deadline."""
    with board(port, "silent"):
        for program, process in [
            (each.name, asked(each, port, "?", BOARD="silent", DEADLINE_SECONDS="1")) for each in there()
        ]:
            status, _, errors = ended(process)
            assert (status, "no answer" in errors) == (4, True), (program, errors)


@slowly
def test_a_broker_that_is_gone_is_not_waited_for(port: int):
    """All at once: it goes while the answer is awaited, and does not come back; 4, some seconds after the deadline."""
    with board(port, "gone") as played:
        with Proxy(port) as proxy:
            started = [
                (each.name, asked(each, proxy.port, "?", BOARD="gone", DEADLINE_SECONDS="2")) for each in there()
            ]
            for _ in started:
                played.request()
        for program, process in started:
            status, _, errors = ended(process)
            assert (status, "no answer" in errors) == (4, True), (program, errors)


def test_the_daemon_answers_all_of_them(broker: int, tmp_path: Path):
    """The real one with a scripted engine: asked by all at once, so that they queue; each has the whole answer."""
    command = [sys.executable, "-m", "edge.testing", "--pieces=4", "--pause-seconds=0.05"]
    settings = {"EDGE_DEVICE": "demo", "EDGE_BROKER__PORT": str(broker), "EDGE_JOURNAL__FOLDER": str(tmp_path)}
    with running(command, tmp_path / "daemon.log", settings), User(broker) as user:
        user.wait_online("demo")
        for name, process in [(each.name, asked(each, broker, QUESTION)) for each in there()]:
            assert ended(process) == (0, "word word word word \n", ""), name
        for name, process in [(each.name, asked(each, broker, "")) for each in there()]:
            status, _, errors = ended(process)
            assert (status, "400" in errors) == (1, True), (name, errors)


@slowly
def test_the_daemon_ends_what_is_too_slow(port: int, tmp_path: Path):
    """Its own deadline, before the program's: 408, which is exit status 4, after what there was of the answer."""
    command = [sys.executable, "-m", "edge.testing", "--pieces=200", "--pause-seconds=0.1"]
    settings = {"EDGE_DEVICE": "slow", "EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(tmp_path)}
    with running(command, tmp_path / "daemon.log", settings), User(port) as user:
        user.wait_online("slow")
        for program in there():
            status, output, errors = ended(asked(program, port, "?", BOARD="slow", DEADLINE_SECONDS="1"))
            assert (status, "408" in errors) == (4, True), (program.name, errors)
            assert output.startswith("word "), program.name


@slowly
def test_the_model_answers_all_of_them(bundle: Path, port: int, tmp_path: Path):
    """The real thing; what it says is its own matter, the reason that each gets it whole is ours."""
    with serving(bundle, port, tmp_path), User(port, "edge/test/reply/me") as user:
        user.wait_online("test")
        for program in there():
            status, output, errors = ended(asked(program, port, "What is the capital of France?", BOARD="test"))
            assert (status, errors) == (0, ""), program.name
            assert output.removesuffix("\n") == user.answer()[1]["text"], program.name


@slowly
def test_the_c_example_leaves_no_memory_behind(port: int, tmp_path: Path):
    """Under Valgrind, without sanitizers: no byte is leaked or read before it is written."""
    checked = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=99", built("ask-plain")]
    program = Program("valgrind", lambda: checked, lambda: "")
    with board(port, "checked") as played:
        process = asked(program, port, QUESTION, BOARD=played.name)
        name = played.request()[1]["id"]
        played.delta(name, 0, PIECES[0])
        played.reply(name, "".join(PIECES), 429, "enough")
        status, output, errors = ended(process)
        assert (status, output) == (1, "".join(PIECES) + "\n"), errors
        assert errors == "ask: 429 enough\n"


def test_a_wrong_call_is_told():
    """Without a question, all at once: 2, and the usage."""
    for program in there():
        status, output, errors = ended(asked(program, 1, None))
        assert (status, output, errors[:7]) == (2, "", "usage: "), (program.name, errors)
