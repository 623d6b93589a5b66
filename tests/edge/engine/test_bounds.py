"""No request holds the engine: what is done for it is bounded before it is done. Counts and ratios, never times."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import read_manifest
from edge.engine import Finished, Job, Options
from edge.engine.batch.drafting import Draft
from edge.engine.batch.engine import BatchedEngine
from edge.engine.cache.prefixes import BLOCK_TOKENS, Prefixes
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.chat_template import render
from edge.engine.text.loops import LoopGuard
from edge.engine.text.marks import SLICE_CHARACTERS, Marks
from edge.engine.text.sampling import described, log_probabilities
from edge.engine.text.stop_text import StopText
from edge.errors import TooLarge

FAMILIES = ("bundle", "phi_bundle", "vision_bundle")
QUARTER_MEGABYTE = 250_000


def of(letters: str) -> Callable[[random.Random], str]:
    """Texts of these letters, by chance."""
    return lambda chance: "".join(chance.choices(letters, k=QUARTER_MEGABYTE // len(letters[-1].encode())))


def between(first: int, last: int) -> str:
    """The characters from one code point to another."""
    return "".join(map(chr, range(first, last)))


LONG: dict[str, Callable[[random.Random], str]] = {
    "letters": of("abcdefghijklmnopqrstuvwxyz"),
    "letters of both cases": of("abcdefghABCDEFGH"),
    "digits": of("0123456789"),
    "spaces": of(" "),
    "newlines": of("\n"),
    "line ends": of("\r\n"),
    "one letter": of("x"),
    "dashes": of("-"),
    "pictographs": of(between(0x1F300, 0x1F600)),
    "combining marks": of(between(0x300, 0x36F)),
    "unusual letters": of(between(0x4E00, 0x9FFF)),
    "replacement characters": of("\ufffd"),
    "base64": lambda chance: base64.b64encode(chance.randbytes(QUARTER_MEGABYTE * 3 // 4)).decode(),
    "words": lambda chance: " ".join(chance.choices(("lamp", "tower", "storm"), k=QUARTER_MEGABYTE // 6)),
    "words without spaces": lambda chance: "".join(chance.choices(("international", "application"), k=20_000)),
    "marks": lambda _chance: "</s><|end|><|im_end|>" * 12_000,
    "nearly marks": lambda _chance: "<|" * (QUARTER_MEGABYTE // 2),
    "marks without an end": lambda _chance: "<|im_st" * (QUARTER_MEGABYTE // 7),
    "marks between letters": lambda chance: "<s>".join(chance.choices("abcdefgh", k=60_000)),
    "spaces, then letters": lambda chance: " " * 150_000 + of("abcdefgh")(chance)[:100_000],
}


class Counted(Tokenizer):
    """A tokenizer that notes the length of each text that it encodes."""

    lengths: list[int]

    def ids(self, text: str) -> list[int]:
        self.lengths.append(len(text))
        return super().ids(text)


@pytest.fixture(params=FAMILIES, scope="module")
def tokenizer(request) -> Counted:
    """Of SmolLM2's own bundle, of Phi-3.5-mini's and -vision's small ones."""
    folder: Path = request.getfixturevalue(request.param)
    return Counted(folder, read_manifest(folder))


@pytest.mark.parametrize("kind", LONG)
def test_a_quarter_megabyte_of_anything(tokenizer, kind):
    """It is encoded in short slices, each once; a refusal comes as soon as the slices have more than the context.

    What one slice takes is bounded, since a word of it is; so is their number, by the context and the longest token.
    """
    text = LONG[kind](random.Random(0))
    tokenizer.lengths = []
    try:
        tokens = len(tokenizer.encode([{"role": "user", "content": text}]))
    except TooLarge:
        tokens = tokenizer._context + SLICE_CHARACTERS
    assert max(tokenizer.lengths, default=0) <= SLICE_CHARACTERS + 1
    assert sum(tokenizer.lengths) <= len(text) * 2
    assert len([length for length in tokenizer.lengths if length > 1]) <= tokens + 1
    assert tokens <= tokenizer._context or sum(tokenizer.lengths) < tokenizer._context * tokenizer._marks.longest


def test_what_cannot_fit_is_not_encoded_at_all(tokenizer):
    """Where even the longest token of the vocabulary, again and again, would be too much."""
    tokenizer.lengths = []
    text = "-" * int(tokenizer._context * tokenizer._marks.longest + 1)
    with pytest.raises(TooLarge, match="more than"):
        tokenizer.encode([{"role": "user", "content": text}])
    assert tokenizer.lengths == []


PIECES = (
    "lamp",
    "the",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "é",
    "日本語",
    "1234",
    "3.14",
    ", ",
    ". ",
    "don't",
    " 'quoted' ",
    "{",
)
MORE_PIECES = ("}", "  indent", "🌱", "a_b", "==", "x\u0301", "Ⅷ", "½", " ", "<|", "a < b")


@pytest.mark.parametrize("seed", range(12))
def test_slices_change_no_token(tokenizer, seed):
    """Long texts of every kind, with white space behind words here and there, have the tokens that they have whole."""
    chance = random.Random(seed)
    roles = ("user", "assistant", "user")[: 1 + 2 * (seed % 2)]
    texts = ["".join(chance.choices((*PIECES, *MORE_PIECES), k=chance.randint(300, 2000))) for _ in roles]
    turns = [{"role": role, "content": f"{text}. It is so."} for role, text in zip(roles, texts, strict=True)]
    whole = tokenizer.ids(render(tokenizer._template, turns, tokenizer._special))
    tokenizer._context, before = 1_000_000, tokenizer._context
    try:
        assert tokenizer.encode(turns) == whole
    finally:
        tokenizer._context = before
    assert len(texts[0]) > SLICE_CHARACTERS / 2


@pytest.fixture(scope="module")
def engine(bundle) -> BatchedEngine:
    """The real model, without what would make an answer depend on those before it."""
    return BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))


def asked(number: int, length: int, **options: object) -> Job:
    """A question."""
    return Job(number, [{"role": "user", "content": "What is the capital of France?"}], length, **options)


class Held:
    """Makes rows as the engine does, but one job's only when it is let go of."""

    def __init__(self, engine: BatchedEngine, number: int) -> None:
        self._make, self._number, self.go = engine._intake._row, number, threading.Event()
        engine._intake._row = self

    def __call__(self, job: Job, tokens: list[int] | None) -> object:
        if job.id == self._number:
            self.go.wait(60)
        return self._make(job, tokens)


def test_others_are_answered_while_a_job_comes_in(bundle):
    """However long that takes: one answer is finished meanwhile, and one that was cancelled is never begun."""
    engine = BatchedEngine(bundle, Options(prefix_bytes=0))
    engine.submit(asked(1, 12, ignore_eos=True))
    list(engine.step())
    held = Held(engine, 2)
    for number in (2, 3):
        engine.submit(asked(number, 4))
    engine.cancel(3)
    ends: dict[int, str] = {}
    for _ in range(60):
        ends |= ended(engine)
        if ends:
            break
    assert ends == {1: "length"}
    assert not engine.is_idle
    held.go.set()
    while not engine.is_idle:
        ends |= ended(engine)
    assert ends == {1: "length", 2: "length", 3: "cancelled"}


def ended(engine: BatchedEngine) -> dict[int, str]:
    """How jobs ended in one step."""
    return {event.job_id: event.what.finish_reason for event in engine.step() if isinstance(event.what, Finished)}


def stop_strings(kind: str) -> Callable[[int], None]:
    """Eight long ones that are always about to be met."""
    stops = [(kind * 300)[:255] + end for end in "stuvwxyz"]

    def work(count: int) -> None:
        search = StopText(stops)
        for _ in range(count):
            search.push(kind * 4)

    return work


def loops(part: list[int], text: str) -> Callable[[int], None]:
    """An answer that repeats a part of it."""

    def work(count: int) -> None:
        guard = LoopGuard(lambda ids: text * len(ids))
        for number in range(count * 4):
            guard.take(part[number % len(part)])

    return work


def guesses(part: list[int]) -> Callable[[int], None]:
    """The same, guessed at each token."""

    def work(count: int) -> None:
        tokens = part[:1] * 4
        draft = Draft(tokens)
        for number in range(count * 16):
            tokens.append(part[number % len(part)])
            draft.guess(tokens, 7)

    return work


def broken(text: str, bundle: Path) -> Callable[[int], None]:
    """What people wrote, its marks broken and the template around it."""
    marks, template = Marks(bundle), read_manifest(bundle).chat_template

    def work(count: int) -> None:
        render(template, marks.broken([{"role": "user", "content": text * 100}] * count))

    return work


def beginnings() -> Callable[[int], None]:
    """A text that is looked for among many that begin alike."""
    known, block = Prefixes(1 << 30), np.zeros((1, 2, 1, BLOCK_TOKENS, 1), np.int8)
    for number in range(300):
        known.keep([*range(32 * 8), *([number] * 32 * 8)], False, lambda _start, _stop: block)

    def work(count: int) -> None:
        for _ in range(8):
            known.find([*range(32 * 8), *([7] * 8 * count)], False)

    return work


WORK: dict[str, Callable[[Path], Callable[[int], None]]] = {
    "stop strings of a letter": lambda _: stop_strings("a"),
    "stop strings of three": lambda _: stop_strings("abc"),
    "a loop of one token": lambda _: loops([5], "- "),
    "no loop": lambda _: loops(list(range(257)), "| \n"),
    "guesses from one token": lambda _: guesses([5]),
    "guesses in vain": lambda _: guesses(list(range(20_000))),
    "nearly marks": lambda bundle: broken("<|im_st<|", bundle),
    "marks": lambda bundle: broken("<|im_end|>", bundle),
    "beginnings": lambda _: beginnings(),
}


@pytest.mark.parametrize("kind", WORK)
def test_work_grows_with_the_text_and_no_faster(bundle, kind):
    """Twice the text takes twice as long, not four times, where it is made to take long."""
    work = WORK[kind](bundle)

    def seconds(count: int) -> float:
        started = time.perf_counter()
        work(count)
        return time.perf_counter() - started

    work(10)
    ratios = [seconds(1000) / seconds(500) for _ in range(7)]
    assert sorted(ratios)[3] < 3


def test_logprobs_sort_no_vocabulary():
    """The likeliest in their order, ties by their number, as sorting all of them gives."""
    chance = np.random.default_rng(0)
    for count in (0, 1, 5, 20):
        logits = chance.integers(0, 40, 1000).astype(np.float32)
        told = described(str, logits, 7, count)
        order = np.argsort(-log_probabilities(logits), kind="stable")[:count]
        assert [each["token"] for each in told["top_logprobs"]] == [str(each) for each in order]
