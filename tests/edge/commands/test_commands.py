"""The command line as its users meet it: real processes, their output and their exit statuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from edge.__main__ import COMMANDS
from edge.commands.demo import judged
from edge.errors import EdgeError
from tests.clients import User
from tests.conftest import EDGE, ROOT, embedded_broker, serving


@pytest.fixture(scope="module")
def board(bundle, tmp_path_factory):
    """A daemon over the embedded broker for all tests here; the environment that leads there."""
    folder = tmp_path_factory.mktemp("board")
    with embedded_broker(folder) as port, serving(bundle, port, folder):
        with User(port) as user:
            user.wait_online()
        yield {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "test"}


def edge(env: dict[str, str], *arguments: str, **options) -> subprocess.CompletedProcess[str]:
    """One command to its end."""
    environment = {**os.environ, **env}
    return subprocess.run(
        [*EDGE, *arguments],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_ask(board):
    """An argument or piped text is asked; the answer is all of standard output."""
    asked = edge(board, "ask", "--max-tokens", "12", "What is the capital of France?")
    piped = edge(board, "ask", "--no-stream", "--max-tokens", "12", input="What is the capital of France?")
    assert (asked.returncode, piped.returncode) == (0, 0)
    assert "Paris" in asked.stdout
    assert asked.stdout == piped.stdout


def test_a_reply_as_json(board):
    """`--json` prints the terminal message as one object, of a refusal, too, with the status of its code."""
    done = edge(board, "ask", "--json", "--max-tokens", "12", "What is the capital of France?")
    reply = json.loads(done.stdout)
    assert (done.returncode, reply["code"], "Paris" in reply["text"]) == (0, 200, True)
    refused = edge(board, "ask", "--json", input="sea " * 5000)
    assert (refused.returncode, json.loads(refused.stdout)["code"]) == (1, 413)


def test_the_broker_can_be_named_on_the_command_line(board):
    """Over what variables say; and a port that is none is a wrong usage."""
    here = f"127.0.0.1:{board['EDGE_BROKER__PORT']}"
    done = edge({"EDGE_BROKER__PORT": "1"}, "ask", "--broker", here, "--device", "test", "--max-tokens", "4", "Hi")
    assert done.returncode == 0, done.stderr
    assert edge({}, "ask", "--broker", "pi:many", "Hi").returncode == 2


def test_ask_holds_to_a_schema(board, tmp_path):
    """The answer parses; a file that is no schema is a configuration error."""
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema))
    done = edge(board, "ask", "--json-schema", str(path), "--max-tokens", "64", "A city?")
    assert isinstance(json.loads(done.stdout)["city"], str)
    path.write_text("[]")
    assert edge(board, "ask", "--json-schema", str(path), "A city?").returncode == 78


def test_the_outcome_is_the_exit_status(board):
    """Nothing asked 78, out of time 4, longer than the context 1 with both figures."""
    assert edge(board, "ask", input=" ").returncode == 78
    endless = ["--timeout", "3", "--no-loop-guard", "--max-tokens", "2000"]
    late = edge(board, "ask", *endless, "Write a very long story about the sea.")
    assert (late.returncode, "408" in late.stderr) == (4, True)
    long = edge(board, "ask", input="sea " * 5000)
    assert long.returncode == 1
    assert "the context holds 4096" in long.stderr


def test_ctrl_c_cancels_on_the_board(board):
    """The board says that it was cancelled, and the status is the shell's for an interrupt."""
    command = [*EDGE, "ask", "--max-tokens", "3000", "--temperature", "1", "--seed", "1", "Write a very long story."]
    environment = {**os.environ, **board}
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        asking.stdout.read(5)
        asking.send_signal(signal.SIGINT)
        _, errors = asking.communicate(timeout=30)
    assert asking.returncode == 130
    assert b"cancelled as asked" in errors


def test_ask_waits_for_a_board_that_comes_later(bundle, tmp_path):
    """A question asked before the daemon stands is not lost."""
    with embedded_broker(tmp_path) as port:
        env = {**os.environ, "EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "test"}
        command = [*EDGE, "ask", "--max-tokens", "12", "What is the capital of France?"]
        with subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
            time.sleep(1)
            with serving(bundle, port, tmp_path):
                answer, _ = asking.communicate(timeout=60)
    assert asking.returncode == 0
    assert b"Paris" in answer


def test_ctrl_c_ends_waiting_for_a_board(tmp_path):
    """Nothing was asked yet, so that there is nothing to cancel."""
    with embedded_broker(tmp_path) as port:
        command = [*EDGE, "ask", "--broker", f"127.0.0.1:{port}", "--device", "attic", "x"]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as asking:
            assert asking.stderr is not None
            assert "waiting for the board 'attic'" in asking.stderr.readline()
            asking.send_signal(signal.SIGINT)
            assert asking.wait(10) == 130


WRONG_NUMBERS = [["--timeout", "inf"], ["--timeout", "0"], ["--timeout", "soon"], ["--max-tokens", "0"]]


@pytest.mark.parametrize("wrong", WRONG_NUMBERS)
def test_a_number_that_cannot_be_is_a_wrong_usage(wrong):
    """Said before anything is asked."""
    done = edge({}, "ask", *wrong, "Hi")
    assert (done.returncode, wrong[1] in done.stderr) == (2, True)


@pytest.mark.slow
def test_no_broker_is_said_with_its_address(tmp_path):
    """And what to set."""
    done = edge({"EDGE_BROKER__PORT": "1"}, "ask", "x")
    assert done.returncode == 69
    assert "127.0.0.1:1: nothing listens there (connection refused)" in done.stderr


def test_a_taken_port_is_said_in_a_sentence(board):
    """The broker names the address and what to do; `--or-free` takes another."""
    port = board["EDGE_BROKER__PORT"]
    done = edge({}, "broker", f"--port={port}")
    assert done.returncode == 69
    assert done.stderr == f"edge broker: cannot listen on 127.0.0.1:{port}: Address already in use; name another port\n"


def test_status_and_doctor(board, bundle):
    """Both end with 0 where all is well and name the model."""
    status = edge(board, "status", "--once")
    assert status.returncode == 0, status.stderr
    for words in ("board      test is online", "smollm2", "tokens a second, about", "GiB free", "answers grow now"):
        assert words in status.stdout
    doctor = edge({**board, "EDGE_ENGINE__BUNDLE": str(bundle)}, "doctor")
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert "BAD  " not in doctor.stdout
    assert "ok   bundle     smollm2-135m-instruct: " in doctor.stdout


def test_doctor_counts_what_needs_a_look(board, tmp_path):
    """A bundle that is not there is one of its lines, the only one that is BAD, and the status is 1."""
    done = edge({**board, "EDGE_ENGINE__BUNDLE": str(tmp_path)}, "doctor")
    assert done.returncode == 1
    assert "BAD  bundle" in done.stdout
    assert re.search(r"\n1 of \d+ lines are BAD", done.stdout)


@pytest.mark.slow
def test_bench_measures_a_board_from_elsewhere(board):
    """Without a bundle it asks the board that serves, and tells what its columns mean; one that is away is named."""
    short = ["--rounds", "1", "--tokens", "8", "--clients", "1", "2"]
    done = edge(board, "bench", *short)
    assert done.returncode == 0, done.stderr
    assert "test: smollm2-135m-instruct on cpu" in done.stdout
    assert "how long one waits for the first word" in done.stdout
    assert {*json.loads(edge(board, "bench", *short, "--json").stdout)["rates"]} == {"mqtt_1", "mqtt_2"}
    away = edge(board, "bench", *short, "--device", "attic")
    assert (away.returncode, "the board 'attic' is not known" in away.stderr) == (69, True)


def test_demo_once(bundle):
    """The README's demo, its set-up aside: three answers, a reading, exit status 0."""
    done = edge({}, "demo", "--bundle", str(bundle), "--once")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Paris") >= 3
    assert "board     " in done.stdout


@pytest.mark.parametrize("reason", ["length", "loop", "deadline"])
def test_a_demo_goes_on_past_an_answer_that_was_cut_off(reason):
    """JSON that is not whole is no failure of the demo where the model came to no end; where it did, it is one."""
    assert judged({"text": '{"city": "Paris"}', "finish_reason": "stop"}) == ""
    assert f"cut off, {reason}" in judged({"text": '{"city": "Pa', "finish_reason": reason})
    with pytest.raises(EdgeError, match="is no JSON"):
        judged({"text": '{"city": "Pa', "finish_reason": "stop"})


@pytest.mark.slow
def test_two_demos_at_once_end_on_ctrl_c(bundle, stack):
    """The second takes free ports; Ctrl-C ends each with 0 and leaves no process of its own behind."""
    command = [*EDGE, "demo", "--bundle", str(bundle)]
    demos = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    stack.callback(lambda: [demo.terminate() for demo in demos])
    for demo in demos:
        assert demo.stdout is not None
        assert any("Ctrl-C ends it" in line for line in demo.stdout)
    children = [pid for demo in demos for pid in children_of(demo.pid)]
    assert len(children) >= 4
    for demo in demos:
        demo.send_signal(signal.SIGINT)
    assert [demo.wait(30) for demo in demos] == [0, 0]
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.fixture
def stack():
    """Callbacks for the end of a test, however it ends."""
    with contextlib.ExitStack() as made:
        yield made


def children_of(pid: int) -> list[int]:
    """Its child processes, as the kernel lists them."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_settings_name_what_is_wrong(tmp_path):
    """A wrong key by its line, a wrong value by its variable; secrets are not shown."""
    file = tmp_path / "edge.toml"
    file.write_text("[broker]\nprot = 1883\n")
    wrong_key = edge({"EDGE_CONFIG": str(file)}, "serve", "--print-config")
    assert wrong_key.returncode == 78
    assert f"{file}, line 2" in wrong_key.stderr
    wrong_value = edge({"EDGE_BROKER__PORT": "many"}, "serve", "--print-config")
    assert wrong_value.returncode == 78
    assert "EDGE_BROKER__PORT" in wrong_value.stderr
    shown = edge({"EDGE_BROKER__PASSWORD": "tulip"}, "serve", "--print-config")
    assert shown.returncode == 0
    assert "tulip" not in shown.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_no_option_can_be_abbreviated(command):
    """A beginning of an option's name is a wrong usage of the command, which is said; it never means the option."""
    options = re.findall(r"(?<![\w-])--[a-z][a-z-]+", edge({}, command, "--help").stdout)
    done = edge({}, command, *required(command), f"{max(options, key=len)[:-1]}")
    assert (done.returncode, f"usage: edge {command}" in done.stderr) == (2, True), done.stderr


def required(command: str) -> list[str]:
    """What a command cannot do without."""
    return {"demo": ["--bundle", "x"], "kiosk": ["--bundle", "x"], "bundle": ["verify", "x"]}.get(command, [])


def test_help_reads_well():
    """Every command is there with a line of its own."""
    text = edge({}, "--help").stdout
    for command in ("serve", "ask", "status", "doctor", "schema", "demo", "kiosk", "bench", "bundle", "broker"):
        assert f"  {command}" in text
