"""The store's folder: what is in it after each step, who holds it, and what is thrown away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge.errors import StartError
from edge.store.record import Record
from edge.store.store import Store

A, B = "a" * 64, "b" * 64


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """One that was never used."""
    return Store(tmp_path / "of/a/board")


def put(store: Store, digest: str) -> None:
    """A bundle of one file, as an installation leaves it."""
    store.make(store.incoming(digest))
    (store.incoming(digest) / "file").write_text(digest)
    store.commit(digest, b"{}")


def test_reading_writes_nothing(store):
    """A daemon without a store has an empty record, and no folder is made for it."""
    assert store.read() == Record()
    assert store.digests == []
    assert not store.has(A)
    assert not store.folder.exists()


def test_a_bundle_appears_and_vanishes(store):
    """With its index; nothing else of it is left."""
    put(store, A)
    assert store.has(A)
    assert store.digests == [A]
    assert store.index(A).read_bytes() == b"{}"
    store.remove(A)
    assert [path for path in store.folder.rglob("*") if path.is_file()] == []
    store.remove(A)  # which does no harm


def test_changes_do_not_overtake_each_other(store):
    """Daemon and command line write the same record: none loses what the other wrote."""
    digests = [f"{number:064x}" for number in range(20)]
    change = store.change
    threads = [
        threading.Thread(target=change, args=(lambda r, d=digest: r.trying(d).rolled_back("bad", 1.0),))
        for digest in digests
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.digest for each in store.read().failed) == digests


def test_pruned(store):
    """What the record does not mention goes; what it does, or whoever asks, stays."""
    put(store, A)
    put(store, B)
    put(store, "c" * 64)
    store.write(Record(kept=A))
    assert store.prune(keep={B}) == ["c" * 64]
    assert store.digests == [A, B]


def test_nothing_is_pruned_during_an_installation(store):
    """What was just installed and stands in no record yet is not taken away."""
    put(store, A)
    with store.changing():
        assert store.prune() == []
    assert store.prune() == [A]


def test_one_changes_the_folder(store):
    """The other is told so at once, and may come again."""
    with store.changing(), pytest.raises(StartError, match="another program") as raised, store.changing():
        pass
    assert raised.value.exit_status == 75
    with store.changing():
        pass


@pytest.mark.parametrize("text", ["", "{", '{"kept": "../x"}', '{"schema_version": 2}'])
def test_a_record_that_cannot_be_read(store, text):
    """It is named, with what to do about it; it is not overwritten."""
    store.write(Record(kept=A))
    (store.folder / "record.json").write_text(text)
    with pytest.raises(StartError, match=r"record\.json cannot be read .*remove it"):
        store.read()
    with pytest.raises(StartError):
        store.change(lambda record: record)
    assert (store.folder / "record.json").read_text() == text
