"""The batched engine with a small model that sees: what it makes of pictures, and what goes on beside them."""

from __future__ import annotations

import base64
import threading

import numpy as np
import onnxruntime
import pytest

from edge.bundle import read_manifest
from edge.engine import Finished, Job, Options, TextEngine, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.pictures.crops import crops_of
from edge.engine.pictures.vision import Seen
from edge.errors import BadRequest, TooLarge
from edge.wire.pictures import Picture
from tests.pictures import encoded, photograph

PLAIN = Options(prefix_bytes=0, drafts=False)


@pytest.fixture(scope="module")
def engine(vision_bundle) -> BatchedEngine:
    """One for all tests, without what would make an answer depend on those before it."""
    return BatchedEngine(vision_bundle, PLAIN)


def shown(number: int, *seeds: int, crops: int = 4, question: str = "What is this?", **options: object) -> Job:
    """A question about pictures, the same for the same seeds."""
    pictures = [picture(seed, crops) for seed in seeds]
    places = "\n".join(each.place for each in pictures)
    message = {"role": "user", "content": f"{places}\n{question}"}
    return Job(number, [message], 8, pictures=pictures, ignore_eos=True, **options)


def picture(seed: int, crops: int = 4) -> Picture:
    """One of two shapes."""
    data = encoded(photograph(*((400, 300), (200, 500))[seed % 2], seed), "PNG")
    return Picture(f"<|picture {seed}|>", base64.b64encode(data).decode(), crops)


def likely(engine: TextEngine, job: Job) -> list[tuple[str, float]]:
    """The likeliest first tokens and their logprobs."""
    finished = answer(engine, job)
    assert finished.logprobs is not None
    return [(each["token"], each["logprob"]) for each in finished.logprobs[0]["top_logprobs"]]


def said(engine: TextEngine, job: Job) -> str:
    """An answer's text."""
    text: list[str] = []
    answer(engine, job, text.append)
    return "".join(text)


@pytest.mark.parametrize(("seed", "crops"), [(0, 1), (0, 4), (1, 4), (0, 16)])
def test_crop_by_crop_is_the_whole_picture(vision_bundle, engine, seed, crops):
    """What is put together from single crops is what the bundle's tower makes of all at once."""
    pictures = read_manifest(vision_bundle).pictures
    assert pictures is not None
    data = base64.b64decode(picture(seed).data)
    seen = Seen(data, crops, pictures)
    tower = engine._graph.tower(engine._bundle)
    while seen.features is None:
        seen.look(tower.run)
    feeds = {
        "pixel_values": crops_of(data, crops, pictures)[None],
        "image_sizes": np.array([[seen.rows, seen.columns]]) * 336,
    }
    whole = onnxruntime.InferenceSession(vision_bundle / "vision.onnx").run(None, feeds)[0]
    assert seen.features.shape == whole.shape == (seen.tokens, 64)
    assert np.abs(seen.features - whole).max() < 1e-5


@pytest.mark.parametrize("seeds", [(0,), (1, 2), (3, 4, 5)])
def test_genais_own_pipeline_says_the_same(vision_bundle, engine, seeds):
    """The bundle is onnxruntime-genai's as well: its tower, its merge and its decoder give the same tokens."""
    genai = GenaiEngine(vision_bundle, PLAIN)
    assert said(genai, shown(1, *seeds)) == said(engine, shown(1, *seeds))
    finished = answer(genai, shown(2, *seeds))
    assert finished.picture_tokens == answer(engine, shown(2, *seeds)).picture_tokens


def test_pictures_matter_and_so_does_their_order(engine):
    """Another picture, or the same two the other way round, is another question."""
    one, two, both, turned = (
        likely(engine, shown(number, *seeds, top_logprobs=5))
        for number, seeds in enumerate([(0,), (2,), (0, 2), (2, 0)])
    )
    assert one != two
    assert both != turned


def test_the_same_picture_is_looked_at_once(engine):
    """Asked about again in other words, its features are there; with more detail it is another picture."""
    before = engine.counters()["looked_crops"]
    for number in range(3):
        answer(engine, shown(number, 20, question=f"Question {number}"))
    assert engine.counters()["looked_crops"] == before + 5
    answer(engine, shown(9, 20, crops=1))
    assert engine.counters()["looked_crops"] == before + 7


def test_a_known_beginning_with_pictures_is_not_read_again(vision_bundle):
    """Nor looked at; and an answer from it is the answer from reading it all."""
    warm = BatchedEngine(vision_bundle, Options(drafts=False))
    first = likely(warm, shown(1, 0, top_logprobs=5))
    looked = warm.counters()["looked_crops"]
    finished = answer(warm, shown(2, 0, top_logprobs=5))
    assert finished.cached_tokens > 700
    again = {each["token"]: each["logprob"] for each in (finished.logprobs or [{}])[0]["top_logprobs"]}
    assert again == pytest.approx(dict(first), abs=1e-3)
    assert warm.counters()["looked_crops"] == looked
    other = answer(warm, shown(3, 2))
    assert other.cached_tokens < 32


def test_a_picture_is_known_over_a_restart(vision_bundle, tmp_path):
    """Asked about in other words by a new process, it is neither looked at nor read; an answer is the cold one's."""
    options = Options(drafts=False, cache_folder=str(tmp_path), prefix_disk_bytes=1 << 30, packs=False)
    before = BatchedEngine(vision_bundle, options)
    for number, question in enumerate(("What is this?", "Is it a cat?")):
        answer(before, shown(number, 0, question=question, cache_salt="client me"))
    before.close()
    asked = {"question": "How many are there, and where?", "top_logprobs": 5, "seed": 1}
    cold = answer(engine_without(vision_bundle), shown(3, 0, **asked))
    after = BatchedEngine(vision_bundle, options)
    warm = answer(after, shown(3, 0, **asked, cache_salt="client me"))
    assert after.counters()["looked_crops"] == 0
    assert warm.cached_tokens > warm.picture_tokens[0]
    assert warm.logprobs == cold.logprobs
    for other in (
        shown(4, 2, cache_salt="client me"),  # another picture of its size
        shown(5, 0, crops=1, cache_salt="client me"),  # in another cut
        shown(6, 0, cache_salt="client you"),
    ):
        looked = after.counters()["looked_crops"]
        assert answer(after, other).cached_tokens < 32
        assert after.counters()["looked_crops"] > looked


def engine_without(bundle) -> BatchedEngine:
    """One that remembers nothing."""
    return BatchedEngine(bundle, PLAIN)


@pytest.mark.parametrize("keep", [True, False])
def test_pictures_are_kept_and_forgotten_as_texts_are(vision_bundle, tmp_path, keep):
    """On no disk where nothing is to stay; and what is forgotten is looked at again, here and after a restart."""
    options = Options(drafts=False, cache_folder=str(tmp_path), prefix_disk_bytes=1 << 30, packs=False)
    engine = BatchedEngine(vision_bundle, options)
    for number in range(3):
        answer(engine, shown(number, 0, cache_salt="client me", keep=keep))
    engine._prefixes.settle()
    assert bool(list(tmp_path.rglob("*.kv"))) == keep
    engine.forget("client me")
    engine.close()
    for each in (engine, BatchedEngine(vision_bundle, options)):
        looked = each.counters()["looked_crops"]
        assert answer(each, shown(9, 0, cache_salt="client me")).cached_tokens == 0
        assert each.counters()["looked_crops"] > looked


def test_a_picture_is_read_to_its_end_where_memory_alone_has_it(vision_bundle):
    """Its last places are a block of their own: another question, and features that have gone, cost no look."""
    engine = BatchedEngine(vision_bundle, Options(drafts=False))
    first = answer(engine, shown(1, 1))
    assert engine._vision
    engine._vision.forget()
    looked = engine.counters()["looked_crops"]
    again = answer(engine, shown(2, 1, question="And in other words?"))
    assert engine.counters()["looked_crops"] == looked
    assert again.cached_tokens > first.picture_tokens[0]


def test_others_are_answered_while_a_picture_is_looked_at(engine):
    """A text's tokens come between two crops, one each at the least."""
    engine.submit(Job(1, [{"role": "user", "content": "Hello"}], 200, ignore_eos=True))
    for _ in range(5):
        list(engine.step())
    engine.submit(shown(2, 30, crops=16))
    told = [event.job_id for _ in range(12) for event in engine.step()]
    assert told.count(1) >= 12
    assert told.count(2) == 12
    finish(engine)


def test_others_are_answered_while_a_picture_is_decoded(vision_bundle):
    """With the thread that decodes held up, a text's answer is finished; the picture's begins when it goes on."""
    engine, go = BatchedEngine(vision_bundle, Options(prefix_bytes=0)), threading.Event()
    assert engine._vision
    engine._vision._thread.submit(go.wait, 60)
    engine.submit(shown(2, 30))
    engine.submit(Job(1, [{"role": "user", "content": "Hello"}], 8, ignore_eos=True))
    ends: list[int] = []
    while not ends:
        ends = [event.job_id for event in engine.step() if isinstance(event.what, Finished)]
    assert ends == [1]
    assert engine.counters()["looked_crops"] == 0
    go.set()
    assert [end.finish_reason for end in finish(engine)] == ["length"]


def test_a_cancel_comes_between_two_crops(engine):
    """The rest is not looked at, and the next job is answered."""
    before = engine.counters()["looked_crops"]
    engine.submit(shown(1, 40, crops=16))
    while engine.counters()["looked_crops"] - before < 4:  # the first steps may wait for the picture's pixels
        list(engine.step())
    engine.cancel(1)
    ends = finish(engine)
    assert [end.finish_reason for end in ends] == ["cancelled"]
    assert engine.counters()["looked_crops"] - before == 4
    assert answer(engine, shown(2, 0)).finish_reason == "length"


def finish(engine: TextEngine) -> list[Finished]:
    """Every job to its end."""
    ends = []
    while not engine.is_idle:
        ends += [event.what for event in engine.step() if isinstance(event.what, Finished)]
    return ends


def test_what_cannot_be_seen_is_a_fault_of_its_own(engine):
    """A damaged picture, one that is no base64, too many for the context: the job's fault, and nobody else's."""
    data = encoded(photograph(400, 300, 50))
    for text, kind in (("@@", BadRequest), (base64.b64encode(data[:900]).decode(), BadRequest)):
        broken = Job(1, [{"role": "user", "content": "<p>"}], 4, pictures=[Picture("<p>", text, 4)])
        with pytest.raises(kind):
            answer(engine, broken)
    with pytest.raises(TooLarge, match="context"):
        answer(engine, shown(2, *range(60, 68)))
    assert answer(engine, shown(3, 0)).completion_tokens == 8


def test_options_beside_pictures(engine):
    """A penalty for what was said, guesses, a schema: a picture's places are no words."""
    job = shown(1, 0, 0 + 2, repetition_penalty=1.2, temperature=0.9, seed=3)
    assert answer(engine, job).completion_tokens == 8
    guided = shown(2, 0, guidance={"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})
    assert said(engine, guided).startswith("{")


def test_guesses_leave_pictures_out(vision_bundle):
    """A prompt whose pictures repeat is no text to guess from."""
    guessing, plain = (BatchedEngine(vision_bundle, Options(prefix_bytes=0, drafts=d)) for d in (True, False))
    job = shown(1, 0, question="one two three one two three one two three")
    assert said(guessing, job) == said(plain, job)
