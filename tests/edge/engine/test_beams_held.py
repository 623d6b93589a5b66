"""Beam search held to a schema: on a small random model, beside all texts that the schema has, each weighed alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edge.__main__ import main
from edge.engine import Finished, Job, Options, Part, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.text.sampling import log_probabilities
from edge.wire.chat import validated
from tests.clients import User
from tests.conftest import ROOT, embedded_broker, serving

BUILT, END = ROOT / "tests/data/genai-builder/llama", 2
WORDS = ("lamp", "lap", "tower", "tow", "radio", "radar", "a b")
TURNS = [{"role": "user", "content": "the quick brown fox"}]
ENUM = {"enum": list(WORDS)}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The model as a bundle; its tokens are letters."""
    bundle: Path = tmp_path_factory.mktemp("held") / "bundle"
    assert main(["bundle", "adopt", str(BUILT), "-o", str(bundle)]) == 0
    return bundle


@pytest.fixture(scope="module")
def engine(small) -> BatchedEngine:
    """It, with a row more than there are words."""
    return BatchedEngine(small, Options(rows=len(WORDS) + 1, drafts=False))


@pytest.fixture(scope="module")
def weighed(engine) -> dict[str, list[float]]:
    """Of each word in quotes the logarithmic weight of every token, that of its end the last, by a run of its own."""
    tokenizer = engine._making._tokenizer
    prompt = tokenizer.encode(TURNS)
    return {word: weights(prompt, tokenizer.ids(f'"{word}"')) for word in WORDS}


def weights(prompt: list[int], tokens: list[int]) -> list[float]:
    """Those of a text and its end behind a prompt."""
    run = onnxruntime.InferenceSession(BUILT / "model.onnx", providers=["CPUExecutionProvider"])
    feed = {each.name: np.zeros((1, 2, 0, 16), np.float32) for each in run.get_inputs() if each.name.startswith("past")}
    text = [*prompt, *tokens]
    feed |= {"input_ids": np.array([text]), "attention_mask": np.ones((1, len(text)), np.int64)}
    logits = run.run(["logits"], feed)[0][0][len(prompt) - 1 :]
    return [float(log_probabilities(row)[token]) for row, token in zip(logits, [*tokens, END], strict=True)]


def searched(engine: BatchedEngine, schema: dict[str, Any] = ENUM, **options: Any) -> tuple[list[str], Finished]:
    """The texts that come back, the best first, and how they ended."""
    engine.submit(Job(1, TURNS, 40, guidance=schema, **options))
    said: dict[int, str] = {}
    while True:
        for what in [event.what for event in engine.step()]:
            if isinstance(what, Finished):
                return [said[number] for number in sorted(said)], what
            if isinstance(what, Part):
                said[what.choice] = said.get(what.choice, "") + what.text
            elif what:
                assert isinstance(what, str)
                said[0] = said.get(0, "") + what


def quoted(words: list[str]) -> list[str]:
    """As they are in JSON."""
    return [f'"{word}"' for word in words]


@pytest.mark.parametrize("penalty", [1.0, 0.0, -1.0, 2.0])
def test_with_a_beam_a_text_the_best_are_the_best_of_all(engine, weighed, penalty):
    """In the order of their weights; of each all its tokens count, its end among them."""
    best = sorted(WORDS, key=lambda word: -sum(weighed[word]) / len(weighed[word]) ** penalty)
    texts, finished = searched(
        engine, num_beams=len(WORDS), n=len(WORDS), length_penalty=penalty, early_stopping="never"
    )
    assert texts == quoted(best)
    assert finished.choices is not None
    assert [each.finish_reason for each in finished.choices] == ["stop"] * len(WORDS)
    assert [each.completion_tokens for each in finished.choices] == [len(weighed[word]) for word in best]


@pytest.mark.parametrize("beams", [2, 3, 4])
def test_with_fewer_beams_it_is_the_search_spelled_out(engine, weighed, beams):
    """Step by step over the beginnings of the words."""
    texts, _ = searched(engine, num_beams=beams, n=beams, early_stopping="never")
    assert texts == quoted(spelled_out(weighed, beams))


def spelled_out(weighed: dict[str, list[float]], beams: int) -> list[str]:
    """The best words, found a letter at a time: so many beginnings go on, and what ended among as many is done."""
    going, done = {""}, dict[str, float]()
    for step in range(1, max(map(len, weighed.values())) + 1):
        sums = {
            (f'"{word}"' + "!")[:step]: sum(weights[:step])
            for word, weights in weighed.items()
            if (f'"{word}"' + "!")[: step - 1] in going and step <= len(weights)
        }
        ranked = sorted(sums, key=lambda text: -sums[text])
        done |= {text: sums[text] / step for text in ranked[:beams] if text.endswith("!")}
        going = set([text for text in ranked if not text.endswith("!")][:beams])
    return [text[1:-2] for text in sorted(done, key=lambda text: -done[text])[:beams]]


def test_more_beams_than_texts(engine):
    """Those that there are, and no more: a search over one text ends with it."""
    texts, finished = searched(engine, {"const": "lamp"}, num_beams=4, n=3)
    assert texts == ['"lamp"']
    assert finished.choices is not None
    assert (finished.finish_reason, len(finished.choices)) == ("stop", 1)
    assert searched(engine, {"const": "lamp"}, num_beams=2)[0] == ['"lamp"']


def test_no_room_for_a_whole_text(engine):
    """It is told as cut off."""
    texts, finished = searched(engine, num_beams=3)
    assert texts[0] in quoted(list(WORDS))
    short = answer(engine, Job(2, TURNS, 3, guidance=ENUM, num_beams=3))
    assert (short.finish_reason, short.completion_tokens, finished.finish_reason) == ("length", 3, "stop")


def test_a_request_may_ask_for_both():
    """A schema beside beams; tools are not searched for."""
    held = {"type": "json_schema", "json_schema": {"schema": ENUM}}
    asked = validated({"prompt": "Which?", "num_beams": 3, "response_format": held})
    assert (asked.rows, asked.guidance()) == (3, (ENUM, False))


@pytest.mark.slow
def test_a_board_tells_as_many_as_there_are(small, tmp_path):
    """Over MQTT: three answers are asked for, and the schema has two."""
    held = {"type": "json_object", "schema": {"enum": ["lamp", "tower"]}}
    asked = {"prompt": "Which?", "num_beams": 3, "n": 3, "response_format": held, "id": "q1"}
    with (
        embedded_broker(tmp_path) as port,
        serving(small, port, tmp_path),
        User(port, "edge/test/reply/me") as user,
    ):
        user.wait_online()
        user.publish("edge/test/request/me", asked)
        pieces, reply = user.answer(name="q1")
    assert sorted(each["text"] for each in reply["choices"]) == ['"lamp"', '"tower"']
    assert [each["finish_reason"] for each in reply["choices"]] == ["stop", "stop"]
    assert reply["text"] == reply["choices"][0]["text"]
    assert sorted({each["choice"] for each in pieces if each["text"]}) == [0, 1]
