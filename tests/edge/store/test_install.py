"""Installing a bundle, by the program that a board runs, from a signed repository in a folder or behind a server."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import MANIFEST, File, open_bundle
from edge.store.index import Chunk, Indexed
from edge.store.record import Record
from tests.conftest import ROOT
from tests.edge.store.boards import INSTALLER, Board, Told
from tests.edge.store.publishing import CHUNK_BYTES, index_of, indexed, make_bundle, write_manifest
from tests.edge.store.serving import served

DATA = "model.onnx.data"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")


def test_a_bundle_is_installed(board):
    """It is whole, named by its digest, and stands in the record as what is to be tried; the lines say so."""
    told = board.install()
    assert (told.status, told.errors) == (0, "")
    assert [line["state"] for line in told.lines][-2:] == ["verifying", "verified"]
    assert told.last["fetched_bytes"] == told.last["size_bytes"]
    assert told.last["signed_by"] is None
    bundle = open_bundle(board.store.bundle(told.last["digest"]))
    assert bundle.digest == told.last["digest"]
    assert board.store.read() == Record(verified=bundle.digest)


def test_over_http(board, published):
    """From a web server that knows nothing of us; nothing but the repository's own files is asked for."""
    with served(published.folder) as server:
        board.environment["EDGE_STORE__REPOSITORY"] = server.address
        told = board.install_here()
        asked = {path.split("/")[1] for path, _ in server.asked}
    assert (told.status, told.errors) == (0, "")
    assert asked == {"metadata", "targets", "chunks"}


def test_which_version(board, published, tmp_path):
    """A version is had by its name, the newest without one, and each channel has its own."""
    published.add(make_bundle(tmp_path / "2", changed=1), "2")
    published.add(make_bundle(tmp_path / "3", changed=2), "3", channel="canary")
    assert board.install_here("scripted", "--version", "1").last["version"] == "1"
    assert board.install_here("scripted").last["version"] == "2"
    assert board.install_here("scripted", "--channel", "canary").last["version"] == "3"


def test_the_newest_is_told_without_being_fetched(board, published, tmp_path):
    """One line with its version; the store has the repository's metadata afterwards, and no bundle."""
    published.add(make_bundle(tmp_path / "2", changed=1), "2")
    told = board.do("latest", "scripted")
    assert (told.status, told.lines) == (0, [{"state": "latest", "name": "scripted", "version": "2"}])
    assert board.left() == []
    told = board.do("latest", "other")
    assert told.status == 75
    assert "no bundle other" in told.last["reason"]


def test_a_version_that_is_not_there(board):
    """May be published later; the channel and the version are named."""
    told = board.install_here("scripted", "--version", "7")
    assert told.status == 75
    assert "channel stable of" in told.last["reason"]
    assert "no bundle scripted, version 7" in told.last["reason"]


def test_only_what_changed_is_fetched(board, published, tmp_path):
    """A layer that is another's costs its own chunks and the manifest; files that are the same are not even copied."""
    first = board.put()
    published.add(make_bundle(tmp_path / "2", changed=3), "2")
    told = board.install_here()
    manifest_bytes = (tmp_path / "2" / MANIFEST).stat().st_size
    assert told.last["fetched_bytes"] == 8 * CHUNK_BYTES + manifest_bytes
    second = board.store.bundle(told.last["digest"])
    assert open_bundle(second)
    assert not board.store.has(first)  # nobody has kept it
    assert (second / "tokenizer.json").read_bytes() == (tmp_path / "2/tokenizer.json").read_bytes()


def test_the_same_file_of_another_bundle_is_the_same_file(board, published, tmp_path):
    """It has two names on the disk, as long as both bundles are there; each goes without the other."""
    first = board.put()
    board.store.change(lambda record: record.trying(first).kept_now(1))
    published.add(make_bundle(tmp_path / "2", changed=3), "2")
    second = board.put()
    files = [board.store.bundle(digest) / "tokenizer.json" for digest in (first, second)]
    assert files[0].samefile(files[1])
    assert not (board.store.bundle(first) / DATA).samefile(board.store.bundle(second) / DATA)
    board.store.remove(first)
    assert open_bundle(board.store.bundle(second))


def test_a_reused_file_that_has_rotted_is_fetched(board, published, tmp_path):
    """The bundle beside it may be damaged: that is found out, and the new one is whole all the same."""
    first = board.put()
    board.store.change(lambda record: record.trying(first).kept_now(1))
    for name in (DATA, "tokenizer.json"):
        file = board.store.bundle(first) / name
        file.write_bytes(b"rot!" + file.read_bytes()[4:])
    published.add(make_bundle(tmp_path / "2", changed=3), "2")
    told = board.install_here()
    assert told.status == 0
    assert open_bundle(board.store.bundle(told.last["digest"]))
    assert (board.store.bundle(first) / "tokenizer.json").read_bytes().startswith(b"rot!")


def test_the_operators_own_bundle_spares_fetching(board, published, tmp_path):
    """What is the same at the same place is copied from engine.bundle, which has no index; never linked."""
    own = make_bundle(tmp_path / "own", changed=5)
    board.environment["EDGE_ENGINE__BUNDLE"] = str(own)
    told = board.install_here()
    manifest_bytes = (tmp_path / "made/1" / MANIFEST).stat().st_size
    assert told.last["fetched_bytes"] <= 8 * CHUNK_BYTES + manifest_bytes
    assert not (own / "tokenizer.json").samefile(board.store.bundle(told.last["digest"]) / "tokenizer.json")


def test_a_broken_download_is_taken_up_again(board, published):
    """What came stays and is checked: what was altered meanwhile is fetched anew, no more."""
    index = index_of(published.folder.parent / "made/1", published.folder / "chunks", "1")
    sha256 = index.files[DATA].chunks[40].sha256
    missing = published.folder / f"chunks/{sha256[:2]}/{sha256}"
    away = missing.rename(published.folder / "away")
    told = board.install_here()
    assert told.status == 75
    assert "is not there" in told.last["reason"]
    begun = board.store.incoming(index.digest) / DATA
    data = bytearray(begun.read_bytes())
    data[10] ^= 1
    begun.write_bytes(data)
    (begun.parent / ".left").write_text("by a crash")
    away.rename(missing)
    told = board.install_here()
    assert told.status == 0
    after_it = (published.folder.parent / "made/1/tokenizer.json").stat().st_size
    assert told.last["fetched_bytes"] == (24 + 1) * CHUNK_BYTES + after_it


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(board, seed):
    """The store reads, what is in it is whole, and the next installation ends; 40 moments are a figure."""
    board.install_killed(random.Random(seed).uniform(0.3, 0.9))
    assert all(open_bundle(board.store.bundle(digest)) for digest in board.store.digests)
    told = board.install()
    assert told.status == 0
    assert open_bundle(board.store.bundle(told.last["digest"]))
    assert [name for name in board.left() if name.startswith(("incoming", "."))] == []


def test_what_crashes_left_is_cleaned_away(board):
    """Bundles half fetched, files half written, bundles that nobody wants; what is in use stays."""
    used = board.put()
    board.store.change(lambda record: record.trying(used).kept_now(1))
    shutil.copytree(board.store.bundle(used), board.store.bundle("b" * 64))
    shutil.copytree(board.store.bundle(used), board.store.incoming("c" * 64))
    (board.store.folder / ".record.json.x.partial").write_text("{")
    board.store.index("d" * 64).write_text("{}")
    told = board.install_here()
    assert (told.status, told.last["fetched_bytes"]) == (0, 0)
    assert board.store.digests == [used]
    assert [name for name in board.left() if name.startswith(("incoming", ".")) or "dddd" in name] == []
    assert board.store.read().verified is None  # it is in use already


def test_installing_again_mends(board, published):
    """A bundle that the disk has damaged is made whole, with what is left of it."""
    digest = board.put()
    file = board.store.bundle(digest) / DATA
    file.write_bytes(b"rot!" + file.read_bytes()[4:])
    with served(published.folder) as server:
        for answers in (answers for path, answers in server.script.items() if path.startswith("/chunks")):
            answers.insert(0, (404, {}, b""))
        board.environment["EDGE_STORE__REPOSITORY"] = server.address
        assert board.install_here().status == 75
        assert board.store.has(digest)  # damaged as it is, until there is another
        told = board.install_here()
    assert told.last["fetched_bytes"] == CHUNK_BYTES
    assert open_bundle(board.store.bundle(digest))


def test_one_that_was_rolled_back(board):
    """It is refused where one asks so, with why; else it is an order."""
    digest = board.put()
    board.store.change(lambda record: record.trying(digest).rolled_back("it answers nothing", 1.0))
    told = board.install_here("scripted", "--unless-failed")
    assert (told.status, told.last["passes"]) == (65, False)
    assert told.last["reason"].endswith("was rolled back on this board: it answers nothing")
    assert board.install_here().status == 0


def test_a_disk_without_room(board, published, tmp_path):
    """Nothing is fetched that has no room; both figures are told, and it may pass."""
    bundle = make_bundle(tmp_path / "2")
    (bundle / "much").write_bytes(bytes(8 << 20))
    piece = indexed(bundle / "much", published.folder / "chunks", lambda _: [8 << 20]).chunks[0]
    size_bytes = shutil.disk_usage(tmp_path).free + (1 << 30)
    count = size_bytes // piece.size_bytes
    many = Indexed(sha256="0" * 64, size_bytes=count * piece.size_bytes, chunks=[Chunk(**piece.model_dump())] * count)
    (bundle / "much").unlink()
    files = {path.name: indexed(path, published.folder / "chunks") for path in bundle.iterdir()}
    del files[MANIFEST]
    named = {name: File(sha256=file.sha256, size_bytes=file.size_bytes) for name, file in files.items()}
    write_manifest(bundle, files={**named, "much": File(sha256=many.sha256, size_bytes=many.size_bytes)})
    files = {**files, MANIFEST: indexed(bundle / MANIFEST, published.folder / "chunks"), "much": many}
    published.add(bundle, "2", files=files)
    told = board.install_here()
    assert told.status == 75
    assert re.search(r"has [\d.]+ MB free, but [\d.]+ MB are needed .*: make room", told.last["reason"])


def test_one_at_a_time(board):
    """A second installation does not wait: it says why not, and may be started again."""
    with board.store.changing():
        told = board.install()
    assert told.status == 75
    assert "another program" in told.last["reason"]


@pytest.mark.parametrize(
    ("words", "settings", "status", "says"),
    [
        (["scripted"], {"EDGE_STORE__REPOSITORY": "/none/at/all"}, 75, "is its disk mounted"),
        (["scripted"], {"EDGE_STORE__ROOT": "/none/root.json"}, 78, "1.root.json there (store.root)"),
        (["scripted"], {"EDGE_STORE__ROOT": str(ROOT / "pyproject.toml")}, 78, "is no root metadata"),
        (["scripted"], {"EDGE_STORE__REPOSITORY": "usb"}, 78, "neither a folder's whole path nor"),
        (["../x"], {}, 2, "cannot be a name"),
        (["x", "--channel=a/b"], {}, 2, "cannot be a channel"),
    ],
)
def test_what_is_set_wrongly(board, words, settings, status, says):
    """Each has its exit status, and says which setting."""
    board.environment |= settings
    told = board.install_here(*words)
    assert told.status == status, told
    assert says in told.last["reason"]


def test_without_a_repository(board):
    """Where none is set, the setting is named."""
    del board.environment["EDGE_STORE__REPOSITORY"]
    told = board.install()
    assert told.status == 78
    assert "store.repository is not set" in told.last["reason"]


def test_without_the_extra(board):
    """A board that has only the daemon's libraries is told what to install."""
    script = "import sys; sys.modules['tuf'] = None; from edge.store.__main__ import main; sys.exit(main())"
    words = [sys.executable, "-c", script, *INSTALLER[3:], "scripted"]
    environment = {**os.environ, **board.environment}
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 78
    assert "pip install 'edge-slm[fleet]'" in done.stdout


@pytest.fixture
def daemons(board, published, tmp_path: Path) -> Path:
    """The board's store is another user's, who can reach it and what the installer reads."""
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(folder.stat().st_mode | 0o011)
    board.store.folder.mkdir(parents=True)
    os.chown(board.store.folder, 4321, 4322)
    return board.store.folder


def install_as_root(board) -> Told:
    """With what is imported late imported before: this test's Python may lie where nobody but root can read."""
    late = "import sys, _strptime, tuf.api.serialization.json; from edge.store.__main__ import main; sys.exit(main())"
    words = [sys.executable, "-c", late, *INSTALLER[3:], "scripted"]
    environment = {**os.environ, **board.environment}
    done = subprocess.run(words, check=False, capture_output=True, text=True, cwd=ROOT, env=environment)
    return Told(done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr)


@as_root
def test_what_root_installs_belongs_to_the_daemon(board, daemons):
    """Everything in a store has the owner of its folder, so that a daemon without rights can read and replace it."""
    assert install_as_root(board).status == 0
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in daemons.rglob("*")}
    assert owners == {(4321, 4322)}


@as_root
@pytest.mark.parametrize("place", ["incoming", "incoming/{digest}", "bundles", "tuf", "lock"])
def test_links_in_a_store_lead_root_nowhere(board, daemons, published, tmp_path, place):
    """Who has taken the daemon over cannot have root write or delete what that user could not."""
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots/file").write_text("precious")
    index = published.add(make_bundle(tmp_path / "2", changed=3), "2")
    link = daemons / place.format(digest=index.digest)
    link.parent.mkdir(exist_ok=True)
    os.chown(link.parent, 4321, 4322)
    link.symlink_to(tmp_path / "roots" / ("new" if place == "lock" else ""))
    told = install_as_root(board)
    assert told.status not in (0, 1)
    assert "Permission denied" in told.last["reason"]
    assert [path.name for path in (tmp_path / "roots").rglob("*")] == ["file"]


def test_a_link_to_an_old_bundle_is_never_written_through(board, published, tmp_path):
    """Where a begun file is another bundle's, too, it is begun anew."""
    first = board.put()
    board.store.change(lambda record: record.trying(first).kept_now(1))
    index = published.add(make_bundle(tmp_path / "2", changed=3), "2")
    begun: Path = board.store.incoming(index.digest) / DATA
    begun.parent.mkdir(parents=True)
    begun.hardlink_to(board.store.bundle(first) / DATA)
    assert board.install_here().status == 0
    assert open_bundle(board.store.bundle(first))
    assert open_bundle(board.store.bundle(index.digest))


def test_begun_after_files_were_linked(board, published, tmp_path):
    """An installation that ended after it had taken over whole files goes on from there."""
    first = board.put()
    board.store.change(lambda record: record.trying(first).kept_now(1))
    index = published.add(make_bundle(tmp_path / "2", changed=3), "2")
    begun: Path = board.store.incoming(index.digest) / "tokenizer.json"
    begun.parent.mkdir(parents=True)
    begun.hardlink_to(board.store.bundle(first) / "tokenizer.json")
    assert board.install_here().status == 0
    assert open_bundle(board.store.bundle(index.digest))


def test_a_board_elsewhere(tmp_path, published):
    """The installer needs no file of ours but its store, its root and its repository."""
    board = Board(tmp_path / "else", published.folder, published.trusted)
    assert board.install().status == 0


def test_a_bundle_that_nobody_signed(board, tmp_path):
    """Where signers are named, the repository's own signatures are not enough; nothing of it is left."""
    (tmp_path / "signers").mkdir()
    board.environment["EDGE_STORE__SIGNERS"] = str(tmp_path / "signers")
    told = board.install_here()
    assert (told.status, told.last["state"]) == (65, "refused")
    assert board.left() == []
