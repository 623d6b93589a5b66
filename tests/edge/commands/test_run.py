"""`edge run`: a model by name, from nothing to an answer, and nothing left of it that nobody wants."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edge.commands.run_host import Idle
from tests.conftest import ROOT, embedded_broker, free_port, wait_until
from tests.edge.commands.program import ended, scripted, started
from tests.edge.store.boards import Board
from tests.edge.store.publishing import Published, make_bundle
from tests.export import small_model

SECONDS = 120
SMALL = """
[small]
aliases = ["tiny"]
export = "./model"
options = ["--method", "rtn", "--context", "64", "--allow-loss", "--name", "small"]
bundle = "small"
licence = "none"
bundle_bytes = 100_000
source_bytes = 100_000
memory_bytes = {memory}
context_length = 64
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A user with an empty cache, no board, and no broker that answers."""
    (tmp_path / "runtime").mkdir(mode=0o700)
    return {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_RUNTIME_DIR": str(tmp_path / "runtime"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "EDGE_BROKER__PORT": str(free_port()),
        "EDGE_ENGINE__BUNDLE": str(tmp_path / "none"),
    }


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A catalogue of a model that is made in seconds, of random weights."""
    small_model.write_checkpoint(tmp_path / "model", small_model.llama_weights())
    file = tmp_path / "small.toml"
    file.write_text(SMALL.format(memory=1_000_000))
    return file


def cached(env: dict[str, str], bundle: Path) -> Path:
    """The default model's bundle in the user's cache, as `make bundle` leaves it."""
    place = Path(env["XDG_CACHE_HOME"]) / "edge-slm/bundles/smollm2-135m-6"
    shutil.copytree(bundle, place)
    return place


def hosts(env: dict[str, str]) -> list[int]:
    """Processes that were started for `edge run` with an environment, and still are."""
    mark = f"XDG_RUNTIME_DIR={env['XDG_RUNTIME_DIR']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def run(env: dict[str, str], *words: Any, data: bytes | None = None) -> tuple[int, str, str]:
    """`edge run …` to its end."""
    piped = {} if data is None else {"stdin": subprocess.PIPE}
    return ended(started(env, "run", *map(str, words), **piped), data)


# --- what a host counts ---


def test_a_host_is_idle_when_nobody_asks_and_nothing_is_being_answered():
    """An answer that takes long and says nothing meanwhile is no idleness."""
    idle = Idle()
    idle.heard("edge/run/status", b"{}")
    assert idle.seconds > 0
    idle.heard("edge/run/request/me", b"hi")
    assert idle.seconds == 0
    idle.heard("edge/run/reply/me", b'{"type": "delta"}')
    assert idle.seconds == 0
    idle.heard("edge/run/reply/me", b'{"type": "reply"}')
    first = idle.seconds
    time.sleep(0.01)
    assert idle.seconds > first


# --- found and served ---


def test_a_name_from_the_cache_to_an_answer(env, bundle):
    """Standard output is the answer alone, piped in or not; no process is left, nor any file of the call."""
    cached(env, bundle)
    status, out, said = run(env, "smollm2", "--verbose", data=b"What is the capital of France?")
    assert (status, "Paris" in out) == (0, True), said
    assert "tokens/s" in said
    assert hosts(env) == []
    assert list(Path(env["XDG_RUNTIME_DIR"]).rglob("*.*")) == []


def test_a_board_that_has_the_model_is_asked(env, tmp_path):
    """The configured one, by the name that it has for the model; one that was named and has it not is an error."""
    catalogue = tmp_path / "own.toml"
    catalogue.write_text(SMALL.format(memory=1).replace('bundle = "small"', 'bundle = "scripted"'))
    with embedded_broker(tmp_path) as port, scripted(port, tmp_path):
        env |= {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "test"}
        assert run(env, "tiny", "--catalogue", catalogue, "hi") == (0, "word word word \n", "")
        status, out, said = run(env, "phi3", "--device=test", "hi")
        assert (status, out) == (69, "")
        assert "test at 127.0.0.1" in said


@pytest.mark.slow
def test_a_model_that_is_kept_answers_the_next_call_and_ends_when_idle(env, bundle):
    """The second call finds it, `remove` names it and refuses; a while after the last question it is gone."""
    place = cached(env, bundle)
    assert run(env, "smollm2", "--keep-alive=20", "hi")[0] == 0
    [record] = Path(env["XDG_RUNTIME_DIR"]).rglob("run-*.json")
    host = json.loads(record.read_text())
    assert run(env, place, "What is the capital of France?")[0] == 0
    assert json.loads(record.read_text()) == host
    status, _, said = ended(started(env, "bundle", "remove", "smollm2", "--yes"))
    assert (status, f"process {host['pid']}" in said, place.is_dir()) == (2, True, True)
    wait_until(lambda: not hosts(env), SECONDS)
    assert list(record.parent.iterdir()) == []
    status, out, _ = ended(started(env, "bundle", "remove", "smollm2", "--yes"))
    assert (status, "is removed" in out, place.exists()) == (0, True, False)


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--keep"]])
def test_a_bundle_that_is_damaged_is_not_served(env, bundle, words):
    """The daemon's own line and exit status; nothing is left."""
    with (cached(env, bundle) / "model.onnx.data").open("r+b") as file:
        file.truncate(1000)
    status, out, said = run(env, "smollm2", "hi", *words)
    assert (status, out) == (65, "")
    assert "has 1000 bytes, but the manifest says" in said
    assert hosts(env) == []
    assert list(Path(env["XDG_RUNTIME_DIR"]).rglob("*.*")) == []


@pytest.mark.slow
def test_two_calls_that_keep_share_one_model(env, bundle):
    """The one that comes second waits for the first one's, though that still loads."""
    cached(env, bundle)
    calls = [started(env, "run", "smollm2", "--keep-alive=5", "hi") for _ in range(2)]
    assert [ended(call)[0] for call in calls] == [0, 0]
    assert len(list(Path(env["XDG_RUNTIME_DIR"]).rglob("run-*.json"))) == 1
    wait_until(lambda: not hosts(env), SECONDS)


@pytest.mark.slow
def test_a_host_that_was_killed_is_not_waited_for(env, bundle):
    """What it left is nobody's; the next call starts another."""
    cached(env, bundle)
    assert run(env, "smollm2", "--keep-alive=60", "hi")[0] == 0
    for process in hosts(env):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: not hosts(env))
    assert run(env, "smollm2", "hi")[0] == 0
    assert hosts(env) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_call_that_is_ended_takes_all_with_it(env, bundle, number):
    """While it loads or answers, by any signal, even one that it cannot see."""
    cached(env, bundle)
    call = started(env, "run", "smollm2", "--max-tokens=4000", "--no-loop-guard", "Count to ten thousand.")
    wait_until(lambda: len(hosts(env)) > 2)
    call.send_signal(number)
    status, _, _ = ended(call)
    assert status == (-9 if number == signal.SIGKILL else 128 + number)
    wait_until(lambda: not hosts(env), SECONDS)


# --- a conversation ---


@contextmanager
def conversation(env: dict[str, str], *words: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`edge run` with a terminal for everything; the process and our end."""
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    process = started({"TERM": "xterm", **env}, "run", *words, **streams)
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.terminate()
        process.wait(SECONDS)
        os.close(ours)


def heard(terminal: int, words: bytes) -> bytes:
    """What comes up to some words."""
    data = b""
    while words not in data:
        assert select.select([terminal], [], [], SECONDS)[0], data
        data += os.read(terminal, 65536)
    assert b"Traceback" not in data, data
    return data


@pytest.mark.slow
def test_a_conversation_keeps_its_turns(env, tmp_path):
    """Each question goes with all before it; /clear forgets, Ctrl-C stops an answer, Ctrl-D ends with 0."""
    catalogue = tmp_path / "own.toml"
    catalogue.write_text(SMALL.format(memory=1).replace('bundle = "small"', 'bundle = "scripted"'))
    with embedded_broker(tmp_path) as port, scripted(port, tmp_path, pieces=40, pause=0.1):
        env |= {"EDGE_BROKER__PORT": str(port), "EDGE_DEVICE": "test"}
        words = ("tiny", "--catalogue", str(catalogue), "--json")
        with conversation(env, *words) as (process, terminal):
            heard(terminal, b">>> ")
            os.write(terminal, b"one\n")
            first = heard(terminal, b">>> ")
            os.write(terminal, b"two\n")
            heard(terminal, b"two\r\n")
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            stopped = heard(terminal, b">>> ")
            os.write(terminal, b"/clear\n")
            heard(terminal, b">>> ")
            os.write(terminal, b"three\n")
            again = heard(terminal, b">>> ")
            os.write(terminal, b"/?\n\x04")
            heard(terminal, b"/bye")
            assert process.wait(SECONDS) == 0
    replies = [json.loads(each[each.index(b"{") : each.rindex(b"}") + 1]) for each in (first, stopped, again)]
    assert [reply["code"] for reply in replies] == [200, 499, 200]
    assert replies[0]["usage"] == replies[2]["usage"]


# --- made ---


@pytest.mark.slow
def test_from_an_empty_cache_to_an_answer_in_one_call(env, small):
    """The bundle is made, kept and served; the next call makes nothing. Several at once make one."""
    words = ("run", "small", "--catalogue", str(small), "abc", "--max-tokens=4")
    calls = [started(env, *words) for _ in range(2)]
    wait_until((Path(env["XDG_CACHE_HOME"]) / "edge-slm/bundles/.small.partial/.edge-export").exists, SECONDS)
    calls.append(started(env, *words))
    done = [ended(call) for call in calls]
    assert [status for status, _, _ in done] == [0, 0, 0], done
    assert "small is being made" in done[2][2]
    assert sum("bits a weight" in said for _, _, said in done) == 1
    assert sum("is there already" in said for _, _, said in done) == 2
    status, _, said = run(env, "tiny", "--catalogue", small, "abc", "--max-tokens=4")
    assert (status, said) == (0, "")
    [made] = (Path(env["XDG_CACHE_HOME"]) / "edge-slm/bundles").iterdir()
    with conversation(env, str(made), "--max-tokens=8", "--json") as (_, terminal):
        heard(terminal, b">>> ")
        for _ in range(3):  # of 64 tokens of context, a letter each
            os.write(terminal, b"abcdefghijklmnopqrstuvwxyz\n")
            last = heard(terminal, b">>> ")
    assert b"the oldest question and its answer are left out" in last
    assert last.count(b'"code": 200') == 1


@pytest.mark.slow
def test_an_export_that_is_ended_leaves_nothing_half(env, small):
    """Ctrl-C while it is made: 130, no bundle, no workshop, no process."""
    call = started(env, "run", "small", "--catalogue", str(small), "abc")
    folder = Path(env["XDG_CACHE_HOME"]) / "edge-slm/bundles"
    wait_until(folder.exists, SECONDS)
    call.send_signal(signal.SIGINT)
    status, out, said = ended(call)
    assert (status, out) == (130, "")
    assert "nothing was left behind" in said
    assert not folder.exists()
    assert hosts(env) == []


def test_what_a_machine_cannot_bear_is_refused_with_the_arithmetic(env, small):
    """Before anything is fetched: memory that the machine has not in all, disk for what is made."""
    small.write_text(SMALL.format(memory=1 << 45))
    status, out, said = run(env, "small", "--catalogue", small, "hi")
    assert (status, out) == (65, "")
    assert f"small needs {1 << 25} MiB of memory to answer, but this machine has" in said
    small.write_text(SMALL.format(memory=1).replace("bundle_bytes = 100_000", f"bundle_bytes = {1 << 49}"))
    status, _, said = run(env, "small", "--catalogue", small, "hi")
    assert (status, "GB of disk" in said, "are free in" in said) == (75, True, True)
    assert not Path(env["XDG_CACHE_HOME"]).exists()


@pytest.mark.slow
def test_what_takes_long_wants_consent(env, small):
    """Hours of work are not begun by a script that did not say so; the line says what they take."""
    status, out, said = run(env, "phi-3.5-mini", "hi")
    assert (status, out) == (2, "")
    assert "7.6 GB to download, 2.6 GB of disk for the bundle" in said
    assert said.endswith("--yes agrees to that\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["smolm2", "hi"], 2, "did you mean smollm2-135m"),
        (["./nothing", "hi"], 65, "./nothing is no folder"),
        (["smollm2", "--broker=127.0.0.1:9", "hi"], 69, "no board"),
        (["smollm2", "--catalogue=/dev/null/x", "hi"], 78, "/dev/null/x cannot be read"),
        (["smollm2"], 78, "nothing was asked"),
    ],
)
def test_what_is_wrong_is_said_at_once(env, words, status, why):
    """Exit statuses as of every command; nothing is made or served before."""
    done = run(env, *words)
    assert (done[0], done[1], why in done[2]) == (status, "", True), done


@pytest.mark.slow
@pytest.mark.parametrize("word", ["#!/bin/sh\necho 'ModuleNotFoundError: No module named onnx' >&2; exit 1\n", ""])
def test_without_the_export_it_is_said_what_brings_it(env, tmp_path, word):
    """A board has no edge-export, or one without what it needs: 78, and the line to type."""
    here = tmp_path / "bin"
    here.mkdir()
    (here / "python").symlink_to(sys.executable)
    if word:
        (here / "edge-export").write_text(word)
        (here / "edge-export").chmod(0o755)
    packages = [path for path in sys.path if path.endswith("site-packages")]
    env |= {"PATH": str(here), "PYTHONPATH": ":".join([str(ROOT), *packages])}
    command = [here / "python", "-m", "edge", "run", "smollm2", "hi"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env})
    assert (done.returncode, done.stdout) == (78, ""), done.stderr
    assert "pip install 'edge-slm[export]'" in done.stderr
    assert ("No module named onnx" in done.stderr) == bool(word)


# --- edge bundle ---


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Settings of a board that trusts a repository with a bundle."""
    repository = Published(tmp_path / "repository")
    repository.add(make_bundle(tmp_path / "1", changed=1), "1")
    return Board(tmp_path / "board", repository.folder, repository.trusted)


@pytest.mark.slow
def test_pull_list_and_remove(env, board):
    """From the channel into the cache, verified; the board's own store is not touched. What is gone is gone whole."""
    env |= board.environment
    status, out, said = ended(started(env, "bundle", "pull", "scripted@1"))
    assert (status, "is whole" in out) == (0, True), said
    assert not board.store.folder.exists()
    seen = json.loads(ended(started(env, "bundle", "list", "--json", "--all"))[1])
    [here] = seen["cache"]
    assert (seen["store"], here["name"], here["place"], here["used_by"]) == ([], "scripted", "pulled", [])
    text = ended(started(env, "bundle", "list"))[1]
    assert here["path"] in text
    assert "smollm2-135m" in text
    status, _, said = ended(started(env, "bundle", "remove", "scripted"))
    assert (status, "--yes" in said) == (2, True)
    env["EDGE_ENGINE__BUNDLE"] = here["path"]
    status, _, said = ended(started(env, "bundle", "remove", "scripted", "--yes"))
    assert (status, "engine.bundle" in said) == (2, True)
    env["EDGE_ENGINE__BUNDLE"] = "/nowhere"
    assert ended(started(env, "bundle", "remove", "scripted", "--yes"))[0] == 0
    assert list((Path(env["XDG_CACHE_HOME"]) / "edge-slm/pulled").iterdir()) == []


@pytest.mark.slow
def test_what_a_channel_does_not_have_is_not_pulled(env, board):
    """A version that was asked for is the channel's matter alone; nothing is left of the attempt."""
    env |= board.environment
    status, out, said = ended(started(env, "bundle", "pull", "scripted@7"))
    assert (status, out, "channel stable" in said) == (75, "", True)
    status, _, said = ended(started(env, "bundle", "pull", "phi-3.5-mini"))
    assert (status, "not from the channel" in said, "--yes agrees" in said) == (2, True, True)
    pulled = Path(env["XDG_CACHE_HOME"]) / "edge-slm/pulled"
    assert not pulled.exists() or list(pulled.iterdir()) == []
