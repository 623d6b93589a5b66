"""Long prompts that come again: what their keep costs, and that nothing of an answer hangs on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import booleans, integers, lists, tuples

from edge.documents import Piece
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.cache.allowance import DAY_SECONDS, Allowance
from edge.engine.cache.prefix_files import PrefixFiles
from edge.engine.cache.prefixes import BLOCK_TOKENS, Prefixes, cuts_of
from edge.engine.text.composing import composed
from edge.wire.chat import validated

SHAPE, KIND = (2, 2, 1, BLOCK_TOKENS, 4), np.dtype(np.int8)
BLOCK_BYTES = int(np.prod(SHAPE))
FILE_BYTES = BLOCK_BYTES + 16
HOUSE = "".join(f"- names: Lamp {number}\n  domain: light\n  areas: Room {number % 7}\n" for number in range(40))


def cache_of(tokens: list[int]) -> Callable[[int, int], np.ndarray]:
    """Keys and values that tell their tokens."""

    def read(start: int, stop: int) -> np.ndarray:
        block = np.empty((*SHAPE[:3], stop - start, SHAPE[4]), KIND)
        block[:] = (np.array(tokens[start:stop]) % 97)[:, None]
        return block

    return read


def text(number: int, blocks: int) -> list[int]:
    """A text that begins like no other."""
    return [number, *range(1, blocks * BLOCK_TOKENS)]


def come(known: Prefixes, tokens: list[int], **options: object) -> int:
    """A text is asked about: blocks of it that were known, and then all are kept."""
    found = len(known.find([*tokens, 1], False, **options))
    known.keep(tokens, False, cache_of(tokens), **options)
    return found


def store_in(folder: Path, blocks: int = 1000, **options: int) -> PrefixFiles:
    """Files of some blocks."""
    return PrefixFiles(folder, "bundle", SHAPE, KIND, blocks * FILE_BYTES, **options)


# --- several beginnings ---


def test_three_askers_in_turn_keep_what_fits(tmp_path):
    """Memory for most of three texts: of each as much less is known, its beginning; all of it from disk."""
    known = Prefixes(26 * BLOCK_BYTES)
    texts = [text(number, 10) for number in range(3)]
    rounds = [[come(known, each) for each in texts] for _ in range(4)]
    assert rounds == [[0, 0, 0], *[[6, 6, 6]] * 3]
    with_disk = Prefixes(20 * BLOCK_BYTES, store_in(tmp_path))
    for each in [*texts, *texts]:
        come(with_disk, each)
        with_disk.settle()
    assert [come(with_disk, each) for each in texts] == [10, 10, 10]


def test_a_text_larger_than_the_memory_is_known_by_its_beginning(tmp_path):
    """Not by its end, which is of no use; the second time all of it goes onto the disk, once."""
    long = text(1, 12)
    assert [come(known := Prefixes(5 * BLOCK_BYTES), long), come(known, long), known.bytes] == [0, 5, 5 * BLOCK_BYTES]
    store = store_in(tmp_path)
    known = Prefixes(5 * BLOCK_BYTES, store)
    found = []
    for _ in range(4):
        found.append(come(known, long))
        known.settle()
    assert found == [0, 5, 12, 12]
    assert store.written_bytes == 12 * FILE_BYTES
    assert known.bytes <= 5 * BLOCK_BYTES
    assert come(Prefixes(5 * BLOCK_BYTES, store_in(tmp_path)), long) == 12


def test_what_comes_once_is_never_written(tmp_path):
    """However many texts; what two of them begin with is."""
    store = store_in(tmp_path)
    known = Prefixes(4 * BLOCK_BYTES, store)
    for number in range(50):
        come(known, text(number, 6))
    known.settle()
    assert store.written_bytes == 0
    for number in range(3):
        come(known, [*range(7, 7 + BLOCK_TOKENS), number, *range(1, BLOCK_TOKENS)])
        known.settle()
    assert store.written_bytes == FILE_BYTES


def test_texts_that_take_turns_on_a_small_disk_wear_nothing_out(tmp_path):
    """Three texts and a disk for two: what is written in a day is what the limit and the day's share allow."""
    store = store_in(tmp_path, blocks=20)
    known = Prefixes(100 * BLOCK_BYTES, store)
    for _ in range(30):
        for number in range(3):
            come(known, text(number, 10))
            known.settle()
    assert store.written_bytes <= 21 * FILE_BYTES
    assert len(list(tmp_path.rglob("*.kv"))) <= 20


def test_an_allowance_comes_back_in_the_course_of_a_day():
    """No more than its most, whatever the clock does."""
    now = [0.0]
    allowance = Allowance(100, lambda: now[0])
    assert [allowance.take(60), allowance.take(60), allowance.take(40), allowance.take(1)] == [True, False, True, False]
    now[0] = DAY_SECONDS / 2
    assert [allowance.take(51), allowance.take(50)] == [False, True]
    now[0] = 100 * DAY_SECONDS
    assert [allowance.take(101), allowance.take(100), allowance.take(1)] == [False, True, False]


def test_what_is_in_use_from_memory_stays_on_the_disk(tmp_path):
    """A prompt that memory answers for is no older on the disk than what came and went meanwhile."""
    store = store_in(tmp_path, blocks=10)
    known = Prefixes(1000 * BLOCK_BYTES, store)
    house = text(1, 4)
    for _ in range(2):
        come(known, house)
        known.settle()
    for path in tmp_path.rglob("*.kv"):
        os.utime(path, (time.time() - 1000,) * 2)
    for number in (2, 3):
        for _ in range(2):
            come(known, text(number, 3))
            known.settle()
    for path in tmp_path.rglob("*.kv"):
        os.utime(path, (path.stat().st_mtime - 1000,) * 2)
    assert come(known, house) == 4
    store._allowance = Allowance(10 * FILE_BYTES)
    for _ in range(2):
        come(known, text(4, 3))
        known.settle()
    assert come(Prefixes(1 << 20, store_in(tmp_path)), house) == 4
    assert come(Prefixes(1 << 20, store_in(tmp_path)), text(4, 3)) == 3


def test_a_board_that_writes_nothing_waits_for_nobody(tmp_path):
    """An SD card's, after hours: there is nothing to tell files of, and the end comes at once."""
    store = store_in(tmp_path, blocks=0)
    known = Prefixes(100 * BLOCK_BYTES, store)
    for _ in range(3):
        come(known, text(1, 3))
        store._told -= 10_000
        known.flush()
    known.settle()
    assert list(tmp_path.rglob("*")) == []


def test_what_waits_to_be_written_is_bounded(tmp_path):
    """What had no room to wait is written when the text comes again."""
    store = store_in(tmp_path, waiting_bytes=4 * BLOCK_BYTES)
    known = Prefixes(100 * BLOCK_BYTES, store)
    written = []
    for _ in range(5):
        come(known, text(1, 10))
        known.settle()
        written.append(store.written_bytes // FILE_BYTES)
    assert written == [0, 4, 8, 10, 10]


def test_nothing_heaps_up_before_a_slow_disk(tmp_path):
    """What is being written counts as waiting; what had no room meanwhile is written when it comes again."""
    store, go = store_in(tmp_path, waiting_bytes=15 * BLOCK_BYTES), threading.Event()
    known = Prefixes(100 * BLOCK_BYTES, store)
    store._work.put(go.wait)
    for _ in range(3):
        for number in range(3):
            come(known, text(number, 10))
            known.flush()
    go.set()
    known.settle()
    assert store.written_bytes == 15 * FILE_BYTES
    for number in range(3):
        come(known, text(number, 10))
        known.settle()
    assert store.written_bytes == 30 * FILE_BYTES


# --- pictures ---

Runs = lists(tuples(booleans(), integers(1, 70)), max_size=6)


@settings(max_examples=200)
@given(Runs, integers(0, 40))
def test_cuts_hang_on_what_is_before_them_alone(runs, more):
    """No block is longer than a block; each picture with a word behind it ends at a cut; a longer text has the same."""
    tokens = [token for is_picture, count in runs for token in [-5 if is_picture else 5] * count]
    cuts = cuts_of(tokens)
    assert cuts[0] == 0
    assert all(0 < stop - start <= BLOCK_TOKENS for start, stop in pairwise(cuts))
    assert len(tokens) - cuts[-1] < BLOCK_TOKENS
    assert {place for place in range(1, len(tokens)) if tokens[place - 1] < 0 <= tokens[place]} <= set(cuts)
    longer = cuts_of([*tokens, *[5] * more])
    assert longer[: len(cuts)] == cuts


def test_a_short_block_is_a_file_of_its_size(tmp_path):
    """And one that is cut to another block's size is damaged."""
    tokens = [*[-3] * (BLOCK_TOKENS + 5), *range(1, 2 * BLOCK_TOKENS)]
    known = Prefixes(1 << 20, store_in(tmp_path))
    for _ in range(2):
        come(known, tokens)
    known.settle()
    sizes = sorted(path.stat().st_size for path in tmp_path.rglob("*.kv"))
    token_bytes = BLOCK_BYTES // BLOCK_TOKENS
    assert sizes == [16 + 5 * token_bytes, FILE_BYTES, FILE_BYTES]
    found = Prefixes(1 << 20, store_in(tmp_path)).find([*tokens, 1], False)
    assert [block.shape[3] for block in found] == [BLOCK_TOKENS, 5, BLOCK_TOKENS]
    assert (np.concatenate(found, 3) == cache_of(tokens)(0, 2 * BLOCK_TOKENS + 5)).all()
    (short,) = (path for path in tmp_path.rglob("*.kv") if path.stat().st_size == sizes[0])
    short.write_bytes(short.read_bytes()[:-token_bytes])
    again = store_in(tmp_path)
    assert len(Prefixes(1 << 20, again).find([*tokens, 1], False)) == 1
    assert again.damaged == 1


# --- the real model ---


def job(number: int, time_of_day: str, question: str = "Is the hall dark?") -> Job:
    """A prompt of a house with the time at its head, marked, as it comes over the wire."""
    now = {"type": "text", "text": f"Current time is {time_of_day}.", "cache": "volatile"}
    system = {"role": "system", "content": [now, {"type": "text", "text": HOUSE}]}
    chat = validated({"messages": [system, {"role": "user", "content": question}]})
    return Job(number, chat.conversation(), 8, top_logprobs=5, ignore_eos=True, seed=1)


def test_documents_stand_before_what_changes():
    """Their pieces are at the beginning of the user's first turn, so that they are known whatever the time is."""
    piece = Piece(1, "a.md", "Pump", "", None, "Its motor must never touch water.")
    said = composed(job(1, "20:37:19").messages, [piece], "12345678")
    assert said[0]["content"] == HOUSE
    assert said[1]["content"].endswith("Question: Current time is 20:37:19.\nIs the hall dark?")
    assert said[1]["content"].index("motor") < said[1]["content"].index("20:37:19")


def test_an_answer_from_a_known_beginning_is_the_cold_ones(bundle, tmp_path):
    """With another time than it was kept with: in memory and from disk the same tokens, and the same logprobs."""
    options = Options(cache_folder=str(tmp_path), packs=False, drafts=False, prefix_disk_bytes=1 << 30)
    cold = answer(BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False)), job(1, "20:37:19"))
    engine = BatchedEngine(bundle, options)
    for number, now in enumerate(("11:11:11", "12:34:56")):
        answer(engine, job(number, now))
    warm = answer(engine, job(3, "20:37:19"))
    engine.close()
    restarted = answer(BatchedEngine(bundle, options), job(4, "20:37:19"))
    for each in (warm, restarted):
        assert each.logprobs == cold.logprobs
        assert each.prompt_tokens - each.cached_tokens < 2 * BLOCK_TOKENS + 20
    assert cold.cached_tokens == 0


ASKED_TWICE = """
import sys, time
from pathlib import Path
from edge.engine import Options, answer
from edge.engine.batch.engine import BatchedEngine
from tests.edge.engine.test_prompts_again import job
options = Options(cache_folder=sys.argv[2], packs=False, drafts=False, prefix_disk_bytes=1 << 30)
engine = BatchedEngine(Path(sys.argv[1]), options)
for number, now in enumerate(("11:11:11", "12:34:56")):
    answer(engine, job(number, now))
list(engine.step())
print("answered", flush=True)
time.sleep(60)
"""


def test_it_is_known_after_the_process_was_killed(bundle, tmp_path):
    """Two askings, then kill -9 while or after the blocks are written: the next process finds them whole or not."""
    command = [sys.executable, "-c", ASKED_TWICE, str(bundle), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"answered\n"
        until = time.monotonic() + 30
        while not list(tmp_path.rglob("*.kv")) or list(tmp_path.rglob("*.partial")):
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    options = Options(cache_folder=str(tmp_path), packs=False, drafts=False, prefix_disk_bytes=1 << 30)
    engine = BatchedEngine(bundle, options)
    found = answer(engine, job(1, "20:37:19"))
    assert found.cached_tokens > 0
    assert engine.counters()["prefix_damaged"] == 0
    cold = answer(BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False)), job(1, "20:37:19"))
    assert found.logprobs == cold.logprobs


@pytest.mark.parametrize("keep", [True, False])
def test_keep_and_forget_hold_for_what_comes_again(bundle, tmp_path, keep):
    """What is not to be kept goes to no disk however often it comes; what is forgotten leaves it."""
    options = Options(cache_folder=str(tmp_path), packs=False, drafts=False, prefix_disk_bytes=1 << 30)
    engine = BatchedEngine(bundle, options)
    for number in range(3):
        answer(engine, replace(job(number, f"12:00:0{number}"), keep=keep, cache_salt="client me"))
    engine._prefixes.settle()
    assert bool(list(tmp_path.rglob("*.kv"))) == keep
    engine.forget("client me")
    engine._prefixes.settle()
    assert not list(tmp_path.rglob("*.kv"))
    assert answer(engine, replace(job(9, "12:00:09"), cache_salt="client me")).cached_tokens == 0
