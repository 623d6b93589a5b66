"""A repository made with `edge-channel` is what a board's own installer takes, whatever was done to it between."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.bundle import MANIFEST, hash_file, open_bundle
from export.channel.__main__ import main
from tests.conftest import ROOT
from tests.edge.store.boards import Board
from tests.edge.store.publishing import make_bundle
from tests.edge.store.serving import served

NAME = "scripted"


class Publisher:
    """Who has a repository and its keys."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repository, self.keys = folder, folder / "repository", folder / "keys"
        self.passphrase = folder / "passphrase"
        folder.mkdir(parents=True, exist_ok=True)
        self.passphrase.write_text("a sentence that opens keys\n")

    def run(self, word: str, *more: str | Path, keys: bool = True) -> int:
        """A command's exit status."""
        named = ["--keys", self.keys, "--passphrase-file", self.passphrase] if keys else []
        return main([str(each) for each in (word, self.repository, *more, *named)])

    def init(self) -> Publisher:
        """With two channels."""
        assert self.run("init") == 0
        return self

    def bundle(self, version: str, seed: int = 0) -> Path:
        """A bundle, made once."""
        folder = self.folder / f"bundle-{version}-{seed}"
        return folder if folder.exists() else make_bundle(folder, seed, version=version)

    def board(self, name: str = "board", place: str | Path | None = None) -> Board:
        """That trusts the first root."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        trusted = folder / "root.json"
        shutil.copy(self.repository / "metadata/1.root.json", trusted)
        return Board(folder, place or self.repository, trusted)


@pytest.fixture
def publisher(tmp_path) -> Publisher:
    """With a repository."""
    return Publisher(tmp_path / "publisher").init()


def test_a_repository_that_was_begun_is_begun_again(tmp_path, capsys):
    """Killed at seeded moments `init` leaves a repository or none, never one that is neither."""
    chance = random.Random(0)
    for number in range(4):
        publisher = Publisher(tmp_path / str(number))
        more = ["--keys", publisher.keys, "--passphrase-file", publisher.passphrase]
        command = [sys.executable, "-m", "export.channel", "init", publisher.repository, *more]
        process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stdout=subprocess.DEVNULL, env=dict(os.environ))
        while not list(publisher.repository.rglob("*.json")) and process.poll() is None:
            time.sleep(0.0002)
        time.sleep(chance.random() * 0.004)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if publisher.run("list", keys=False) != 0:
            assert publisher.run("init") == 78
            assert (
                "root.pem, targets.pem, online.pem, stable.pem, canary.pem: move them away" in capsys.readouterr().err
            )
            shutil.rmtree(publisher.keys)
            assert publisher.run("init") == 0
            assert [file.name for file in publisher.repository.iterdir()] == ["metadata"]
        assert publisher.run("refresh") == 0


def test_a_channel_may_have_any_name(tmp_path):
    """Also one that makes its metadata look like the root's."""
    publisher = Publisher(tmp_path / "publisher")
    assert publisher.run("init", "--channel", "new.root") == 0
    assert publisher.run("add", publisher.bundle("1"), "--channel", "new.root") == 0
    assert publisher.run("list", keys=False) == 0
    assert publisher.board().install_here(NAME, "--channel", "new.root").status == 0


def test_no_key_is_made_for_a_folder_that_cannot_be(tmp_path, capsys):
    """So that the same words do once it can be written, and once a key of another repository is out of the way."""
    publisher = Publisher(tmp_path / "publisher")
    publisher.repository.write_text("a file")
    assert publisher.run("init") == 78
    assert "cannot be written" in capsys.readouterr().err
    assert not publisher.keys.exists()
    publisher.repository.unlink()
    publisher.keys.mkdir()
    (publisher.keys / "canary.pem").write_text("another's")
    assert publisher.run("init") == 78
    assert [file.name for file in publisher.keys.iterdir()] == ["canary.pem"]
    (publisher.keys / "canary.pem").unlink()
    assert publisher.run("init", "--channel", "stable", "--channel", "stable") == 0


def test_what_is_added_is_installed(publisher):
    """From a folder and over HTTP; the newest, and a version by its name; the bundle is whole."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("add", publisher.bundle("2")) == 0
    told = publisher.board().install(NAME)
    assert (told.status, told.last["state"], told.last["version"]) == (0, "verified", "2")
    with served(publisher.repository) as running:
        board = publisher.board("other", running.address)
        told = board.install(NAME, "--version", "1")
    assert told.last["version"] == "1"
    open_bundle(board.store.bundle(told.last["digest"]))


def test_a_version_never_changes(publisher, capsys):
    """Another bundle of the same version is refused; the same one again is no harm."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("add", publisher.bundle("1", seed=1)) == 78
    assert "a version never changes" in capsys.readouterr().err


def test_an_older_version_again_is_not_the_newest(publisher, capsys):
    """One adds it again to mend its chunks: boards that ask for the newest must not go back to it by that."""
    for version in ("1", "2"):
        assert publisher.run("add", publisher.bundle(version)) == 0
    capsys.readouterr()
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert "behind a newer one" in capsys.readouterr().out
    assert publisher.run("promote", NAME, "1", "--from", "stable", "--to", "stable") == 0
    assert publisher.board().install_here(NAME).last["version"] == "2"
    assert publisher.run("add", publisher.bundle("2")) == 0
    assert publisher.run("withdraw", NAME, "2") == 0
    assert publisher.board("other").install_here(NAME).last["version"] == "1"


def test_from_canary_to_stable(publisher):
    """What is in canary alone is not in stable; promoted it is, without its key having signed anything there."""
    assert publisher.run("add", publisher.bundle("1"), "--channel", "canary") == 0
    board = publisher.board()
    assert board.install(NAME).status == 75
    assert board.install(NAME, "--channel", "canary").status == 0
    assert publisher.run("promote", NAME, "1") == 0
    assert publisher.board("other").install(NAME).status == 0


def test_what_is_withdrawn_is_not_installed(publisher):
    """The newest is the one before it then."""
    for version in ("1", "2"):
        assert publisher.run("add", publisher.bundle(version)) == 0
    assert publisher.run("withdraw", NAME, "2") == 0
    board = publisher.board()
    assert board.install(NAME, "--version", "2").status == 75
    assert board.install(NAME).last["version"] == "1"
    assert publisher.run("withdraw", NAME, "1") == 0
    assert board.install(NAME).status == 75


@pytest.mark.parametrize("key", ["root", "targets", "online", "stable"])
def test_another_key(publisher, key):
    """Boards that have the first root alone, and those that have seen more, follow; the old key signs no more."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    seen = publisher.board("seen")
    assert seen.install(NAME).status == 0
    assert publisher.run("rotate", key) == 0
    assert publisher.run("add", publisher.bundle("2")) == 0
    assert seen.install(NAME).last["version"] == "2"
    assert publisher.board("fresh").install(NAME).last["version"] == "2"
    shutil.copy(publisher.keys / f"{key}.old.pem", publisher.keys / f"{key}.pem")
    assert publisher.run("refresh", *([] if key == "online" else ["--role", key])) == 78


@pytest.mark.parametrize("key", ["root", "targets", "online", "stable"])
def test_another_key_after_a_power_cut(publisher, key, capsys):
    """Published, and then its file was not, or half, put in place: other commands say what to do, and it does."""
    shutil.copy(publisher.keys / f"{key}.pem", publisher.folder / "before.pem")
    assert publisher.run("rotate", key) == 0
    (publisher.keys / f"{key}.pem").rename(publisher.keys / f"{key}.new.pem")
    role = [] if key == "online" else ["--role", key]
    for is_there in (False, True):
        if is_there:
            shutil.copy(publisher.folder / "before.pem", publisher.keys / f"{key}.pem")
        assert publisher.run("refresh", *role) == 78
        said = capsys.readouterr().err
        assert "rotate" in said
        assert "again" in said
        assert publisher.run("rotate", key) == 0
        assert publisher.run("refresh", *role) == 0
        (publisher.keys / f"{key}.pem").rename(publisher.keys / f"{key}.new.pem")
    shutil.move(publisher.keys / f"{key}.new.pem", publisher.keys / f"{key}.pem")
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.board().install_here(NAME).status == 0


def test_a_key_of_one_channel_is_none_of_another(publisher):
    """Who may publish to canary may not to stable."""
    (publisher.keys / "stable.pem").unlink()
    assert publisher.run("add", publisher.bundle("1")) == 78
    assert publisher.run("add", publisher.bundle("1"), "--channel", "canary") == 0
    shutil.copy(publisher.keys / "canary.pem", publisher.keys / "stable.pem")
    assert publisher.run("promote", NAME, "1") == 78


def test_keys_are_closed(publisher, tmp_path):
    """To other users by their mode, to who has the file by a passphrase."""
    for file in publisher.keys.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"ENCRYPTED" in file.read_bytes()
    publisher.passphrase.write_text("another")
    assert publisher.run("refresh") == 78


def test_offline_keys_are_not_needed_to_publish(publisher, tmp_path):
    """Root and targets lie elsewhere, and are named where they are needed."""
    drawer = tmp_path / "drawer"
    drawer.mkdir()
    for name in ("root", "targets"):
        shutil.move(publisher.keys / f"{name}.pem", drawer)
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("refresh") == 0
    assert publisher.run("rotate", "stable") == 78
    assert publisher.run("rotate", "stable", "--keys", drawer) == 0
    assert publisher.run("add", publisher.bundle("2")) == 0
    assert publisher.board().install(NAME).last["version"] == "2"


def test_what_nobody_signs_anew_expires(publisher):
    """And is good again when it was."""
    assert publisher.run("add", publisher.bundle("1"), "--days", "-1") == 0
    board = publisher.board()
    told = board.install(NAME)
    assert told.status == 75
    assert "expired" in told.last["reason"]
    assert publisher.run("refresh", "--role", "stable") == 0
    assert board.install(NAME).status == 0


def test_verify_finds_what_a_board_would(publisher, capsys):
    """A chunk that is altered, torn or gone, by its file; nothing where all is well."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("verify", keys=False) == 0
    chunks = sorted(file for file in (publisher.repository / "chunks").rglob("*") if file.is_file())
    for file, change in zip(chunks, (lambda data: b"x" * len(data), lambda data: data[:-1], None), strict=False):
        data = file.read_bytes()
        capsys.readouterr()
        file.unlink() if change is None else file.write_bytes(change(data))
        assert publisher.run("verify", keys=False) == 1
        assert str(file) in capsys.readouterr().out
        file.write_bytes(data)


def test_verify_finds_what_is_wrong_with_the_newest(publisher, capsys):
    """By that name boards ask for it: its index is a file of its own. One that is gone is a line, as all that is."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    for file in publisher.repository.glob(f"targets/stable/{NAME}/*.json"):
        data = file.read_bytes()
        file.unlink()
        capsys.readouterr()
        assert publisher.run("verify", keys=False) == 1
        assert str(file) in capsys.readouterr().out
        file.write_bytes(data)
    assert publisher.run("verify", keys=False) == 0


def test_verify_finds_what_is_wrong_where_nothing_is_published(publisher, capsys):
    """A channel without bundles that has expired is refused by boards as any other."""
    assert publisher.run("verify", keys=False) == 0
    assert publisher.run("refresh", "--role", "canary", "--days", "-1") == 0
    assert publisher.run("refresh") == 0
    capsys.readouterr()
    assert publisher.run("verify", keys=False) == 1
    said = capsys.readouterr().out
    assert said.startswith("canary: ")
    assert "expired" in said
    assert "stable:" not in said


def test_what_is_damaged_is_mended_by_adding_it_again(publisher):
    """Chunks that rotted or are lost, and the index itself."""
    assert publisher.run("add", publisher.bundle("1")) == 0
    files = [file for file in (publisher.repository / "chunks").rglob("*") if file.is_file()]
    for file in files[::2]:
        file.write_bytes(bytes(file.stat().st_size))
    files[1].unlink()
    for file in publisher.repository.glob(f"targets/stable/{NAME}/*.json"):
        file.unlink()
    assert publisher.run("verify", keys=False) == 1
    assert publisher.run("add", publisher.bundle("1")) == 0
    assert publisher.run("verify", keys=False) == 0


def test_what_nobody_names_is_removed_when_it_is_old(publisher):
    """And nothing else: boards in the middle of fetching it are let finish."""
    for version in ("1", "2"):
        assert publisher.run("add", publisher.bundle(version)) == 0
    count = len(list((publisher.repository / "chunks").rglob("*")))
    assert publisher.run("withdraw", NAME, "2") == 0
    assert publisher.run("gc", keys=False) == 0
    assert len(list((publisher.repository / "chunks").rglob("*"))) == count
    assert publisher.run("gc", "--days", "0", keys=False) == 0
    assert publisher.run("verify", keys=False) == 0
    assert publisher.board().install(NAME).last["version"] == "1"


def test_what_was_withdrawn_just_now_is_kept_however_old_it_is(publisher):
    """What was published long ago a board may be fetching in the moment in which it is taken back, or replaced."""
    for version, seed in (("1", 0), ("2", 1)):
        assert publisher.run("add", publisher.bundle(version, seed=seed)) == 0
    long_ago = time.time() - 100 * 86400
    for file in publisher.repository.rglob("*"):
        os.utime(file, (long_ago, long_ago))
    there = {file for folder in ("chunks", "targets") for file in (publisher.repository / folder).rglob("*")}
    assert publisher.run("withdraw", NAME, "2") == 0
    assert publisher.run("gc", keys=False) == 0
    assert all(file.exists() for file in there)
    assert publisher.run("gc", "--days", "0", keys=False) == 0
    gone = {file for file in there if not file.exists()}
    assert gone
    assert publisher.board().install_here(NAME).last["version"] == "1"


def test_list_says_what_there_is(publisher, capsys):
    """By channel, with the newest marked, and when what expires."""
    for version in ("1", "2"):
        assert publisher.run("add", publisher.bundle(version)) == 0
    capsys.readouterr()
    assert publisher.run("list", keys=False) == 0
    said = capsys.readouterr().out
    assert f"{NAME} 2" in said
    assert "newest" in said
    assert "timestamp expires on" in said


@pytest.mark.parametrize("word", ["refresh", "list", "verify", "gc"])
def test_where_there_is_none(tmp_path, word, capsys):
    """A clear word, and what to do."""
    publisher = Publisher(tmp_path / "none")
    assert publisher.run(word, keys=word == "refresh") == 78
    assert "edge-channel init" in capsys.readouterr().err


def test_a_publication_that_is_killed_leaves_what_there_was(publisher):
    """At seeded moments: a board gets the old newest or the new one, whole, and the next publication goes through."""
    assert publisher.run("add", publisher.bundle("0")) == 0
    words = ["--keys", str(publisher.keys), "--passphrase-file", str(publisher.passphrase)]
    chance = random.Random(0)
    for number in range(1, 7):
        bundle = publisher.bundle(str(number))
        command = [sys.executable, "-m", "export.channel", "add", str(publisher.repository), str(bundle), *words]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, env=dict(os.environ))
        while not list((publisher.repository / "chunks").rglob(manifest_chunk(bundle))) and process.poll() is None:
            time.sleep(0.001)
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        told = publisher.board(f"board-{number}").install_here(NAME)
        assert told.status == 0
        assert publisher.run("verify", keys=False) == 0
    assert publisher.run("add", publisher.bundle("9")) == 0
    assert publisher.board("last").install(NAME).last["version"] == "9"


def manifest_chunk(bundle: Path) -> str:
    """The chunk of its manifest, which is laid among the first."""
    return hash_file(bundle / MANIFEST)
