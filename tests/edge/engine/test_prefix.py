"""Remembered beginnings: found by their tokens alone, bounded, and on disk only where that is safe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, lists, tuples

from edge.board.disk import is_on_sd_card
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.cache.prefix_files import PrefixFiles
from edge.engine.cache.prefixes import BLOCK_TOKENS, Prefixes, keys_of
from edge.testing import write_tree

SHAPE, KIND = (2, 2, 1, BLOCK_TOKENS, 4), np.dtype(np.int8)
BLOCK_BYTES = int(np.prod(SHAPE))
HEAD = "You are the keeper of a lighthouse, and you answer in one short sentence. " * 15


def cache_of(tokens: list[int]) -> Callable[[int, int], np.ndarray]:
    """Keys and values that tell their tokens."""

    def read(start: int, stop: int) -> np.ndarray:
        block = np.empty((*SHAPE[:3], stop - start, SHAPE[4]), KIND)
        block[:] = np.array(tokens[start:stop], KIND)[:, None]
        return block

    return read


Texts = lists(tuples(lists(integers(0, 1), min_size=1, max_size=5), booleans()), min_size=1, max_size=12)


@settings(max_examples=100)
@given(Texts, integers(0, 8))
def test_what_is_found_is_what_was_kept(texts, blocks):
    """Texts of a few kinds of block, in any order, under any limit: found keys and values are those of the tokens."""
    known = Prefixes(blocks * BLOCK_BYTES)
    for kinds, is_long in texts:
        tokens = [kind + 2 * is_long for kind in kinds for _ in range(BLOCK_TOKENS)]
        found = known.find(tokens, is_long)
        assert len(found) <= (len(tokens) - 1) // BLOCK_TOKENS
        for number, block in enumerate(found):
            start = number * BLOCK_TOKENS
            assert (block == cache_of(tokens)(start, start + BLOCK_TOKENS)).all()
        known.keep(tokens, is_long, cache_of(tokens))
        assert known.bytes <= blocks * BLOCK_BYTES


def test_one_salt_does_not_find_what_another_left(tmp_path):
    """In memory and on disk, read or said; what came with the bundle everybody finds."""
    tokens = list(range(BLOCK_TOKENS)) * 2
    asked = [*tokens, 1]
    with files(tmp_path / "shipped") as shipped:
        known = Prefixes(1 << 20, shipped)
        for _ in range(2):
            known.keep(tokens, False, cache_of(tokens))
            known.find(asked, False)
    with files(tmp_path / "own") as store, files(tmp_path / "shipped") as shipped:
        known = Prefixes(1 << 20, store, shipped)
        assert len(known.find(asked, False, "eve")) == 2
        mine = [each + 1 for each in asked]
        known.keep(mine[:-1], False, cache_of(mine), BLOCK_TOKENS, "me")
        assert [len(known.find(mine, False, salt)) for salt in ("me", "eve", "")] == [1, 0, 0]
        assert [len(known.find_said(mine, False, 1, salt)) for salt in ("me", "eve", "")] == [1, 0, 0]
    with files(tmp_path / "own") as store:
        known = Prefixes(1 << 20, store)
        assert [len(known.find(mine, False, salt)) for salt in ("eve", "", "me")] == [0, 0, 1]


def test_what_is_forgotten_is_found_no_more(tmp_path):
    """A salt's blocks, read and said, in memory and on disk, of other bundles too; everybody else's stay."""
    tokens = list(range(1, BLOCK_TOKENS + 1)) * 3
    asked = [*tokens, 1]
    for salt in ("client me", "client you", ""):
        for name in ("bundle-1", "bundle-2"):
            with files(tmp_path, name=name) as store:
                known = Prefixes(1 << 20, store)
                known.keep(tokens, False, cache_of(tokens), 2 * BLOCK_TOKENS, salt)
                known.find(asked, False, salt)
    assert len(list(tmp_path.glob("*/*.kv"))) == 12
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        for salt in ("client me", "client you", ""):
            known.keep(tokens, False, cache_of(tokens), 2 * BLOCK_TOKENS, salt)
            known.find(asked, False, salt)
        before = known.bytes
        known.forget("client me")
        store.settle()
        assert known.bytes == before * 2 // 3
        assert len(list(tmp_path.glob("*/*.kv"))) == 8
        assert [len(known.find(asked, False, salt)) for salt in ("client me", "client you", "")] == [0, 2, 2]
        assert known.find_said(asked, False, 0, "client me") == []
        known.forget("")
        store.settle()
        assert [len(known.find(asked, False, salt)) for salt in ("client you", "")] == [2, 0]
    assert len(list(tmp_path.glob("*/*.kv"))) == 4


def test_what_waits_to_be_written_is_forgotten_too(tmp_path):
    """Its turn for the disk has not come; and a board that writes nothing removes what is there."""
    tokens = list(range(BLOCK_TOKENS))
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        known.keep(tokens, False, cache_of(tokens), salt="client me")
        known.find([*tokens, 1], False, "client me")
        known.forget("client me")
        store.settle()
        assert list(tmp_path.glob("*/*")) == []
        known.keep(tokens, False, cache_of(tokens), salt="client me")
        known.find([*tokens, 1], False, "client me")
    assert len(list(tmp_path.glob("*/*"))) == 1
    Prefixes(1 << 20, PrefixFiles(tmp_path, "bundle-1", SHAPE, KIND, 0)).forget("client me")
    assert list(tmp_path.glob("*/*")) == []


def test_what_is_not_kept_goes_to_no_disk(tmp_path):
    """However often it is of use, and though a file of it was damaged; what is on disk already is found."""
    tokens = list(range(BLOCK_TOKENS)) * 2
    asked = [*tokens, 1]
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        for _ in range(3):
            known.keep(tokens, False, cache_of(tokens), salt="me", is_kept=False)
            assert len(known.find(asked, False, "me", is_kept=False)) == 2
        store.settle()
        assert list(tmp_path.glob("*/*")) == []
        known.find(asked, False, "me")
    (path, *_) = tmp_path.glob("*/*.kv")
    path.write_bytes(b"damaged")
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        known.find(asked, False, "me", is_kept=False)
        known.keep(tokens, False, cache_of(tokens), salt="me", is_kept=False)
        store.settle()
    assert not path.exists()


def test_texts_are_known_by_all_that_came_before():
    """The same block after another one, or with the other rotary factors, is another block."""
    a, b = [1] * BLOCK_TOKENS, [2] * BLOCK_TOKENS
    names = [list(keys_of(tokens, is_long)) for tokens in (a + b, b + b, a + a) for is_long in (False, True)]
    assert len({key for keys in names for key in keys}) == 10  # a, b, ab, bb, aa with either factors
    assert list(keys_of(a + b[:-1], False)) == names[0][:1]


def test_the_beginning_of_a_text_outlives_its_end():
    """Under pressure blocks go from the end of the text that was not used for longest."""
    known = Prefixes(3 * BLOCK_BYTES)
    shared, other = [1] * (2 * BLOCK_TOKENS), [2] * (2 * BLOCK_TOKENS)
    known.keep(shared, False, cache_of(shared))
    known.keep(other, False, cache_of(other))
    assert len(known.find([*shared, 9], False)) == 1
    assert len(known.find([*other, 9], False)) == 2
    known.shrink(0)
    assert known.bytes == 0


@contextmanager
def files(folder: Path, limit_blocks: int = 100, name: str = "bundle-1") -> Iterator[PrefixFiles]:
    """A store, everything written at the end of the block."""
    store = PrefixFiles(folder, name, SHAPE, KIND, limit_blocks * (BLOCK_BYTES + 16))
    yield store
    store.settle()


def remembered(folder: Path, tokens: list[int]) -> int:
    """Blocks that a new process finds."""
    with files(folder) as store:
        return len(Prefixes(1 << 20, store).find([*tokens, 9], False))


def test_what_was_of_use_outlives_the_process(tmp_path):
    """A text that came once is not written; one that came twice is, and the next process finds it."""
    tokens = [3] * (3 * BLOCK_TOKENS)
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        known.keep(tokens, False, cache_of(tokens))
        store.settle()
        assert not list(tmp_path.rglob("*.kv"))
        known.find([*tokens, 9], False)
    assert remembered(tmp_path, tokens) == 3
    assert not list(tmp_path.rglob("*.partial"))
    assert (tmp_path / "bundle-1").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "another"])
def test_a_damaged_file_is_counted_and_written_anew(tmp_path, damage):
    """A flipped bit, a torn write, an empty file, another block's file: not used, counted, and whole the next time."""
    tokens = [number % 5 for number in range(2 * BLOCK_TOKENS)]
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        known.keep(tokens, False, cache_of(tokens))
        known.find([*tokens, 9], False)
    first, second = (next(tmp_path.rglob(f"{key.hex()}.kv")) for key in keys_of(tokens, False))
    whole = first.read_bytes()
    if damage == "another":
        shutil.copy(second, first)
    else:
        first.write_bytes({"flipped": whole[:-1] + b"\xff", "cut": whole[:-7], "empty": b""}[damage])
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        assert known.find([*tokens, 9], False) == []
        assert store.damaged == 1
        known.keep(tokens, False, cache_of(tokens))
        known.find([*tokens, 9], False)
    assert first.read_bytes() == whole
    assert remembered(tmp_path, tokens) == 2


def test_files_are_bounded_over_all_bundles(tmp_path):
    """What was of no use for longest goes first, another bundle's files too."""
    for name in ("bundle-0", "bundle-1"):
        for number in range(4):
            store = PrefixFiles(tmp_path, name, SHAPE, KIND, 5 * (BLOCK_BYTES + 16))
            store.save(bytes([number]) * 16, np.zeros(SHAPE, KIND))
            store.settle()
    left = sorted(path.parent.name for path in tmp_path.rglob("*.kv"))
    assert left == ["bundle-0"] + ["bundle-1"] * 4


def test_a_full_disk_ends_the_writing_alone(tmp_path):
    """A folder that cannot be made (a file is in its place): what is known in memory goes on being found."""
    (tmp_path / "bundle-1").write_text("in the way")
    tokens = [3] * (2 * BLOCK_TOKENS)
    with files(tmp_path) as store:
        known = Prefixes(1 << 20, store)
        for _ in range(3):
            known.keep(tokens, False, cache_of(tokens))
            assert len(known.find([*tokens, 9], False)) == 2
            store.settle()
        assert not store.is_writing


def test_an_sd_card_is_told_by_the_kernel(tmp_path):
    """By the kind of the device under the folder's file system, a partition's parent included."""
    number = tmp_path.stat().st_dev
    name = f"{os.major(number)}:{os.minor(number)}"
    for kind in ("SD", "MMC"):
        root = tmp_path / kind
        write_tree(root, {"sys/devices/mmc0/mmcblk0/device/type": f"{kind}\n"})
        (root / "sys/devices/mmc0/mmcblk0/mmcblk0p2").mkdir()
        (root / "sys/dev/block").mkdir(parents=True)
        (root / "sys/dev/block" / name).symlink_to(root / "sys/devices/mmc0/mmcblk0/mmcblk0p2")
        assert is_on_sd_card(tmp_path, root) == (kind == "SD")
    assert not is_on_sd_card(tmp_path / "not/yet/there", tmp_path / "empty")


def test_the_real_model_goes_on_after_a_restart(bundle, tmp_path):
    """Two requests, a new engine: the third reads next to nothing of a known head and says what it says without."""
    options = Options(cache_folder=str(tmp_path), prefix_disk_bytes=1 << 30, packs=False, drafts=False)
    jobs = [
        Job(n, [{"role": "user", "content": f"{HEAD} {text}"}], 16) for n, text in enumerate(("Hi.", "Who?", "Why?"))
    ]
    before = BatchedEngine(bundle, options)
    for job in jobs[:2]:
        answer(before, job)
    before._prefixes._store.settle()
    texts: list[str] = []
    after = BatchedEngine(bundle, options)
    finished = answer(after, jobs[2], texts.append)
    assert finished.prompt_tokens - finished.cached_tokens < 2 * BLOCK_TOKENS
    plain: list[str] = []
    answer(BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False)), jobs[2], plain.append)
    assert "".join(texts) == "".join(plain)


def test_a_bundle_brings_its_own_beginnings(bundle, tmp_path):
    """A bundle with a folder of blocks knows a system prompt at its first start, and writes nothing anywhere."""
    shipped = tmp_path / "bundle"
    shutil.copytree(bundle, shipped)
    write_tree(tmp_path, {"keeper.txt": HEAD})
    from export.warm import warm

    warm(shipped, [tmp_path / "keeper.txt"])
    blocks = list((shipped / "prefixes").glob("*.kv"))
    for path in blocks:
        os.utime(path, (1, 1))
    engine = BatchedEngine(shipped, Options(drafts=False))
    turns = [{"role": "system", "content": HEAD.strip()}, {"role": "user", "content": "Is it dark?"}]
    finished = answer(engine, Job(1, turns, 8))
    assert finished.prompt_tokens - finished.cached_tokens < 2 * BLOCK_TOKENS
    assert blocks
    assert {path.stat().st_mtime for path in blocks} == {1}  # the daemon need not own its bundle
