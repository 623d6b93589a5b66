"""A seed gives the same answer whatever else runs, ran before, or is remembered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.cache.prefixes import BLOCK_TOKENS, Prefixes
from tests.edge.engine.test_prefix import BLOCK_BYTES, cache_of

KEEPER = {"role": "system", "content": "You are the keeper of a lighthouse and answer in short sentences. " * 4}
QUESTIONS = ("Tell me about the sea.", "And the ships?", "Which ports are the largest?", "What lives there?")
LENGTH = 56


class Talk:
    """A conversation with one engine, and a seeded request for each of its turns that another may be asked."""

    def __init__(self, engine: BatchedEngine) -> None:
        """Greedy and without a seed: each answer is said behind what was said before, and is the same every time."""
        self.turns = [KEEPER]
        self.cached: list[int] = []
        for number, question in enumerate(QUESTIONS):
            self.turns.append({"role": "user", "content": question})
            text: list[str] = []
            job = Job(100 + number, list(self.turns), LENGTH)
            self.cached.append(answer(engine, job, text.append).cached_tokens)
            self.turns.append({"role": "assistant", "content": "".join(text)})

    def requests(self) -> list[Job]:
        """Each asks what was asked then, with a seed of its own."""
        counts = range(len(QUESTIONS))
        return [Job(n, self.turns[: 2 + 2 * n], LENGTH, temperature=0.9, seed=n, top_p=0.95) for n in counts]


def said(engine: BatchedEngine, job: Job) -> str:
    """The answer's text."""
    text: list[str] = []
    answer(engine, job, text.append)
    return "".join(text)


def together(engine: BatchedEngine, jobs: list[Job]) -> list[str]:
    """The answers of jobs that are asked at once."""
    texts = {job.id: "" for job in jobs}
    for job in jobs:
        engine.submit(job)
    while not engine.is_idle:
        for event in engine.step():
            texts[event.job_id] += event.what if isinstance(event.what, str) else ""
    return [texts[job.id] for job in jobs]


@pytest.fixture(scope="module")
def talk(bundle) -> tuple[BatchedEngine, Talk, list[str]]:
    """An engine that remembers a conversation, the conversation, and what its requests are answered by a cold one."""
    remembering = BatchedEngine(bundle, Options(cache_folder="", drafts=True))
    talk = Talk(remembering)
    cold = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))
    return remembering, talk, [said(cold, job) for job in talk.requests()]


@pytest.mark.slow
def test_behind_the_conversation_that_it_goes_on(talk):
    """What the engine remembers of saying the answers before is not used, what it remembers of reading is."""
    engine, conversation, wanted = talk
    found = [answer(engine, job).cached_tokens for job in conversation.requests()]
    assert found[-1] >= BLOCK_TOKENS
    assert [said(engine, job) for job in conversation.requests()] == wanted


def test_warm_after_itself(talk):
    """Twice and three times, the prompt known to its last whole block by then."""
    engine, conversation, wanted = talk
    for _ in range(2):
        assert [said(engine, job) for job in conversation.requests()] == wanted
    known = answer(engine, conversation.requests()[-1])
    assert known.prompt_tokens - known.cached_tokens <= 2 * BLOCK_TOKENS


def test_beside_others(talk):
    """All at once, and with others that have no seed among them."""
    engine, conversation, wanted = talk
    others = [Job(50 + n, [{"role": "user", "content": f"{text} " * 9}], 60) for n, text in enumerate(QUESTIONS)]
    jobs = [job for pair in zip(conversation.requests(), others, strict=True) for job in pair]
    assert together(engine, jobs)[::2] == wanted


@pytest.mark.slow
def test_after_a_restart(bundle, talk, tmp_path):
    """From beginnings on the disk, which those of another process are."""
    options = Options(cache_folder=str(tmp_path), prefix_disk_bytes=1 << 30, packs=False)
    before = BatchedEngine(bundle, options)
    _, conversation, wanted = talk
    for _ in range(2):
        for job in conversation.requests():
            answer(before, job)
    Talk(before)
    before.close()
    after = BatchedEngine(bundle, options)
    assert answer(after, conversation.requests()[-1]).cached_tokens >= 4 * BLOCK_TOKENS
    assert [said(after, job) for job in conversation.requests()] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("blocks", [1, 4, 7])
def test_after_what_was_known_has_gone(bundle, talk, blocks):
    """With room for so many blocks, each request lets go of what the one before left."""
    engine = BatchedEngine(bundle, Options(prefix_bytes=blocks * BLOCK_TOKENS * 11520))
    _, conversation, wanted = talk
    for job in (*conversation.requests(), *reversed(conversation.requests())):
        assert said(engine, job) == wanted[job.id]


def test_without_a_seed_a_conversation_goes_on_from_what_was_said(bundle, talk):
    """Most of the answer before is found; with a seed it is read, once."""
    _, conversation, _ = talk
    assert all(later > earlier for earlier, later in zip(conversation.cached, conversation.cached[1:], strict=False))
    fresh = BatchedEngine(bundle, Options())
    last = Job(1, Talk(fresh).turns[:-1], 1, seed=1)
    first_time, second_time = (answer(fresh, last).cached_tokens for _ in range(2))
    assert first_time < second_time


def test_what_was_said_has_names_of_its_own():
    """It is found behind what was read alone, by who asks for it, and reading it later takes its place."""
    known = Prefixes(1 << 20)
    tokens = [number // BLOCK_TOKENS for number in range(4 * BLOCK_TOKENS)]
    known.keep(tokens, False, cache_of(tokens), 2 * BLOCK_TOKENS + 5)
    assert len(known.find([*tokens, 9], False)) == 2
    assert len(known.find_said([*tokens, 9], False, 2)) == 2
    assert known.bytes == 4 * BLOCK_BYTES
    known.keep(tokens, False, cache_of([9 - token for token in tokens]))
    found = known.find([*tokens, 9], False)
    assert [int(block.flat[0]) for block in found] == [0, 1, 9 - 2, 9 - 3]
    assert known.bytes == 4 * BLOCK_BYTES
    known.keep(tokens, False, cache_of(tokens), 0)
    assert np.array_equal(known.find([*tokens, 9], False), found)


def test_what_was_said_is_not_on_the_disk(bundle, tmp_path: Path):
    """A conversation twice over, and every file is of what was read."""
    options = Options(cache_folder=str(tmp_path), prefix_disk_bytes=1 << 30, packs=False)
    engine = BatchedEngine(bundle, options)
    conversation = Talk(engine)
    for _ in range(2):
        answer(engine, Job(1, conversation.turns[:-1], 1))
    engine.close()
    files = {path.stem for path in tmp_path.rglob("*.kv")}
    assert files
    assert all(len(name) == 32 for name in files)
