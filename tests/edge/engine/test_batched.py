"""The batched engine with the real model: answers as alone and as genai gives, whatever goes on beside them."""

from __future__ import annotations

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.bundle import GRAPH, Bundle, read_manifest
from edge.commands.bench_memory import memory_of
from edge.engine import Finished, Job, Options, TextEngine, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.graph.io_binding import IS_PREFILL
from edge.engine.graph.session import Graph
from edge.errors import BadRequest, EngineFailed, Fault, TooLarge

QUESTIONS = (
    "What is the capital of France?",
    "Count from one to ten.",
    "Write two sentences about the sea. Then write two more about a lighthouse, its keeper and the ships that pass.",
    "Hi!",
    "Repeat these words three times: lamp, tower, stairs, lamp, tower, stairs.",
    "List four rivers of Europe with the countries that they flow through, one on each line.",
)
PLAIN = Options(prefix_bytes=0, drafts=False)


@pytest.fixture(scope="module")
def engine(bundle) -> BatchedEngine:
    """One for all tests, without what would make an answer depend on those before it."""
    return BatchedEngine(bundle, PLAIN)


def job(number: int, question: str, length: int = 24, **options: object) -> Job:
    """A question."""
    return Job(number, [{"role": "user", "content": question}], length, **options)


def said(engine: TextEngine, asked: Job) -> str:
    """The answer's text."""
    text: list[str] = []
    answer(engine, asked, text.append)
    return "".join(text)


def together(engine: TextEngine, jobs: Iterable[Job], steps_between: Iterable[int]) -> dict[int, str | Fault]:
    """The jobs' texts or faults, each submitted so many steps after the one before."""
    texts: dict[int, str | Fault] = {}
    for each, steps in zip(jobs, steps_between, strict=True):
        engine.submit(each)
        texts[each.id] = ""
        for _ in range(steps):
            step(engine, texts)
    while not engine.is_idle:
        step(engine, texts)
    return texts


def step(engine: TextEngine, texts: dict[int, str | Fault]) -> None:
    """One step, what it says added to the texts."""
    for event in engine.step():
        if isinstance(event.what, str):
            texts[event.job_id] += event.what
        elif isinstance(event.what, Fault):
            texts[event.job_id] = event.what


def test_greedy_answers_are_those_of_genai(bundle, tmp_path):
    """Token for token, over prompts of several lengths, on their own and in a batch, with the graph's other way closed.

    genai does not know that way for prompts. What it changes is held to figures below. Where the processor sums one row
    in another order than several, a batch says what each says alone with a seed, which is not genai's to the token.
    """
    engine, reference = BatchedEngine(one_way(bundle, tmp_path / "one-way"), PLAIN), GenaiEngine(bundle, Options())
    wanted = {number: said(reference, job(number, text)) for number, text in enumerate(QUESTIONS)}
    assert {number: said(engine, job(number, text)) for number, text in enumerate(QUESTIONS)} == wanted
    seeded = [job(number, text, seed=0) for number, text in enumerate(QUESTIONS)]
    alone = {each.id: said(engine, each) for each in seeded}
    assert together(engine, seeded, [0] * len(QUESTIONS)) == alone
    if not engine._graph.reckons_one_otherwise():
        assert alone == wanted


def one_way(bundle: Path, target: Path) -> Path:
    """A copy of the bundle whose graph reads prompts as it decodes, like those of before there were two ways."""
    shutil.copytree(bundle, target, copy_function=os.link)
    model = onnx.load(target / GRAPH, load_external_data=False)
    model.graph.input.remove(next(each for each in model.graph.input if each.name == IS_PREFILL))
    (target / GRAPH).unlink()
    (target / GRAPH).write_bytes(model.SerializeToString())
    return target


@pytest.mark.slow
def test_a_prompt_read_in_floats_is_read_as_well(bundle):
    """What the two ways give after 32 texts is 0.02 nats apart on average, or less."""
    graph, chance = Graph(Bundle(bundle, read_manifest(bundle)), 0, 1), np.random.default_rng(0)
    lost = []
    for length in chance.integers(40, 200, 32):
        ids = chance.integers(1000, 20_000, (1, length))
        told = [graph.run(0, ids, np.zeros(1, np.int64), is_prefill=way).copy().ravel() for way in (False, True)]
        decoded, read = (each - np.logaddexp.reduce(each) for each in told)
        lost.append(np.sum(np.exp(decoded) * (decoded - read)))
    assert np.mean(lost) < 0.02


def test_how_a_prompt_is_cut_does_not_matter(bundle):
    """The same logits to the last bit, whatever the slices: a token left alone is read together with the one before."""
    asked = job(1, QUESTIONS[2], 1, top_logprobs=5)
    lengths = (4096, 26, 13, 7, 4, 2)
    engines = [BatchedEngine(bundle, replace(PLAIN, prefill_slice_tokens=length)) for length in lengths]
    told = [answer(each, asked) for each in engines]
    assert [told[0].prompt_tokens % length for length in lengths[1:]] == [1, 1, 4, 1, 1]  # one is left over of most
    assert all(each.logprobs == told[0].logprobs for each in told)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3))])
def test_answers_do_not_depend_on_what_joins_and_leaves(engine, seed):
    """Seeded schedules: jobs of several lengths and options, joining at any step, more of them than rows."""
    chance = random.Random(seed)
    jobs = [
        job(
            number,
            chance.choice(QUESTIONS),
            chance.randint(1, 32),
            temperature=chance.choice([0.0, 0.9]),
            top_p=chance.choice([1.0, 0.9]),
            top_k=chance.choice([0, 20]),
            min_p=chance.choice([0.0, 0.05]),
            repetition_penalty=chance.choice([1.0, 1.2]),
            seed=number,
        )
        for number in range(14)
    ]
    wanted = {each.id: said(engine, each) for each in jobs}
    assert together(engine, jobs, [chance.randint(0, 6) for _ in jobs]) == wanted


def test_cancelled_jobs_leave_the_others_alone(engine):
    """Some are cancelled while they wait, read or answer; each ends once, and the others say what they would have."""
    jobs = [job(number, QUESTIONS[number % len(QUESTIONS)], 20, seed=0) for number in range(12)]
    wanted = {each.id: said(engine, each) for each in jobs}
    chance, ended = random.Random(1), dict.fromkeys(range(12), "")
    texts = dict.fromkeys(range(12), "")
    for each in jobs:
        engine.submit(each)
    cancelled = {2, 5, 7, 11}
    due = {number: chance.randint(0, 12) for number in cancelled}
    for count in range(10_000):
        for number in [number for number, at in due.items() if at == count]:
            engine.cancel(number)
        for event in engine.step():
            if isinstance(event.what, str):
                texts[event.job_id] += event.what
            else:
                assert not ended[event.job_id]
                ended[event.job_id] = event.what.finish_reason
        if engine.is_idle:
            break
    assert {number for number, reason in ended.items() if reason == "cancelled"} == cancelled
    assert all(texts[number] == wanted[number] for number in set(wanted) - cancelled)
    assert all(wanted[number].startswith(texts[number]) for number in cancelled)


def test_a_cancel_ends_a_prompt_in_the_middle_of_a_slice(bundle):
    """A prompt that is read in one slice of 1,500 tokens is left within a part of the time that it would take."""
    engine = BatchedEngine(bundle, Options(prefill_slice_tokens=4096, prefix_bytes=0))
    long = job(1, "the keeper climbs the stairs of the tower and lights the lamp again " * 107, 1)
    whole = answer(engine, long)
    threading.Timer(whole.prefill_seconds / 4, engine.cancel, [1]).start()
    begun = time.monotonic()
    assert answer(engine, long).finish_reason == "cancelled"
    assert time.monotonic() - begun < whole.prefill_seconds * 0.8
    assert "Paris" in said(engine, job(2, QUESTIONS[0]))


def test_a_long_prompt_does_not_hold_up_those_who_are_answered(engine):
    """While it is read, an answer goes on: a token of it between any two slices."""
    engine.submit(job(1, "Tell me a long story about a lighthouse.", 100))
    for _ in range(3):
        list(engine.step())
    engine.submit(job(2, "the keeper climbs the stairs of the tower " * 60, 2))
    between = []
    while not engine.is_idle:
        events = [event.job_id for event in engine.step()]
        between.append(events)
    reading = next(count for count, events in enumerate(between) if events.count(2) > 1 or events[-1] == 2)
    assert reading >= 5
    assert all(1 in events for events in between[:reading])


def test_several_schemas_in_one_batch(engine):
    """Each answer matches its own schema, beside one in free words."""
    schemas = [
        {"type": "object", "properties": {name: kind}, "required": [name], "additionalProperties": False}
        for name, kind in (
            ("city", {"type": "string"}),
            ("population_millions", {"type": "integer", "minimum": 0, "maximum": 99}),
            ("is_capital", {"type": "boolean"}),
        )
    ]
    jobs = [job(number, "Tell me about Paris.", 40, guidance=schema) for number, schema in enumerate(schemas)]
    texts = together(engine, [*jobs, job(3, QUESTIONS[0])], [0] * 4)
    values = [json.loads(texts[number]) for number in range(3)]
    assert [(list(value), type(next(iter(value.values())))) for value in values] == [
        (["city"], str),
        (["population_millions"], int),
        (["is_capital"], bool),
    ]
    assert "Paris" in texts[3]


def test_a_schema_that_cannot_be_followed_is_its_askers_fault(engine):
    """400 for one, an answer for the other."""
    texts = together(engine, [job(1, "x", guidance={"type": "nothing"}), job(2, QUESTIONS[0])], [0, 0])
    assert isinstance(texts[1], BadRequest)
    assert texts[1].param == "response_format"
    assert "Paris" in texts[2]


def test_what_is_not_a_number_ends_its_own_answer_alone(bundle):
    """A poisoned cache makes one row's logits NaN: 500 for it, the others never notice."""
    engine = BatchedEngine(bundle, PLAIN)
    other = job(2, QUESTIONS[2], seed=0)
    wanted = said(engine, other)
    engine._graph = Poisoned(engine._graph, victim=0)
    texts = together(engine, [job(1, QUESTIONS[1], seed=0), other], [0, 0])
    assert isinstance(texts[1], EngineFailed)
    assert "not numbers" in texts[1].message
    assert texts[2] == wanted


class Poisoned:
    """A graph whose logits are NaN for one slot in the third batch."""

    def __init__(self, graph: object, victim: int) -> None:
        self._graph, self._victim, self._batches = graph, victim, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._graph, name)

    def run(self, slot: int, ids: np.ndarray, *others: object, **options: object) -> np.ndarray:
        logits = self._graph.run(slot, ids, *others, **options)
        self._batches += len(ids) > 1
        if self._batches == 3 and len(ids) > 1:
            logits[self._victim - slot] = np.nan
        return logits


def test_the_budget_of_the_cache_is_never_exceeded(bundle):
    """With room for about two answers the others queue; one that could never fit is refused with both figures."""
    probe = BatchedEngine(bundle, PLAIN)
    per_token = probe._manifest.kv_bytes_per_token
    engine = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False, kv_bytes=per_token * 150))
    most = 0
    for number in range(6):
        engine.submit(job(number, QUESTIONS[0], 20))
    ends = []
    while not engine.is_idle:
        ends += [event.what for event in engine.step() if isinstance(event.what, Finished)]
        most = max(most, sum(row.tokens_at_most for row in engine._slots))
    assert len(ends) == 6
    assert most <= 150
    with pytest.raises(TooLarge, match=r"has \d+ tokens, but the context holds 150"):
        answer(engine, job(9, "lamp " * 200, 20))


@pytest.mark.slow
def test_memory_of_ended_answers_goes_back(bundle):
    """What the caches hold falls to next to nothing when the last answer has gone."""
    engine = BatchedEngine(bundle, PLAIN)
    said(engine, job(0, QUESTIONS[0]))
    before = anonymous_bytes()
    for number in range(8):
        engine.submit(job(number, "lamp " * 800, 4))
    while len(engine._slots) or not engine.is_idle:
        list(engine.step())
    assert anonymous_bytes() - before < 8 * 800 * engine._manifest.kv_bytes_per_token / 2


def anonymous_bytes() -> int:
    """Of this process, as the kernel counts them."""
    return memory_of(os.getpid())["RssAnon"]


def test_logprobs_are_the_models_own(engine):
    """One for each token, of the distribution before temperature; the chosen greedy token is the likeliest."""
    finished = answer(engine, job(1, QUESTIONS[0], 12, top_logprobs=3))
    assert len(finished.logprobs) == finished.completion_tokens - (finished.finish_reason == "stop")
    for each in finished.logprobs:
        assert each["token"] == each["top_logprobs"][0]["token"]
        assert each["logprob"] == each["top_logprobs"][0]["logprob"] <= 0
        assert len(each["top_logprobs"]) == 3
    assert "".join(each["token"] for each in finished.logprobs).startswith("The capital")


def test_stop_strings_and_lengths(engine):
    """A stop string ends an answer before it, a length after so many tokens."""
    assert said(engine, job(1, QUESTIONS[0], 24, stop=["Paris"])) == "The capital of France is "
    finished = answer(engine, job(2, QUESTIONS[2], 5))
    assert (finished.finish_reason, finished.completion_tokens) == ("length", 5)


@pytest.mark.parametrize("temperature", [0.0, pytest.param(0.8, marks=pytest.mark.slow)])
def test_guesses_change_nothing_but_the_time(bundle, engine, temperature):
    """With and without prompt lookup the same tokens, greedy and sampled, and some guesses were right."""
    guessing = BatchedEngine(bundle, Options(prefix_bytes=0))
    for number, text in enumerate(QUESTIONS):
        asked = job(number, text, 64, temperature=temperature, seed=number)
        assert said(guessing, asked) == said(engine, asked)
    assert guessing.counters()["right_tokens"] > 0


def test_a_known_beginning_is_not_read_again(bundle, engine):
    """The second of two prompts that begin alike reads the rest alone and says what it says without the cache."""
    cached = BatchedEngine(bundle, Options(drafts=False))
    head = "You are the keeper of a lighthouse. " * 40
    first, second = (job(number, head + QUESTIONS[number]) for number in range(2))
    assert answer(cached, first).cached_tokens == 0
    finished = answer(cached, second)
    assert finished.prompt_tokens - finished.cached_tokens < 100
    assert said(cached, second) == said(engine, second)
    assert said(cached, first) == said(engine, first)


def test_a_conversation_goes_on_from_its_last_answer(bundle):
    """The next turn finds prompt and answer of the one before in the cache."""
    engine = BatchedEngine(bundle, Options())
    turns = [{"role": "user", "content": "Tell me about the sea. " * 10}]
    text: list[str] = []
    before = answer(engine, Job(1, turns, 100), text.append)
    turns += [{"role": "assistant", "content": "".join(text)}, {"role": "user", "content": "And the ships?"}]
    assert answer(engine, Job(2, turns, 4)).cached_tokens > before.prompt_tokens
