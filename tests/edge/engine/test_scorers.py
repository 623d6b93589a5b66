"""Functions that weigh tokens: what they are given, what they may return, and what becomes of one that does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import open_bundle
from edge.engine import Finished, Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.scorers import Scorer, Scorers, weighed
from edge.errors import ConfigError, EngineFailed, NotFound, Unsupported
from tests.packages import write_package

LOGITS = np.arange(6, dtype=np.float32)
OFTEN: dict[str, Any] = {"always": True, "call_seconds": 5.0}
ASKED: dict[str, Any] = {"always": False, "call_seconds": 5.0}
TURNS = [{"role": "user", "content": "Write the word tea, and nothing else, over and over again."}]
CODE = """
import numpy as np

def no_tea(tokens, logits):
    logits[{tea}] = -np.inf
    return logits

def tea(tokens, logits):
    logits[{tea}] += 1000
    return logits

def fails(tokens, logits):
    if len(tokens) > 1:
        raise RuntimeError("out of tea")
    return logits

number = 7
"""


def scorer(score: Callable[..., Any], call_seconds: float = 5.0) -> Scorer:
    """One that does this."""
    return Scorer("mine", 0, score, call_seconds)


def test_one_after_the_other():
    """Each gets the tokens, which it cannot change, and logits of its own, which it can."""

    def doubled(tokens: np.ndarray, logits: np.ndarray) -> np.ndarray:
        assert (tokens.dtype, logits.dtype, tokens.tolist()) == (np.int64, np.float32, [3, -1, 4])
        with pytest.raises(ValueError, match="read-only"):
            tokens[0] = 1
        logits *= 2
        return logits

    def in_doubles(_tokens: np.ndarray, logits: np.ndarray) -> np.ndarray:
        return logits.astype(np.float64) + 1

    made = weighed([scorer(doubled), scorer(in_doubles)], [3, -1, 4], LOGITS)
    assert (made.dtype, made.tolist()) == (np.float32, (np.arange(6) * 2 + 1).tolist())
    assert LOGITS.tolist() == list(range(6))
    assert weighed([], [3], LOGITS) is LOGITS


@pytest.mark.parametrize(
    ("returns", "says"),
    [
        (lambda logits: None, "returned NoneType, and should return the logits as an array"),
        (lambda logits: logits.tolist(), "returned list"),
        (lambda logits: logits[:5], r"returned float32 of \[5\], and should return float32 of \[6\]"),
        (lambda logits: logits[None], r"returned float32 of \[1, 6\]"),
        (lambda logits: logits.astype(np.int64), r"returned int64 of \[6\]"),
        (lambda logits: logits * np.nan, "returned what are no finite numbers"),
        (lambda logits: np.where(logits == 2, np.nan, logits), "no finite numbers"),
        (lambda logits: logits.astype(np.float64) * 1e300, "no finite numbers"),
        (lambda logits: logits - np.inf, "leaves no token that may come"),
        (lambda logits: logits[9], "failed: IndexError: index 9 is out of bounds"),
    ],
)
def test_what_is_no_logits_is_told_by_name(returns, says):
    """Whatever it is, the answer ends with it."""
    with pytest.raises(EngineFailed, match=f"the scorer 'mine' .*{says}") as raised:
        scorer(lambda _tokens, logits: returns(logits)).weighed(np.zeros(1, np.int64), LOGITS)
    assert raised.value.param == "scorers"


def test_one_that_takes_too_long_is_told():
    """With how long it took."""

    def slow(_tokens: np.ndarray, logits: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return logits

    with pytest.raises(EngineFailed, match=r"'mine' took 0\.\d+ s for a token, and may take 0.01"):
        scorer(slow, 0.01).weighed(np.zeros(1, np.int64), LOGITS)
    assert scorer(slow).weighed(np.zeros(1, np.int64), LOGITS).tolist() == LOGITS.tolist()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on Python's path that has some."""
    names = {"no-tea": "no_tea", "tea": "tea", "fails": "fails", "number": "number", "absent": "absent"}
    monkeypatch.syspath_prepend(write_package(tmp_path, "of_tea", CODE.format(tea=3), names))
    return tmp_path


def test_what_cannot_be_loaded_is_told_at_the_start(packages, monkeypatch):
    """One that nobody has, one that is not in its package, one that is no function, one that fails when tried."""
    cases = {
        "unheard": "no package that is installed .* edge.scorers; there are absent, fails, no-tea, number, tea",
        "absent": "of_tea:absent cannot be loaded: AttributeError",
        "number": "of_tea:number is int, and should be a function",
    }
    for name, says in cases.items():
        with pytest.raises(ConfigError, match=rf"scorers\.{name}: {says}"):
            Scorers({name: ASKED})
    code = "def score(tokens, logits):\n    return 1 / 0\n"
    monkeypatch.syspath_prepend(write_package(packages / "more", "that_divides", code, {"bad": "score"}))
    with pytest.raises(ConfigError, match=r"scorers\.bad: tried at the start, .* 'bad' failed: ZeroDivisionError"):
        Scorers({"bad": ASKED}).try_all(6)


def test_who_weighs_what(packages):
    """What is always there, and what a job names; another name is not found."""
    made = Scorers({"no-tea": OFTEN, "tea": ASKED})
    assert [each.name for each in made.of(Job(1, [], 1))] == ["no-tea"]
    assert [each.name for each in made.of(Job(1, [], 1, scorers=["tea"]))] == ["no-tea", "tea"]
    with pytest.raises(NotFound, match="no scorer 'fails'; it has no-tea, tea"):
        made.of(Job(1, [], 1, scorers=["fails"]))


@pytest.fixture(scope="module")
def engine(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The default model with three of them, and another engine without guesses."""
    (tea,) = Tokenizer(bundle, open_bundle(bundle, verify_hashes=False).manifest).ids(" tea")
    names = {"never-tea": "no_tea", "all-tea": "tea", "no-more-tea": "fails"}
    folder = write_package(tmp_path_factory.mktemp("packages"), "of_real_tea", CODE.format(tea=tea), names)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        scorers = dict.fromkeys(names, ASKED)
        yield [BatchedEngine(bundle, Options(threads=2, drafts=drafts, scorers=scorers)) for drafts in (True, False)]


def said(engine: BatchedEngine, **options: Any) -> tuple[str, Finished]:
    """An answer's text, and how it ended."""
    text: list[str] = []
    finished = answer(engine, Job(1, TURNS, options.pop("max_tokens", 12), **options), text.append)
    return "".join(text), finished


@pytest.mark.slow
def test_the_engine_asks_it_for_every_token(engine):
    """Whatever else the request says: biases come after it, a grammar last, and guesses change nothing."""
    guessing, plain = engine
    assert said(plain, scorers=["all-tea"], max_tokens=3)[0] == " tea tea tea"
    assert " tea" not in said(plain, scorers=["never-tea"])[0]
    options: dict[str, Any] = {"scorers": ["never-tea"], "max_tokens": 60, "loop_guard": False}
    assert said(guessing, **options)[0] == said(plain, **options)[0]
    schema = {"type": "object", "properties": {"a": {"enum": ["x"]}}, "required": ["a"], "additionalProperties": False}
    assert json.loads(said(plain, scorers=["all-tea"], guidance=schema)[0]) == {"a": "x"}
    assert said(plain, scorers=["all-tea"], max_tokens=3, num_beams=2)[0] == " tea tea tea"
    assert said(plain, scorers=["all-tea"], max_tokens=2, n=2)[0] == " tea tea" * 2


def test_a_mistake_in_one_ends_the_answer_alone(engine):
    """By name; others are answered, beside it and after it."""
    _, plain = engine
    plain.submit(Job(1, TURNS, 8, scorers=["no-more-tea"]))
    plain.submit(Job(2, TURNS, 8))
    ends = {}
    while not plain.is_idle:
        ends |= {each.job_id: each.what for each in plain.step() if not isinstance(each.what, str)}
    assert isinstance(ends[1], EngineFailed)
    assert ends[1].message == "the scorer 'no-more-tea' failed: RuntimeError: out of tea"
    assert isinstance(ends[2], Finished)
    with pytest.raises(EngineFailed, match="out of tea"):
        said(plain, scorers=["no-more-tea"], num_beams=2)


@pytest.mark.slow
def test_genai_has_none(bundle):
    """It says so, at the start where one is for every answer."""
    with pytest.raises(Unsupported, match="scorers needs the batched engine"):
        said(GenaiEngine(bundle, Options(threads=2)), scorers=["x"])
    with pytest.raises(ConfigError, match=r"scorers\.x\.always needs the batched engine"):
        GenaiEngine(bundle, Options(threads=2, scorers={"x": OFTEN}))
