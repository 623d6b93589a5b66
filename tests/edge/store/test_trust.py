"""What a board believes of a repository: keys that change, a clock that cannot be right, a file that was torn."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata

import edge
from edge.errors import BundleError
from edge.store.fetch import Folder
from edge.store.index import parse_index
from edge.store.trust import NEWEST_TIME, Trust
from tests.edge.store.publishing import Published, make_bundle

DAY = 86400.0


def trust(published: Published, folder: Path, seconds: float | None = None) -> Trust:
    """A board's, whose clock says so many seconds since 1970; the right time by default."""
    folder.mkdir(exist_ok=True)
    clock = time.time if seconds is None else lambda: seconds
    return Trust(Folder(published.folder), folder, published.trusted, clock)


def version(of: Trust) -> str:
    """Of the newest bundle in stable."""
    return parse_index(of.index("stable", "scripted", "newest")).version


def test_new_root_keys_are_followed(published, tmp_path):
    """The root's key changes, signed by the old and the new; a board that slept over it follows."""
    old, new = published.signers["root"], CryptoSigner.generate_ed25519()
    published.root.version += 1
    published.root.revoke_key(old.public_key.keyid, "root")
    published.root.add_key(new.public_key, "root")
    metadata = Metadata(published.root)
    metadata.sign(old)
    metadata.sign(new, append=True)
    (published.folder / "metadata/2.root.json").write_bytes(metadata.to_bytes())
    assert version(trust(published, tmp_path / "tuf")) == "1"


def test_a_new_root_that_the_old_key_has_not_signed(published, tmp_path):
    """Nobody takes a board over by laying down another root."""
    published.root.version += 1
    published.signers["root"] = CryptoSigner.generate_ed25519()
    published.write("root", published.root, "root")
    with pytest.raises(BundleError, match="not signed with the keys"):
        version(trust(published, tmp_path / "tuf"))


@pytest.mark.parametrize("seconds", [0.0, 86400.0 * 365 * 30])
def test_a_clock_of_1970_is_not_believed(published, tmp_path, seconds):
    """A board that has lost its time does not take old metadata for good; it waits for its clock."""
    with pytest.raises(BundleError, match=r"clock says (1970|1999|2000).*set it") as raised:
        version(trust(published, tmp_path / "tuf", seconds))
    assert raised.value.exit_status == 75


def test_what_has_expired_stays_so_when_the_clock_goes_back(published, tmp_path):
    """Once a later time was seen, metadata that had expired by then is not good again, however the clock is set."""
    now = time.time()
    assert version(trust(published, tmp_path / "tuf", now + 3 * DAY)) == "1"
    published.days = 2.5
    published.release("stable")
    with pytest.raises(BundleError, match="has expired") as raised:
        version(trust(published, tmp_path / "tuf", now + 2.9 * DAY))
    assert raised.value.exit_status == 75


def test_a_clock_that_is_ahead_leaves_no_trace(published, tmp_path):
    """It refuses all, and once it is right again everything is as it was."""
    assert version(trust(published, tmp_path / "tuf")) == "1"
    seen = (tmp_path / "tuf" / NEWEST_TIME).read_text()
    with pytest.raises(BundleError, match=r"clock, 20\d\d-\d\d-\d\d, is ahead"):
        version(trust(published, tmp_path / "tuf", time.time() + 4000 * DAY))
    assert (tmp_path / "tuf" / NEWEST_TIME).read_text() == seen
    assert version(trust(published, tmp_path / "tuf")) == "1"


def test_a_clock_a_little_behind(published, tmp_path):
    """Boards that save their clock once an hour start a little behind: that is no reason to refuse."""
    now = time.time()
    assert version(trust(published, tmp_path / "tuf", now + 100)) == "1"
    assert version(trust(published, tmp_path / "tuf", now - 3600)) == "1"


@pytest.mark.parametrize("text", ["inf", "nan", "9" * 40, "-1e30", "", "\0\0\0"])
def test_a_newest_time_that_a_bad_disk_made(published, tmp_path, text):
    """It is as if there were none: a board is not locked out by a bit."""
    newest = tmp_path / "tuf" / NEWEST_TIME
    newest.parent.mkdir()
    newest.write_text(text)
    assert version(trust(published, newest.parent)) == "1"
    assert float(newest.read_text()) == pytest.approx(time.time(), abs=DAY)


def test_another_repository_with_another_root(published, tmp_path):
    """Where the operator lays down another repository's root, what was kept of the old one stands in nobody's way."""
    assert version(trust(published, tmp_path / "tuf")) == "1"
    for _ in range(2):
        published.root.version += 1
        published.write("root", published.root, "root")
    assert version(trust(published, tmp_path / "tuf")) == "1"
    other = Published(tmp_path / "other")
    other.add(make_bundle(tmp_path / "7"), "7")
    assert version(trust(other, tmp_path / "tuf")) == "7"


def test_metadata_that_a_power_cut_tore(published, tmp_path):
    """It is fetched again."""
    assert version(trust(published, tmp_path / "tuf")) == "1"
    for name in ("timestamp.json", "snapshot.json", "stable.json", "root_history/1.root.json", NEWEST_TIME):
        (tmp_path / "tuf" / name).write_bytes(b"")
    assert version(trust(published, tmp_path / "tuf")) == "1"


def test_a_rollback_within_what_the_snapshot_lists(published, tmp_path):
    """Who has the online key alone cannot offer an older state of a channel."""
    published.add(make_bundle(tmp_path / "2", changed=1), "2")
    assert version(trust(published, tmp_path / "tuf")) == "2"
    published.snapshot.meta["stable.json"].version -= 1
    published.refresh()
    with pytest.raises(BundleError, match="mixed of several states"):
        version(trust(published, tmp_path / "tuf"))


def test_the_programs_own_age_is_a_bound():
    """It was installed at some time, so that it is not earlier now: also where nothing was ever verified."""
    assert Path(edge.__file__).stat().st_mtime > 50 * 365 * DAY
