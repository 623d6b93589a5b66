"""`edge bundle install`, `list`, `rollback`, `remove`, as an operator types them."""

from __future__ import annotations

import json
import os
import socket
import subprocess

import pytest

from edge.store.record import Record
from tests.conftest import EDGE, ROOT
from tests.edge.store.boards import Board
from tests.edge.store.publishing import Published, make_bundle


@pytest.fixture
def published(tmp_path) -> Published:
    """A repository with two versions of a bundle."""
    repository = Published(tmp_path / "repository")
    for version in ("1", "2"):
        repository.add(make_bundle(tmp_path / version, changed=int(version)), version)
    return repository


@pytest.fixture
def board(tmp_path, published) -> Board:
    """A board that trusts it."""
    return Board(tmp_path / "board", published.folder, published.trusted)


def edge_bundle(board: Board, *words: str) -> subprocess.CompletedProcess[str]:
    """`edge bundle …` on that board."""
    environment = {**os.environ, **board.environment}
    return subprocess.run(
        [*EDGE, "bundle", *words], check=False, capture_output=True, text=True, cwd=ROOT, env=environment
    )


def kept(board: Board, *versions: str) -> list[str]:
    """Install versions and keep each, as a daemon does; their digests."""
    digests = []
    for version in versions:
        digests.append(board.put(version))
        board.store.change(lambda record, digest=digests[-1]: record.trying(digest).kept_now(1))
    return digests


def test_install_tells_what_it_did(board):
    """Name, version, digest, bytes, and what comes next."""
    done = edge_bundle(board, "install", "scripted@1")
    assert (done.returncode, done.stderr) == (0, "")
    [digest] = board.store.digests
    assert done.stdout.startswith(f"scripted 1 is whole ({digest[:12]}, 0.3 MB, 0.3 MB of it fetched).\n")
    assert board.store.read().verified == digest


def test_install_from_a_stick(board, published, monkeypatch):
    """`--repository` names a folder as the shell does."""
    del board.environment["EDGE_STORE__REPOSITORY"]
    done = edge_bundle(board, "install", "scripted", "--repository", os.path.relpath(published.folder, ROOT))
    assert done.returncode == 0
    assert "scripted 2 is whole" in done.stdout


def test_install_refused(board):
    """The reason is on standard error, and the exit status is the installer's."""
    done = edge_bundle(board, "install", "scripted@7")
    assert done.returncode == 75
    assert done.stdout == ""
    assert done.stderr.startswith("edge bundle: channel stable of ")
    done = edge_bundle(board, "install", "scripted", "--channel", "nightly")
    assert "channel nightly of" in done.stderr
    done = edge_bundle(board, "install", "--", "--version=1")
    assert done.returncode == 2


def test_ending_an_installation_ends_the_installer(board):
    """SIGTERM, as Ctrl-C: nobody goes on in the background, and the store is free."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        board.environment["EDGE_STORE__REPOSITORY"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        words = [*EDGE, "bundle", "install", "scripted"]
        with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **board.environment}) as process:
            silent.accept()
            process.terminate()
            assert process.wait() == 143
    with board.store.changing():
        assert board.store.digests == []


def test_list_of_nothing(board):
    """A store that was never used."""
    done = edge_bundle(board, "list")
    assert done.stdout.startswith(f"{board.store.folder} holds no bundle; the daemon serves engine.bundle\n")
    assert json.loads(edge_bundle(board, "list", "--json").stdout) == []


def test_list(board):
    """What is in use, what was before, what failed and why; the same for programs."""
    first, second = kept(board, "1", "2")
    board.store.change(lambda record: record.trying("f" * 64).rolled_back("it was slow", 1.0))
    lines = edge_bundle(board, "list").stdout.splitlines()[:3]
    wanted = [[second[:12], "kept"], [first[:12], "previous"], ["f" * 12, "failed"]]
    assert [line.split()[:2] for line in lines] == wanted
    assert "scripted 2" in lines[0]
    assert lines[-1].endswith("it was slow")
    rows = json.loads(edge_bundle(board, "list", "--json").stdout)
    assert rows[0] == {
        "digest": second,
        "name": "scripted",
        "version": "2",
        "state": "kept",
        "why": None,
        "bytes": rows[0]["bytes"],
    }
    assert rows[0]["bytes"] > 8 * 8 * 4096


def test_rollback(board):
    """What was before is in use again, the other is not tried by itself; a second time there is nothing before."""
    first, second = kept(board, "1", "2")
    done = edge_bundle(board, "rollback")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("scripted 1 is in use again")
    record = board.store.read()
    assert record.kept == first
    assert record.why_not(second) == "the operator went back to what was before"
    done = edge_bundle(board, "rollback")
    assert done.returncode == 2
    assert "nothing was in use before" in done.stderr


def test_rollback_to_the_operators_own(board):
    """Before the first bundle of the store there was engine.bundle."""
    kept(board, "1")
    assert edge_bundle(board, "rollback").stdout.startswith("engine.bundle is in use again")
    assert board.store.read().kept is None


def test_rollback_to_what_is_gone(board):
    """A record that names a bundle which somebody deleted stays as it is."""
    first, _ = kept(board, "1", "2")
    board.store.remove(first)
    before = board.store.read()
    done = edge_bundle(board, "rollback")
    assert done.returncode == 65
    assert "is not there any more" in done.stderr
    assert board.store.read() == before


def test_remove(board):
    """By its first digits; what is in use stays."""
    first, second = kept(board, "1", "2")
    assert edge_bundle(board, "remove", first[:12]).stdout == f"{first[:12]} is removed\n"
    assert board.store.digests == [second]
    assert first not in board.store.read().digests
    done = edge_bundle(board, "remove", second[:12])
    assert done.returncode == 2
    assert "is in use" in done.stderr
    assert edge_bundle(board, "remove", "e").returncode == 2
    assert edge_bundle(board, "remove", "").returncode == 2  # as an unset variable has it
    done = edge_bundle(board, "remove", "scripted", "--yes")
    assert (done.returncode, "is in use" in done.stderr, board.store.has(second)) == (2, True, True)
    assert board.store.digests == [second]


def test_a_record_that_cannot_be_read(board):
    """It is named, with what to do."""
    board.store.write(Record())
    (board.store.folder / "record.json").write_text("{")
    done = edge_bundle(board, "list")
    assert done.returncode == 75
    assert "record.json cannot be read" in done.stderr
