"""Every command in surroundings that a tired person or a script may put it in: no trace, and a status that says why."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.__main__ import COMMANDS
from tests.conftest import ROOT, embedded_broker, free_port, wait_for_port
from tests.edge.commands.program import Board, ended, in_terminal, scripted, shown_on, started, until

pytestmark = pytest.mark.slow

SHORT = {
    "ask": ["ask", "hi"],
    "status": ["status", "--once", "--wait=3"],
    "bench": ["bench", "--rounds=1", "--tokens=2", "--clients=1"],
    "doctor": ["doctor"],
    "schema": ["schema", "telemetry"],
    "bundle": ["bundle", "show", "BUNDLE"],
    "serve": ["serve", "--print-config"],
}
"""Each command that ends by itself, with what it needs."""


@pytest.fixture(scope="module")
def board(bundle, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The stand-in engine behind the embedded broker; the environment that leads there."""
    folder = tmp_path_factory.mktemp("board")
    with embedded_broker(folder) as port, scripted(port, folder):
        yield {
            "EDGE_BROKER__PORT": str(port),
            "EDGE_DEVICE": "test",
            "EDGE_ENGINE__BUNDLE": str(bundle),
            "EDGE_JOURNAL__FOLDER": str(folder / "journal"),
        }


def words_of(command: str, env: dict[str, str]) -> list[str]:
    """A short call of a command."""
    return [env["EDGE_ENGINE__BUNDLE"] if word == "BUNDLE" else word for word in SHORT[command]]


def closing(*numbers: int) -> Callable[[], None]:
    """For a child before it becomes the program: close some of its descriptors."""
    return lambda: [os.close(number) for number in numbers] and None


# --- standard streams ---


@pytest.mark.parametrize("command", SHORT)
def test_standard_streams_that_are_closed_or_full(board, command, tmp_path):
    """Without an input all is as ever, without a place for errors too; without one for output the status is 74."""
    words = words_of(command, board)
    with Path("/dev/full").open("wb") as full:
        for options in ({"preexec_fn": closing(0)}, {"preexec_fn": closing(2)}, {"stderr": full}, {}):
            status, out, _ = ended(started(board, *words, **options))
            assert (status, bool(out)) == (0, True), options
        for options in ({"preexec_fn": closing(1)}, {"stdout": full}, {"preexec_fn": closing(0, 1)}):
            status, _, said = ended(started(board, *words, **options))
            assert status == 74, options
            assert re.fullmatch(rf"edge {command}: standard output: .*\n", said), said
        assert ended(started(board, *words, preexec_fn=closing(0, 1, 2)))[0] == 74
        assert ended(started(board, *words, stdout=full, stderr=full))[0] == 74


@pytest.mark.parametrize("command", SHORT)
def test_a_pipe_without_a_reader(board, command):
    """The end is quiet, with the status that a shell has for SIGPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    done = ended(started(board, *words_of(command, board), stdout=writer))
    os.close(writer)
    assert done == (141, "", "")


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_into_nothing(command):
    """What argparse prints goes the same way; wrong usage keeps its status where nobody can be told."""
    words = [command] if command else []
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/full").open("wb") as full:
        assert ended(started({}, *words, "--help", stdout=writer)) == (141, "", "")
        assert ended(started({}, *words, "--help", stdout=full))[0] == 74
        assert ended(started({}, *words, "--nonsense", stderr=full))[0] == 2
        assert ended(started({}, *words, "--nonsense", preexec_fn=closing(0, 1, 2)))[0] == 2
    os.close(writer)


def test_a_broker_serves_on_without_a_reader(board):
    """Its word that it listens is for whoever reads it; a signal ends it with 0."""
    with Path("/dev/full").open("wb") as full:
        for options in ({"preexec_fn": closing(0, 1)}, {"stdout": full}):
            port = free_port()
            broker = started({}, "broker", f"--port={port}", **options)
            wait_for_port(port)
            with Board(port) as odd:
                asking = started(odd.env, "ask", "hi")
                odd.asked()
                odd.ends("x")
                assert ended(asking) == (0, "x\n", "")
            broker.send_signal(signal.SIGTERM)
            assert ended(broker)[0] == 0


def test_a_pipe_that_does_not_block(board):
    """Whoever made it so, its reader gets everything."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = started(board, "serve", "--print-config", stdout=writer, bufsize=0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert b"[telemetry]" in pipe.read()
    assert ended(process) == (0, "", "")


# --- a terminal, a locale, a home, a folder ---


@pytest.mark.parametrize("command", SHORT)
@pytest.mark.parametrize(
    ("columns", "env"), [(20, {}), (1, {}), (0, {}), (80, {"COLUMNS": "0"}), (80, {"TERM": "dumb"})]
)
def test_terminals(board, command, columns, env):
    """However narrow: nothing that steers it is printed, and no line of progress is longer than it is wide."""
    process, terminal = in_terminal({**board, **env}, *words_of(command, board), columns=columns)
    shown = shown_on(terminal)
    assert process.wait(10) == 0
    assert "\x1b" not in shown
    passing = shown.split("\r")[1:-1]
    assert all(len(line) < max(columns or 80, 2) for line in passing)
    assert bool(passing) == (command == "bench" and env.get("TERM") != "dumb")


BARE = {"LANG": "C", "LC_ALL": "C", "TMPDIR": "/nowhere"}


@pytest.mark.parametrize("command", SHORT)
def test_an_environment_of_next_to_nothing(board, command, tmp_path):
    """No HOME, no PATH, no TERM, the C locale, no folder for what is passing, one that only reads to work in."""
    for more in ({}, BARE, {**BARE, "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}):
        process = started({**board, **more}, *words_of(command, board), bare=True, cwd="/proc")
        status, out, said = ended(process)
        assert (status, bool(out)) == (0, True), said


def test_a_folder_that_is_gone(board, tmp_path):
    """To work in."""
    (tmp_path / "gone").mkdir()
    script = f"cd {tmp_path}/gone && rmdir ../gone && exec {sys.executable} -m edge ask hi"
    env = {**os.environ, "PYTHONPATH": str(ROOT), **board}
    done = subprocess.run(["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="takes on another user's number")
@pytest.mark.parametrize("command", SHORT)
def test_a_user_without_a_name(board, command):
    """A number that the system has no home for, as a container may give; nobody asks for one."""
    unknown = lambda: os.setresuid(54321, 0, 0)  # noqa: E731 - who it is by its real number; it may read as before
    status, out, said = ended(started(board, *words_of(command, board), bare=True, preexec_fn=unknown))
    assert (status, bool(out)) == (0, True), said


@pytest.mark.parametrize("text", ["[broker\n", "x = 1\n", "[broker]\nport = 'many'\n", "\xff\xfe"])
@pytest.mark.parametrize("command", ["ask", "status", "bench", "doctor", "serve"])
def test_settings_that_are_broken(tmp_path, command, text):
    """Every command that reads them says which file is wrong, and ends with one status."""
    (tmp_path / "edge.toml").write_bytes(text.encode("latin-1"))
    status, _, said = ended(started({}, *SHORT[command], cwd=tmp_path))
    assert status == 78
    assert re.match(rf"edge {command}: edge.toml", said), said


def test_commands_that_need_no_settings_read_none(board, tmp_path):
    """A bundle can be looked at beside a broken file."""
    (tmp_path / "edge.toml").write_text("[broker")
    assert ended(started(board, *words_of("bundle", board), cwd=tmp_path))[0] == 0


# --- what is asked with ---

WRONG = {
    "a wildcard": (["--device", "#"], 2, "--device"),
    "another wildcard": (["--device", "a/+"], 2, "--device"),
    "a level too many": (["--device", "a/b"], 2, "--device"),
    "too long a name": (["--device", "x" * 70_000], 2, "--device"),
    "no name": (["--device", ""], 2, "--device"),
    "a name of no text": (["--device", b"\xff"], 2, "--device"),
    "a user of a wildcard": (["--user", "#"], 2, "--user"),
    "too long a host": (["--broker", "x" * 64], 2, "--broker"),
    "a host with a gap": (["--broker", "a..b"], 2, "--broker"),
    "a question of no text": ([b"\xff"], 2, "prompt"),
    "a system prompt of no text": (["--system", b"a\xff", "hi"], 2, "--system"),
    "a temperature that is none": (["--temperature", "nan", "hi"], 2, "--temperature"),
    "a number that is none": (["--seed", "9" * 5000, "hi"], 2, "--seed"),
    "an empty question": ([""], 78, "nothing was asked"),
    "a question of spaces": ([" \t\n"], 78, "nothing was asked"),
    "no picture": (["--image", "/nowhere.png", "hi"], 78, "/nowhere.png"),
    "a picture of no text": (["--image", b"/\xff.png", "hi"], 78, "cannot be read"),
    "a folder for a picture": (["--image", "/tmp", "hi"], 78, "/tmp"),
    "a text for a picture": (["--image", __file__, "hi"], 78, "none of image/jpeg"),
    "a picture without end": (["--image", "/dev/zero", "hi"], 78, "/dev/zero has more than"),
    "a pipe for a picture": (["--image", "FIFO", "hi"], 78, "is empty"),
    "no schema": (["--json-schema", "/nowhere.json", "hi"], 78, "/nowhere.json"),
    "a folder for a schema": (["--json-schema", "/tmp", "hi"], 78, "/tmp"),
    "a schema without end": (["--json-schema", "/dev/zero", "hi"], 78, "/dev/zero has more than"),
    "a pipe for a schema": (["--json-schema", "FIFO", "hi"], 78, "is not a JSON schema"),
    "too deep a schema": (["--json-schema", "DEEP", "hi"], 78, "is not a JSON schema"),
    "no password": (["--password-file", "/nowhere", "hi"], 78, "/nowhere"),
    "a folder for a password": (["--password-file", "/tmp", "hi"], 78, "/tmp"),
    "a password without end": (["--password-file", "/dev/zero", "hi"], 78, "/dev/zero has more than"),
    "a pipe for certificates": (["--tls-ca", "FIFO", "hi"], 78, "tls_ca"),
    "a folder for certificates": (["--tls-ca", "/tmp", "hi"], 78, "tls_ca"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_asked_with(board, tmp_path, name):
    """Said with its option or its file, before anything is asked."""
    words, status, says = WRONG[name]
    os.mkfifo(tmp_path / "FIFO")
    (tmp_path / "DEEP").write_text("[" * 100_000)
    done = ended(started({**board, "PYTHONPATH": str(ROOT)}, "ask", *words, cwd=tmp_path))
    assert (done[0], says in done[2]) == (status, True), done[2][-300:]


ASKED = {
    "no bytes": (b"", 78, "nothing was asked"),
    "no text": (b"\x80abc", 78, "standard input cannot be asked"),
    "a null character": (b"a\0b", 78, "standard input cannot be asked"),
    "binary": (bytes(range(256)) * 100, 78, "standard input cannot be asked"),
    "a mark of UTF-16": ("hé".encode("utf-16"), 0, ""),
    "a C string": (b"hi\0", 0, ""),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_piped_in(board, name):
    """Text in any encoding that says so; what is none is said in a line."""
    data, status, says = ASKED[name]
    done = ended(started(board, "ask", "-", stdin=subprocess.PIPE), data)
    assert (done[0], says in done[2], len(done[2].splitlines())) == (status, True, int(status > 0)), done[2]


def test_a_question_in_the_terminals_own_encoding(board, tmp_path):
    """As a Latin-1 terminal pipes and types it; in a locale without letters an argument is read as UTF-8."""
    with Board(int(board["EDGE_BROKER__PORT"])) as odd:
        for env, words, data in (
            ({"PYTHONIOENCODING": "latin-1"}, [], "größe".encode("latin-1")),
            ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, ["größe"], b""),
        ):
            asking = started({**odd.env, **env}, "ask", *words, stdin=subprocess.PIPE)
            assert asking.stdin is not None
            asking.stdin.write(data)
            asking.stdin.close()
            asking.stdin = None
            assert odd.asked()["prompt"] == "größe"
            odd.ends("x")
            assert ended(asking)[:2] == (0, "x\n")


def test_a_question_without_end(board):
    """It is read no further than any board would; the memory that it takes has a bound."""
    bounded = lambda: resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))  # noqa: E731
    with Path("/dev/zero").open("rb") as endless:
        status, _, said = ended(started(board, "ask", stdin=endless, preexec_fn=bounded))
    assert (status, "more than 16 MiB" in said) == (78, True), said


def test_a_picture_from_a_pipe(board, tmp_path):
    """As a shell's `<(…)` hands it over; this board does not see, which is its own word."""
    reader, writer = os.pipe()
    asking = started(board, "ask", "--image", f"/dev/fd/{reader}", "hi", pass_fds=[reader])
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        pipe.write((ROOT / "docs/gauge.png").read_bytes())
    status, _, said = ended(asking)
    assert (status, "415" in said) == (1, True), said


# --- brokers ---


def answering(handle: Callable[[socket.socket], None]) -> Callable[[], contextlib.AbstractContextManager[int]]:
    """A broker that is none: what it does with each connection."""

    @contextlib.contextmanager
    def listening() -> Iterator[int]:
        kept: list[socket.socket] = []
        with socket.create_server(("127.0.0.1", 0)) as server:

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        kept.append(server.accept()[0])
                        handle(kept[-1])

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield int(server.getsockname()[1])
            server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        for each in kept:
            each.close()

    return listening


def refuses_plain(taken: socket.socket) -> None:
    """What a server of TLS does at a word that is none of TLS: an alert, and the end."""
    taken.sendall(b"\x15\x03\x01\x00\x02\x02\x46")
    taken.close()


BROKERS = {
    "silent": answering(lambda _taken: None),
    "closing": answering(lambda taken: taken.close()),
    "of another language": answering(lambda taken: taken.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 20)),
    "of TLS": answering(refuses_plain),
}


@pytest.mark.parametrize("name", BROKERS)
def test_brokers_that_are_none(name, tmp_path):
    """Every command says where no broker answers, with one status; the doctor has it as a line."""
    with BROKERS[name]() as port:
        env = {"EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(tmp_path)}
        commands = ("ask", "status", "bench", "doctor")
        done = {command: process for command in commands if (process := started(env, *SHORT[command]))}
        for command, process in done.items():
            status, out, said = ended(process)
            assert status == (1 if command == "doctor" else 69), said
            assert re.search(rf"127.0.0.1:{port}\b", out if command == "doctor" else said)
            assert len(said.splitlines()) <= 3, said


def test_a_broker_whose_name_nobody_knows():
    """Said with the resolver's word, each word once."""
    status, _, said = ended(started({}, "ask", "--broker", "nowhere.invalid", "hi"))
    assert status == 69
    assert said.count("the name nowhere.invalid is not known") == 2, said  # once as it goes, once at its end


def test_tls_to_a_broker_without(board):
    """Said as what it is."""
    port, authorities = board["EDGE_BROKER__PORT"], ssl.get_default_verify_paths().openssl_cafile
    if not Path(authorities).is_file():
        pytest.skip("this machine trusts nobody")
    status, _, said = ended(started({}, "ask", "--broker", f"127.0.0.1:{port}", "--tls-ca", authorities, "hi"))
    assert (status, "speaks no TLS" in said) == (69, True), said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["ask", "status", "bench", "doctor"])
def test_a_signal_while_a_broker_is_waited_for(command, number, status, tmp_path):
    """Quiet, at once, whatever a thread still waits for."""
    came = threading.Event()
    with answering(lambda _taken: came.set())() as port:
        env = {"EDGE_BROKER__PORT": str(port), "EDGE_JOURNAL__FOLDER": str(tmp_path)}
        process = started(env, *SHORT[command])
        assert came.wait(30)
        process.send_signal(number)
        done = ended(process)
    assert (done[0], done[2]) == (status, "")


# --- what boards say of themselves ---

ODD = [None, True, 3, "x", [], {}, {"model": 1}, "\x1b[2J\nforged", {"total_bytes": "x"}]


def test_a_board_that_says_odd_things_of_itself(board):
    """`status` and `bench` say what cannot be read; a terminal is steered by none of it, no line is forged."""
    with Board(int(board["EDGE_BROKER__PORT"])) as odd:
        names = ("model", "provider", "context_length", "queue_length", "rows", "wire_version")
        for strange in ODD:
            odd.info(**dict.fromkeys(names, strange))
            body = dict.fromkeys(("thermal", "memory", "cpu", "inference"), strange)
            odd.user.publish("edge/odd/telemetry", body, retain=True)
            process, terminal = in_terminal(odd.env, "status", "--once", "--wait=5")
            shown = shown_on(terminal)
            assert process.wait(10) == 0
            assert "\x1b" not in shown
            assert "\nforged" not in shown
            assert "version" in shown
            assert json.loads(ended(started(odd.env, "status", "--json"))[1])["info"]["model"] == strange
            status, _, said = ended(started(odd.env, *SHORT["bench"]))
            assert (status, "the board's info has no" in said) == (76, True), said
        odd.user.publish("edge/odd/telemetry", b"", retain=True)


def test_a_board_that_leaves_while_it_is_measured(board):
    """A bench ends, and says why."""
    with Board(int(board["EDGE_BROKER__PORT"])) as odd:
        odd.info(model="m", provider="cpu", queue_length=1)
        process = started(odd.env, *SHORT["bench"])
        odd.asked()
        odd.state("offline")
        status, _, said = ended(process)
    assert (status, "went offline while it was measured" in said) == (69, True), said


def children_of(demo: subprocess.Popen[bytes]) -> list[str]:
    """Its processes, once its broker listens."""
    assert demo.stdout is not None
    until(demo.stdout, "broker ")
    children = Path(f"/proc/{demo.pid}/task/{demo.pid}/children").read_text().split()
    assert children
    return children


def test_a_demo_without_a_reader_leaves_nothing_behind(bundle):
    """It ends as soon as it cannot say what it does, and so do its broker and its daemon."""
    demo = started({}, "demo", "--bundle", str(bundle), "--once")
    children = children_of(demo)
    assert demo.stdout is not None
    demo.stdout.close()
    demo.stdout = None
    assert ended(demo)[0] == 141
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]
    assert ended(started({}, "demo", "--bundle", str(bundle), "--once", preexec_fn=closing(1)))[0] == 74


def test_a_demo_that_is_ended_leaves_nothing_behind(bundle):
    """SIGTERM while the model loads: the broker and the daemon end, too."""
    demo = started({}, "demo", "--bundle", str(bundle))
    children = children_of(demo)
    demo.send_signal(signal.SIGTERM)
    assert ended(demo)[0] == 143
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("command", ["demo", "bundle", "bench", "serve", "doctor"])
def test_a_bundle_that_is_none(board, command):
    """Every command that opens one has one status for it; the doctor has it as a line."""
    words = {"demo": ["--once", "--bundle", "/nowhere"], "bundle": ["verify", "/nowhere"]}
    words |= {"bench": ["--bundle", "/nowhere"], "serve": [], "doctor": []}
    status, out, said = ended(started({**board, "EDGE_ENGINE__BUNDLE": "/nowhere"}, command, *words[command]))
    assert (status, "/nowhere is not a bundle" in out + said) == (1 if command == "doctor" else 65, True), said


@pytest.mark.parametrize("port", ["0", "65536", "99999999999", "-1", "x", "²"])
def test_a_port_that_is_none(port):
    """Said before anything is started."""
    status, _, said = ended(started({}, "demo", "--bundle", "x", f"--port={port}"))
    assert (status, "--port" in said) == (2, True), said
