"""Beam search on the engine beside `generate(num_beams=…)` of Transformers, in the version that is installed.

Twenty searches over small random checkpoints in floats: every beam that comes back, to the token, and why it ended.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from edge.bundle import read_manifest
from edge.engine import Finished, Job, Options, Part
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer
from export.source import open_source
from tests.export import beside, small_transformers, test_held
from tests.export.beam_searches import SEARCHES

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed"),
]
PROMPT = [11, 42, 7, 63, 29, 5, 88, 30]


def ours(engine: BatchedEngine, job: Job, prompt: list[int] = PROMPT) -> tuple[dict[int, str], Finished]:
    """The texts of all that come back, and how they ended."""
    engine.submit(job, list(prompt))
    said: dict[int, str] = {}
    while True:
        for event in engine.step():
            if isinstance(event.what, Part):
                said[event.what.choice] = said.get(event.what.choice, "") + event.what.text
            elif isinstance(event.what, Finished):
                return said, event.what
            elif event.what:
                assert isinstance(event.what, str)
                said[0] = said.get(0, "") + event.what


def theirs(model: Any, job: Job) -> list[list[int]]:
    """The tokens of theirs, without what fills up the shorter ones."""
    import torch

    bias = {"sequence_bias": [[[token], value] for token, value in job.logit_bias.items()]} if job.logit_bias else {}
    least = {"min_new_tokens": job.min_tokens} if job.min_tokens else {}
    ends = [2, *job.stop_token_ids]
    with torch.no_grad(), beside.quiet():
        made = model.generate(
            torch.tensor([PROMPT]),
            do_sample=False,
            num_beams=job.num_beams,
            num_return_sequences=job.n,
            max_new_tokens=job.max_tokens,
            length_penalty=job.length_penalty,
            early_stopping=job.early_stopping,
            repetition_penalty=job.repetition_penalty,
            eos_token_id=ends,
            pad_token_id=0,
            **bias,
            **least,
        )
    return [until_end(row[len(PROMPT) :].tolist(), ends) for row in made]


def until_end(tokens: list[int], ends: list[int]) -> list[int]:
    """Up to the first token that ends a text."""
    place = next((place for place, token in enumerate(tokens) if token in ends), len(tokens) - 1)
    return tokens[: place + 1]


@pytest.fixture(scope="module", params=["llama"])
def twins(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[BatchedEngine, Any, Any]:
    """A checkpoint as a board's engine has it and as Transformers does, and the letters of its tokens."""
    import transformers

    folder: Path = tmp_path_factory.mktemp(request.param)
    small_transformers.checkpoint(folder / "checkpoint", request.param)
    with beside.quiet():
        model = transformers.AutoModelForCausalLM.from_pretrained(folder / "checkpoint", dtype="float32").eval()
    bundle = beside.float_bundle(open_source(folder / "checkpoint"), folder / "bundle")
    return BatchedEngine(bundle, Options(rows=8)), model, Tokenizer(bundle, read_manifest(bundle))


@pytest.mark.parametrize("search", SEARCHES, ids=[str(number) for number in range(len(SEARCHES))])
def test_beams_are_transformers(twins, search):
    """All of them, in their order."""
    engine, model, letters = twins
    count = search["num_beams"]
    job = Job(1, [], 24, n=count, **search)
    said, finished = ours(engine, job)
    wanted = theirs(model, job)
    ends = [2, *job.stop_token_ids]
    plain = [[token for token in each if token not in ends] for each in wanted]
    assert said == {number: letters.text(each) for number, each in enumerate(plain)}
    assert finished.choices is not None
    assert [each.completion_tokens for each in finished.choices] == list(map(len, wanted))
    reasons = ["stop" if each[-1] in ends else "length" for each in wanted]
    assert [each.finish_reason for each in finished.choices] == reasons


def test_where_the_rotary_factors_change(tmp_path):
    """Answers that share a prompt are what they are alone on both sides and across; a search ends before the place."""
    variant = next(each for each in test_held.HELD if each.rope == "longrope" and not each.window)
    with beside.quiet():
        test_held.checkpoint(variant, tmp_path / "checkpoint")
    bundle = beside.float_bundle(open_source(tmp_path / "checkpoint"), tmp_path / "bundle")
    engine, switch = BatchedEngine(bundle, Options(rows=4, drafts=False)), test_held.SWITCH
    assert read_manifest(bundle).rope_switch_length == switch
    for length in (switch - 5, switch + 5):
        tokens = [3 + number * 7 % 80 for number in range(length)]
        options: dict[str, Any] = {"temperature": 1.0, "ignore_eos": True}
        said, _ = ours(engine, Job(1, [], 12, n=3, seed=5, **options), tokens)
        alone = [ours(engine, Job(2, [], 12, seed=5 + number, **options), tokens)[0][0] for number in range(3)]
        assert said == dict(enumerate(alone))
        finished = ours(engine, Job(3, [], 12, num_beams=3, ignore_eos=True), tokens)[1]
        assert finished.completion_tokens == (5 if length < switch else 12)
