"""A small bundle guesses for a large one: every token is as without it, whatever is asked and whatever it guesses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import Bundle, read_manifest
from edge.engine import Event, Finished, Job, Options, Part, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.draft.guesses import Guesses, measured, opened_small
from edge.engine.draft.pays import Costs, Least, Pays
from edge.engine.draft.small import SmallModel
from edge.engine.graph.session import Graph
from edge.errors import BundleError
from tests.edge.engine.test_mixed_batch import LONGROPE, SWITCH, prompt
from tests.export import small_model
from tests.export.test_pipeline import EXACT, export

LETTERS = small_model.LETTERS
FLOATS = EXACT.model_copy(update={"method": "none", "context_length": 128})
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


class Always(Pays):
    """Guesses whatever it costs, so many tokens at a time."""

    def length(self, unread: int, room: int) -> int:
        """As many as there is room for, four at the most."""
        return max(0, min(room, 4))

    @property
    def least(self) -> Least:
        """However likely."""
        return Least(0, 0)

    def reading_pays(self, unread: int, room: int) -> bool:
        """It does."""
        return True


class Drafted(BatchedEngine):
    """With a rule of the test's own in the place of what is measured."""

    def __init__(self, bundle: Path, options: Options, rule: type[Pays] = Always) -> None:
        self._rule = rule
        super().__init__(bundle, options)

    def _opened_guesses(self) -> Guesses:
        small = opened_small(self._bundle, Path(self._options.draft), self._options, self._graph.vocabulary)
        seconds = measured(self._graph, small.graph).token
        hoped = Costs(seconds, 1.5 * seconds, seconds / 50, seconds / 500)  # with which guesses would pay
        return Guesses(self._options, self._graph, self._halts, small, self._rule(hoped))


def made(folder: Path, seed: int, recipe=FLOATS, **config: object) -> Path:
    """A bundle of the small Llama; a seed of its own moves all its weights."""
    chance = np.random.default_rng(seed)
    weights = small_model.llama_weights()
    if seed:
        weights = {name: chance.permuted(values) for name, values in weights.items()}
    folder.mkdir(exist_ok=True)
    return export(small_model.write_checkpoint(folder / "source", weights, **config), folder / "bundle", recipe)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    """The one that answers, which may draft for itself, and one that knows nothing of what it says."""
    return {
        "itself": made(tmp_path_factory.mktemp("large"), 0),
        "another": made(tmp_path_factory.mktemp("small"), 1),
    }


@pytest.fixture(scope="module")
def plain(bundles) -> BatchedEngine:
    """Without any guess."""
    return BatchedEngine(bundles["itself"], Options(prefix_bytes=0, drafts=False))


@pytest.fixture(scope="module", params=["itself", "another"])
def drafted(request, bundles) -> BatchedEngine:
    """With one or the other."""
    return Drafted(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=str(bundles[request.param])))


def events(engine: BatchedEngine, jobs: list[Job], length: int = 12) -> list[Event]:
    """All that is said of jobs that come together."""
    for job in jobs:
        engine.submit(job, prompt(job.id, length + 7 * job.id))
    found: list[Event] = []
    while not engine.is_idle:
        found += engine.step()
    return found


def said(engine: BatchedEngine, jobs: list[Job], length: int = 12) -> dict[int, tuple[object, ...]]:
    """Of each job: its text, or texts by choice, and how it ended."""
    texts: dict[int, dict[int, str]] = {job.id: {} for job in jobs}
    ends: dict[int, object] = {}
    for event in events(engine, jobs, length):
        if isinstance(event.what, str | Part):
            choice, text = (event.what.choice, event.what.text) if isinstance(event.what, Part) else (0, event.what)
            texts[event.job_id][choice] = texts[event.job_id].get(choice, "") + text
        else:
            assert isinstance(event.what, Finished), event.what
            ends[event.job_id] = event.what.finish_reason, event.what.completion_tokens
    return {number: (texts[number], ends[number]) for number in texts}


ASKED = {
    "greedy": Job(1, [], 40, ignore_eos=True),
    "sampled": Job(1, [], 40, temperature=0.9, seed=7, ignore_eos=True),
    "penalties": Job(1, [], 40, temperature=0.7, seed=3, repetition_penalty=1.2, top_p=0.9, logit_bias={40: 2.0}),
    "stop string": Job(1, [], 60, temperature=1.0, seed=5, stop=["A", "q"], ignore_eos=True),
    "logprobs": Job(1, [], 20, top_logprobs=2, ignore_eos=True),
    "several": Job(1, [], 24, n=3, temperature=1.0, seed=4, ignore_eos=True),
    "beams": Job(1, [], 16, n=2, num_beams=3),
    "one token": Job(1, [], 1),
    "two tokens": Job(1, [], 2, ignore_eos=True),
}


@pytest.mark.parametrize("what", ASKED)
def test_no_token_is_another(plain, drafted, what):
    """Text, length and end of an answer, guessed rightly or wrongly."""
    assert said(drafted, [ASKED[what]]) == said(plain, [ASKED[what]])


def test_what_it_guesses_for_itself_is_right(bundles):
    """All of it, greedy; the answer takes fewer runs than it has tokens."""
    engine = Drafted(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=str(bundles["itself"])))
    said(engine, [ASKED["greedy"]])
    counters = engine.counters()
    assert counters["small_right_tokens"] == counters["small_guessed_tokens"] > 20
    assert counters["guessed_tokens"] == counters["small_guessed_tokens"]
    assert counters["runs"] < 15


def test_answers_beside_others_are_what_they_are_alone(plain, drafted):
    """Several at once are not guessed for; those that are left alone are, from wherever they are."""
    jobs = [Job(number, [], 10 + 12 * number, ignore_eos=True) for number in range(4)]
    together = said(drafted, jobs)
    assert together == {job.id: said(plain, [job])[job.id] for job in jobs}


def test_a_cancelled_answer_leaves_nothing_to_the_next(plain, drafted):
    """In the middle of a guess or between two."""
    for steps in (1, 2, 3, 5):
        drafted.submit(Job(9, [], 90, ignore_eos=True), prompt(9, 20))
        for _ in range(steps):
            list(drafted.step())
        drafted.cancel(9)
        while not drafted.is_idle:
            list(drafted.step())
        assert said(drafted, [ASKED["greedy"]]) == said(plain, [ASKED["greedy"]])


def test_known_beginnings_and_what_was_said_before(bundles, plain):
    """With the prefix cache and the prompt lookup beside it, cold and warm."""
    engine = Drafted(bundles["itself"], Options(prefix_bytes=1 << 24, draft=str(bundles["another"])))
    for _ in range(2):
        for job in (replace(ASKED["greedy"], id=2), replace(ASKED["sampled"], id=3)):
            assert said(engine, [job], 60) == said(plain, [job], 60)
    assert engine.counters()["cached_tokens"] > 0
    assert engine.counters()["small_guessed_tokens"] < engine.counters()["guessed_tokens"]


def test_the_next_turn_is_not_read_again(bundles):
    """What a text has in common with the one before; of another salt's nothing, and nothing of what is forgotten."""
    engine = Drafted(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=str(bundles["itself"])))
    read = []
    for salt, tokens in (("a", 50), ("a", 58), ("b", 58), ("b", 58), ("b", 58)):
        before = engine.counters().get("small_read_tokens", 0)
        engine.submit(Job(1, [], 8, ignore_eos=True, cache_salt=salt), prompt(1, 80)[:tokens])
        while not engine.is_idle:
            list(engine.step())
        read.append(engine.counters().get("small_read_tokens", 0) - before)
        if len(read) == 4:
            engine.forget("b")
    assert read[0] > 40
    assert read[2] > 50
    assert read[4] > 50
    assert max(read[1], read[3]) <= 8


def test_its_cache_is_that_of_the_text(bundles):
    """Whatever texts it followed and whatever it guessed there: the next guess is that of one that knows only this."""
    graph = Graph(Bundle(bundles["itself"], read_manifest(bundles["itself"])), 0, 1)
    known = np.ones(graph.vocabulary, np.bool_)
    used, chance = SmallModel(graph, known, 128), np.random.default_rng(0)
    other = Graph(Bundle(bundles["itself"], read_manifest(bundles["itself"])), 0, 1)
    tokens = prompt(0, 12)
    for _ in range(30):
        if chance.random() < 0.3:  # another text, which begins alike
            tokens = tokens[: int(chance.integers(1, len(tokens) + 1))] + prompt(int(chance.integers(99)), 3)
        used.follow(tokens, "")
        while used.unread > 4:
            used.read(5)
        guess, fresh = used.guess(3), SmallModel(other, known, 128)
        fresh.follow(list(tokens), "")
        assert guess == fresh.guess(3)
        tokens += [*guess[: int(chance.integers(0, 4))], int(chance.integers(3, 96))]
        tokens = tokens if len(tokens) < 100 else prompt(1, 8)


def test_ids_that_it_does_not_know(bundles):
    """Are left out of what it reads and never guessed, be they of pictures, of control tokens or of nobody."""
    graph = Graph(Bundle(bundles["itself"], read_manifest(bundles["itself"])), 0, 1)
    known = np.ones(graph.vocabulary, np.bool_)
    small = SmallModel(graph, known, 128)

    def guessed(tokens: list[int]) -> list[int]:
        small.follow(tokens, "")
        return small.guess(4)

    text = next(text for text in (prompt(number, 3) for number in range(99)) if len(set(guessed(text)[:3])) == 3)
    wanted = guessed(list(text))
    assert guessed([text[0], -1, text[1], 4000, text[2], 96]) == wanted
    known[wanted[2]] = False
    assert guessed(list(text)) == wanted[:2]
    small.follow([-1, 4000], "")
    assert small.room() == 0


def test_beyond_the_small_ones_context(tmp_path, bundles, plain):
    """A text that it cannot hold is not guessed for; the answer is the same, and so is the next one."""
    short = made(tmp_path / "short", 0, FLOATS.model_copy(update={"context_length": 40}))
    engine = Drafted(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=str(short)))
    for length in (20, 39, 60, 12):
        assert said(engine, [ASKED["greedy"]], length) == said(plain, [ASKED["greedy"]], length)
    assert engine.counters()["small_right_tokens"] > 0


def test_across_the_switch_of_rotary_factors(tmp_path):
    """On both sides of it, and over it."""
    large = made(tmp_path / "large", 0, **LONGROPE)
    plain = BatchedEngine(large, Options(prefix_bytes=0, drafts=False))
    engine = Drafted(large, Options(prefix_bytes=0, drafts=False, draft=str(large)))
    for length in (20, SWITCH - 20, SWITCH - 8, SWITCH, SWITCH + 3):
        assert said(engine, [ASKED["greedy"]], length) == said(plain, [ASKED["greedy"]], length)
    assert engine.counters()["small_right_tokens"] > 60


def test_one_that_is_always_wrong_is_soon_quiet(bundles):
    """By the rule that is measured: on for a moment, then off."""
    draft = str(bundles["another"])
    engine = Drafted(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=draft), Pays)
    said(engine, [Job(1, [], 100, temperature=1.0, seed=1, ignore_eos=True)])
    assert 0 < engine.counters()["small_runs"] < 60


def test_true_weights_guess_for_themselves(bundle):
    """The default model, greedy, by a schema and by a seed: the same tokens, and greedy guesses are right."""
    plain = BatchedEngine(bundle, Options(prefix_bytes=0, drafts=False))
    engine = Drafted(bundle, Options(prefix_bytes=0, drafts=False, draft=str(bundle)))
    asked = [{"role": "user", "content": "How many legs has a spider?"}]
    for number, more in enumerate(({}, {"guidance": SCHEMA}, {"temperature": 0.6, "seed": 1}, {"stop": ["legs"]})):
        job = Job(number, asked, 16, **more)
        texts: list[list[str]] = [[], []]
        ends = [answer(each, job, text.append) for each, text in zip((plain, engine), texts, strict=True)]
        assert "".join(texts[0]) == "".join(texts[1])
        assert ends[0].completion_tokens == ends[1].completion_tokens
        if not more:
            assert engine.counters()["small_right_tokens"] == engine.counters()["small_guessed_tokens"] > 0


def test_a_bundle_and_its_draft_as_they_are_opened(bundles, plain):
    """By the setting alone, with what runs take here."""
    engine = BatchedEngine(bundles["itself"], Options(prefix_bytes=0, drafts=False, draft=str(bundles["another"])))
    assert said(engine, [ASKED["sampled"]]) == said(plain, [ASKED["sampled"]])
    with pytest.raises(BundleError, match=r"engine.draft: .*nowhere is not a bundle"):
        BatchedEngine(bundles["itself"], Options(draft="/nowhere"))
