"""The engine over graphs of fixed shapes, on the processor: answers, known beginnings, cancels, several at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import engine
from edge.bundle import open_bundle
from edge.engine import Finished, Job, Options
from edge.engine.cache.caches import Caches
from edge.engine.opening import open_engine
from edge.engine.static.caches import ChannelCaches
from edge.engine.static.compiled import open_compiled
from edge.errors import BundleError, ConfigError
from export.fixed import making
from export.plan import make_plan
from export.recipe import Recipe
from export.source import open_source
from tests.export import small_model

RECIPE = Recipe(
    licence="none",
    method="rtn",
    bits=8,
    provider="qnn",
    context_length=64,
    calibration_tokens=256,
    evaluation_tokens=0,
    prompts=(),
)
ASKED = [{"role": "user", "content": "What is it that the board says of itself?"}]


@pytest.fixture(scope="module")
def fixed(tmp_path_factory) -> Path:
    """A bundle of two layers for QNN: slices of 16 tokens, a context of 64."""
    folder = tmp_path_factory.mktemp("static")
    source = small_model.write_checkpoint(folder / "llama", small_model.llama_weights())
    (folder / "bundle").mkdir()
    making.make(folder / "bundle", make_plan(open_source(source), RECIPE), lambda *_: None)
    return open_bundle(folder / "bundle", provider="qnn").path


def opened(bundle: Path, **options) -> engine.TextEngine:
    """The engine for it on the processor."""
    return open_engine(bundle, Options(threads=1, rows=3, **options))


def asked(made: engine.TextEngine, number: int = 1, tokens: int = 12, **job) -> tuple[str, Finished]:
    """An answer."""
    said: list[str] = []
    ended = engine.answer(made, Job(number, ASKED, tokens, ignore_eos=True, **job), said.append)
    return "".join(said), ended


def test_a_known_beginning_changes_nothing(fixed):
    """The answer is the same when what was read before is found, when it is not, and with another slice at a time."""
    first = opened(fixed)
    text, ended = asked(first)
    again, found = asked(first, 2)
    assert again == text == asked(opened(fixed, prefix_bytes=0, prefill_slice_tokens=32))[0]
    assert ended.completion_tokens == 12
    assert ended.cached_tokens == 0 < found.cached_tokens


def test_answers_side_by_side_are_those_of_one_alone(fixed):
    """Each is a run of its own in its own slot; so are beams, of which one alone is the greedy answer."""
    text, _ = asked(opened(fixed))
    made, said = opened(fixed), {1: "", 2: ""}
    for number in said:
        made.submit(Job(number, ASKED, 12, ignore_eos=True))
    while not made.is_idle:
        for event in made.step():
            if isinstance(event.what, str):
                said[event.job_id] += event.what
    assert said == {1: text, 2: text}
    several = asked(made, 3, n=2, temperature=1.0, seed=3)[1].choices
    assert several is not None
    assert len(several) == 2
    assert asked(made, 4, num_beams=2)[1].completion_tokens == 12


def test_a_cancel_ends_it_between_two_slices(fixed):
    """A prompt of three slices, of which one was read."""
    made = opened(fixed)
    made.submit(Job(1, ASKED, 12))
    assert [event.what for event in made.step()] == [""]
    made.cancel(1)
    (end,) = made.step()
    assert isinstance(end.what, Finished)
    assert end.what.finish_reason == "cancelled"


def test_bundles_and_engines_that_do_not_fit(fixed, bundle):
    """Each says what to do."""
    with pytest.raises(ConfigError, match=r"genai engine cannot run the graphs of .*: leave engine.kind at auto"):
        opened(fixed, kind="genai")
    with pytest.raises(ConfigError, match="the batched engine runs on the cpu provider, not on qnn"):
        opened(fixed, kind="batched", provider="qnn")
    with pytest.raises(ConfigError, match=r"no graphs of fixed shapes, .*: export it with --provider qnn"):
        opened(bundle, provider="qnn")
    with pytest.raises(BundleError, match=r"set engine\.provider"):
        open_bundle(fixed)


def test_keys_lie_with_their_channels_first():
    """Who reads and writes pieces sees what a usual cache would show."""
    shape = (2, 3, 2, 8, 4)
    usual, ours = (kind(*shape, np.dtype(np.int8)) for kind in (Caches, ChannelCaches))
    block = np.random.default_rng(0).integers(-128, 127, (2, 2, 2, 5, 4)).astype(np.int8)
    for each in (usual, ours):
        each.write(1, 2, block)
        each.copy(1, 2, 7, 3)
        np.testing.assert_array_equal(each.read(1, 2, 7), block)
    np.testing.assert_array_equal(ours.read(2, 0, 8), usual.read(2, 0, 8))
    np.testing.assert_array_equal(ours.keys[:, 1, :, :, 2:7], block[:, 0].swapaxes(2, 3))
    ours.release(1)


class Compiler:
    """Sessions that are only names; what it makes of a graph is a file."""

    compiles = True

    def __init__(self, breaks: bool = False) -> None:
        self.breaks, self.made = breaks, 0

    def opened(self, graph: Path, into: Path | None = None) -> str:
        """The file's text; a graph that it has made does not load where it breaks."""
        if into is not None:
            self.made += 1
            into.write_text(f"made of {graph.name}")
        elif self.breaks:
            raise RuntimeError("another version")
        return graph.read_text()


def test_what_was_compiled_is_kept(tmp_path):
    """It is there at the next start, made anew where it does not load, and two bundles' at most."""
    graphs = [tmp_path / name for name in ("slice.onnx", "token.onnx")]
    for graph in graphs:
        graph.write_text(graph.name)
    folder, compiler = tmp_path / "compiled", Compiler()
    assert open_compiled(compiler, graphs, folder / "a") == ["slice.onnx", "token.onnx"]
    assert open_compiled(compiler, graphs, folder / "a") == ["made of slice.onnx", "made of token.onnx"]
    assert compiler.made == 2
    assert open_compiled(Compiler(breaks=True), graphs, folder / "a") == ["slice.onnx", "token.onnx"]
    for name in ("b", "c"):
        open_compiled(compiler, graphs, folder / name)
    assert len(list(folder.iterdir())) == 2
    assert open_compiled(compiler, graphs, None) == ["slice.onnx", "token.onnx"]
    graphs[1].unlink()
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="token"):
        open_compiled(compiler, graphs, tmp_path / "file" / "d")
