"""`--oracle`: what a bundle lost against Transformers itself; a checkpoint that is misread is told before rounding.

Needs the trace extra, but for the first test, which is about not having it.
"""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import read_manifest
from export.errors import FidelityError, UnsupportedError
from export.estimate import needs
from export.families.held import Variant
from export.pipeline import export_bundle
from export.plan import plan_of
from export.quantize import Floats
from export.recipe import Limits, Recipe, recipes
from export.source import Source, open_source
from export.source.adapter import AdapterSource
from export.source.config_only import ConfigSource
from export.source.wrapped import WrappedSource
from tests.conftest import ROOT
from tests.export import beside, small_model, small_phi3_small, small_transformers, test_held
from tests.export.altered import CASES, adapter_beside, loaded

HAS_TORCH = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
ROUNDED = Recipe(
    licence="none",
    method="rtn",
    context_length=64,
    block_size=16,
    accuracy_level=0,
    prompts=(),
    evaluation_tokens=512,
    limits=Limits(kl_mean=1e9, top1_agreement=0),
    oracle=True,
)
transformers = [pytest.mark.trace, pytest.mark.skipif(not HAS_TORCH, reason="the trace extra is not installed")]


def traced(test):
    """A test that Transformers is needed for."""
    for mark in transformers:
        test = mark(test)
    return test


@pytest.mark.skipif(HAS_TORCH, reason="it is installed here")
def test_without_torch_it_is_refused_at_once(tmp_path):
    """Before the model is looked at: the folder that is named is not even there."""
    command = [sys.executable, "-m", "export", "no-such-model", "-o", str(tmp_path / "bundle"), "--oracle"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install torch" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_model_with_code_of_its_own_is_refused():
    """One that sees pictures and Phi-3-small, from their configs alone."""
    vision = {**small_model.CONFIG, "architectures": ["Phi3VForCausalLM"]}
    for config in (vision, small_phi3_small.config_of("as published")):
        with pytest.raises(UnsupportedError, match=rf"{config['architectures'][0]} wants code of the checkpoint's own"):
            plan_of(ConfigSource("phi", config), ROUNDED)


@traced
def test_soft_caps_on_scores_are_heeded(tmp_path):
    """Of a Gemma 2: in the attention that Transformers 4.57 takes by itself there are none."""
    with beside.quiet():
        test_held.checkpoint(Variant("gemma2", own_head_size=True, capped=True), tmp_path / "model")
        bundle = export_bundle(open_source(tmp_path / "model"), ROUNDED, tmp_path / "bundle", False, lambda *_: None)
    lost = bundle.manifest.fidelity
    assert lost["oracle_kl_mean"] == pytest.approx(lost["kl_mean"], abs=1e-4)


def test_its_memory_is_reckoned_with():
    """The model's floats, so that what does not fit is refused before anything is read."""
    recipe = recipes()["phi-3.5-mini-instruct"]
    source = ConfigSource("phi", recipe.config)
    plain, whole = (plan_of(source, recipe.model_copy(update={"oracle": asked})) for asked in (False, True))
    assert needs(plain).memory_bytes < 8 << 30
    assert needs(whole).memory_bytes > sum(4 * math.prod(shape) for shape in whole.shapes.values()) > 15e9


@pytest.fixture
def checkpoint(tmp_path) -> Path:
    """A small Llama that Transformers saved."""
    return small_transformers.spell(small_transformers.checkpoint(tmp_path / "checkpoint"), 4, 10000.0)


class Told(list):
    """The stages that an export told of."""

    def __call__(self, stage: str, done: int, total: int, now: str) -> None:
        """Once each."""
        if stage not in self:
            self.append(stage)


@traced
def test_the_loss_against_transformers_is_measured(checkpoint, tmp_path):
    """The figures are those reckoned here from Transformers' logits and the bundle's own; the report has them, too."""
    bundle = export_bundle(open_source(checkpoint), ROUNDED, tmp_path / "bundle", False, Told()).path
    found = read_manifest(bundle).fidelity
    assert found["oracle_reading_kl"] < 1e-6
    assert abs(found["oracle_kl_mean"] / found["kl_mean"] - 1) < 0.01
    assert "own reading of the checkpoint" in (bundle / "fidelity.md").read_text()
    with beside.quiet():
        model = loaded(checkpoint)
    divergences = []
    for text in pieces(checkpoint):
        wanted, ours = (log_softmax(each) for each in (beside.their_logits(model, text), whole(bundle, text)))
        divergences.append((np.exp(wanted) * (wanted - ours)).sum(-1)[:-1])
    assert abs(found["oracle_kl_mean"] / np.concatenate(divergences).mean() - 1) < 0.01


def pieces(checkpoint: Path) -> list[list[int]]:
    """What the loss is measured on."""
    from export.verify import texts

    return [piece.tokens[0].tolist() for piece in texts(plan_of(open_source(checkpoint), ROUNDED))]


def whole(bundle: Path, text: list[int]) -> np.ndarray:
    """The bundle's logits at every position."""
    return beside.bundle_logits(bundle, text)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """In doubles."""
    values = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return values - np.log(np.exp(values).sum(-1, keepdims=True))


class Misread(WrappedSource):
    """A source that reads one matrix otherwise than it is."""

    def tensor(self, name: str) -> Floats:
        """Half of it, where it is the second layer's values."""
        return super().tensor(name) * (0.5 if name == "model.layers.1.self_attn.v_proj.weight" else 1)


@traced
def test_a_checkpoint_that_is_misread_is_not_packed(checkpoint, tmp_path):
    """Told before anything is rounded, whatever loss is allowed; nothing is left behind."""
    source: Source = Misread(open_source(checkpoint))
    told = Told()
    with pytest.raises(FidelityError, match=r"is misread: .* nats a token from what Transformers makes"):
        export_bundle(source, ROUNDED, tmp_path / "out/bundle", False, told)
    assert told == ["rehearse", "oracle", "verify"]  # and never "quantize"
    assert not list(tmp_path.glob("out/*"))
    blind = ROUNDED.model_copy(update={"oracle": False, "bits": 8})
    made = export_bundle(source, blind, tmp_path / "out/bundle", False, Told())
    assert made.manifest.fidelity["kl_mean"] < 0.01  # that report sees nothing wrong


@traced
@pytest.mark.parametrize("name", ["gguf-tied", "gguf-plain"])
def test_a_gguf_file_is_read_by_transformers_own_reader(tmp_path, name):
    """As far as it reads all of it."""
    pytest.importorskip("accelerate")
    (case,) = (each for each in CASES if str(each) == name)
    made = export_bundle(open_source(case.make(tmp_path).path), ROUNDED, tmp_path / "bundle", False, Told())
    assert made.manifest.fidelity["oracle_reading_kl"] < 1e-6


@traced
@pytest.mark.parametrize("name", ["adapters-plain", "adapters-rslora"])
def test_an_adapter_is_added_by_peft(tmp_path, name):
    """Not left out of the measure."""
    pytest.importorskip("peft")
    (case,) = (each for each in CASES if str(each) == name)
    made = case.make(tmp_path)
    source = AdapterSource(open_source(made.path), made.adapter)
    bundle = export_bundle(source, ROUNDED, tmp_path / "bundle", False, Told())
    assert bundle.manifest.fidelity["oracle_reading_kl"] < 1e-6


@traced
@pytest.mark.skipif(importlib.util.find_spec("peft") is not None, reason="it is installed here")
def test_without_peft_an_adapter_is_refused(checkpoint, tmp_path):
    """By the command to install it; what is no adapter at all is told before."""
    adapter_beside(tmp_path)
    command = [sys.executable, "-m", "export", str(checkpoint), "-o", str(tmp_path / "bundle"), "--oracle"]
    options = ["--adapter", str(tmp_path)]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install peft" in done.stderr


@traced
def test_the_command_line_tells_both(checkpoint, tmp_path):
    """One line more; the progress names what it waits for."""
    command = [sys.executable, "-m", "export", str(checkpoint), "-o", str(tmp_path / "bundle"), "--oracle"]
    options = ["--method=rtn", "--context=64", "--allow-loss"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "against Transformers itself" in done.stdout
    assert "oracle" in done.stderr
