"""What a bundle lost is measured as it was packed, told, and held to limits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge.bundle import open_bundle
from export.errors import ExportError, FidelityError, SourceError
from export.estimate import needs
from export.fidelity import Comparison
from export.golden import Golden, beginning, questions, read_questions
from export.pipeline import export_bundle
from export.plan import make_plan, plan_of
from export.recipe import Limits, Recipe, recipes
from export.report import CHART, draw
from export.size import weights_bytes
from export.source import open_source
from export.source.config_only import ConfigSource
from export.verify import check_limits
from tests.export import small_model

RECIPE = Recipe(
    licence="none", method="rtn", block_size=16, context_length=64, limits=Limits(kl_mean=9, top1_agreement=0)
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The small Llama."""
    return small_model.write_checkpoint(tmp_path_factory.mktemp("source") / "llama", small_model.llama_weights())


def made(checkpoint: Path, target: Path, **changes) -> Path:
    """A bundle by the recipe with changes."""
    recipe = RECIPE.model_copy(update=changes)
    return export_bundle(open_source(checkpoint), recipe, target, False, lambda *_: None).path


def test_the_figures_are_what_the_graph_gives(checkpoint, tmp_path):
    """The report's divergence equals one computed from an independent forward pass over the rounded weights."""
    bundle = made(checkpoint, tmp_path / "bundle", evaluation_tokens=64, accuracy_level=0)
    weights, source = small_model.llama_weights(), open_source(checkpoint)
    rounded = {name: open_plan_value(source, name) if value.ndim == 2 else value for name, value in weights.items()}
    from export.calibration_text import evaluation_tokens

    (piece,) = evaluation_tokens(source.tokenizer_files["tokenizer.json"], 64, 64)
    tokens = [int(token) for token in piece[0]]
    divergences = [
        divergence(small_model.forward(weights, tokens[:end]), small_model.forward(rounded, tokens[:end]))
        for end in range(1, len(tokens))
    ]
    found = open_bundle(bundle).manifest.fidelity
    assert found["kl_mean"] == pytest.approx(np.mean(divergences), rel=1e-3)


@pytest.mark.slow
def test_texts_are_read_by_the_bundles_own_tokenizer(tmp_path):
    """A token that the model has no row for, in nearly every text, is read as its letters, as the bundle reads it."""
    source = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    told = json.loads((source / "tokenizer.json").read_text())
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    told["added_tokens"] = [{"id": small_model.VOCABULARY, "content": "th", **flags}]
    (source / "tokenizer.json").write_text(json.dumps(told))
    bundle = open_bundle(made(source, tmp_path / "bundle", method="gptq", calibration_tokens=64, evaluation_tokens=64))
    assert math.isfinite(bundle.manifest.fidelity["kl_mean"])


def open_plan_value(source, name: str) -> np.ndarray:
    """A matrix as the recipe rounds it."""
    from export.quantize import round_to_nearest

    return round_to_nearest(source.tensor(name), RECIPE.format_of(name)).dequantized()


def divergence(wanted: np.ndarray, found: np.ndarray) -> float:
    """Nats, from logits."""
    logs = [values - values.max() - np.log(np.exp(values - values.max()).sum()) for values in (wanted, found)]
    return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum())


def test_the_report_goes_with_the_bundle(checkpoint, tmp_path):
    """A page, a chart and JSON for both accuracy levels; golden answers that the engine gave."""
    bundle = made(checkpoint, tmp_path / "bundle")
    assert "| accuracy level 4 | text | " in (bundle / "fidelity.md").read_text()
    assert (bundle / "fidelity.svg").read_text().rstrip().endswith("</svg>")
    report = json.loads((bundle / "fidelity.json").read_text())
    assert list(report) == ["accuracy_level_4", "accuracy_level_0"]
    assert len(report["accuracy_level_4"]["layers"]) == small_model.LAYERS
    golden = json.loads((bundle / "golden.json").read_text())
    assert [each["messages"][0]["content"] for each in golden] == list(RECIPE.prompts)
    assert all(each["completion_tokens"] for each in golden)


def test_a_board_asks_what_was_answered_surely():
    """The beginning of an answer, as far as each token was well ahead of the next; too little of it is not asked."""
    sure = [token(" The", 2.0), token(" capital", 5.0), token(" is", 0.5), token(" Paris", 9.0)]
    assert beginning(sure) == "The capital"
    assert beginning(sure[1:]) == ""
    assert beginning([]) == ""
    assert beginning([token("A", 2), token("\n", 3), token("B", 3)]) == ""
    asked = questions([Golden([{"role": "user", "content": "Which?"}], 24, "The capital is Paris", 4, "The capital")])
    assert [(each.prompt, each.contains, each.max_tokens) for each in asked] == [("Which?", "The capital", 24)]
    assert asked[0].is_in("  the\nCAPITAL of France")
    assert not asked[0].is_in("Paris")


def token(text: str, ahead: float) -> dict:
    """A token as the engine tells it, so many nats ahead of the next."""
    return {"token": text, "top_logprobs": [{"token": text, "logprob": -0.1}, {"token": "x", "logprob": -0.1 - ahead}]}


@pytest.mark.slow
def test_questions_of_ones_own_are_asked(checkpoint, tmp_path):
    """They are in the manifest where the bundle answers them so; else, or where the file is none, nothing is made."""
    bundle = open_bundle(made(checkpoint, tmp_path / "bundle"))
    said = json.loads((bundle.path / "golden.json").read_text())[0]
    file = tmp_path / "golden.json"
    file.write_text(json.dumps([{"prompt": RECIPE.prompts[0], "contains": said["answer"].strip(), "max_tokens": 16}]))
    manifest = open_bundle(made(checkpoint, tmp_path / "own", golden=file)).manifest
    assert [each.contains for each in manifest.golden] == [said["answer"].strip()]
    file.write_text(json.dumps([{"prompt": "x", "contains": "what no random weights say"}]))
    with pytest.raises(FidelityError, match="without 'what no random weights say'"):
        made(checkpoint, tmp_path / "other", golden=file)
    file.write_text('[{"prompt": "x"}]')
    with pytest.raises(SourceError, match="contains: Field required"):
        read_questions(file)


@pytest.mark.slow
def test_more_bits_lose_less(checkpoint, tmp_path):
    """By every figure of the manifest that counts a loss."""
    four, eight = (open_bundle(made(checkpoint, tmp_path / str(bits), bits=bits)).manifest.fidelity for bits in (4, 8))
    assert eight["kl_mean"] < four["kl_mean"] / 10
    assert eight["top1_agreement"] > four["top1_agreement"]


@pytest.mark.parametrize("limits", [{"kl_mean": 1e-6}, {"top1_agreement": 1.0}])
def test_over_its_limits_a_bundle_is_not_packed(checkpoint, tmp_path, limits):
    """Both figures in a sentence; nothing left."""
    with pytest.raises(FidelityError, match="but the recipe"):
        made(checkpoint, tmp_path / "out" / "bundle", limits=Limits(**{"kl_mean": 9, "top1_agreement": 0} | limits))
    assert not (tmp_path / "out").exists()


def test_an_estimate_needs_nothing_but_sizes():
    """Every shipped recipe that carries sizes can be estimated offline; a calibrated method needs more memory."""
    for name, recipe in recipes().items():
        if recipe.config:
            plans = [
                plan_of(ConfigSource(name, recipe.config), recipe.model_copy(update={"method": method}))
                for method in ("rtn", "gptq")
            ]
            rtn, gptq = map(needs, plans)
            assert rtn.bundle_bytes == pytest.approx(gptq.bundle_bytes, rel=1e-3)  # one may have steps of its keys
            assert 0 < rtn.memory_bytes <= gptq.memory_bytes
            assert rtn.seconds < gptq.seconds


def test_phi_fits_its_bars_by_the_estimate():
    """Phi-3.5-mini's recipe stays under 4.9 bits a weight and 2.4 GB, tables and scales and all."""
    recipe = recipes()["phi-3.5-mini-instruct"]
    plan = plan_of(ConfigSource("phi", recipe.config), recipe)
    weights = sum(shape[0] * shape[1] for shape in plan.shapes.values() if len(shape) == 2)
    assert weights_bytes(plan) * 8 / weights < 4.9
    assert weights_bytes(plan) < 2.4e9


@pytest.mark.slow
def test_a_calibration_text_of_ones_own(checkpoint, tmp_path):
    """Its name and checksum are in the manifest; one that is too short is refused."""
    text = tmp_path / "manual.txt"
    text.write_text("The pump runs at 40 Hz. " * 400)
    bundle = made(checkpoint, tmp_path / "bundle", method="gptq", calibration_text=text, calibration_tokens=512)
    calibration = open_bundle(bundle).manifest.calibration
    assert calibration is not None
    assert calibration.name == "manual.txt"
    text.write_text("short")
    with pytest.raises(ExportError, match="has 5 characters"):
        made(checkpoint, tmp_path / "other", method="gptq", calibration_text=text)


NUMBERS = st.one_of(
    st.floats(), st.sampled_from([0.0, 0.1, 0.1 + 1e-16, 1e-300, 1e300, math.nan, math.inf, -math.inf, 5e-324])
)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["accuracy level 4", "float cache", "a"]), st.lists(NUMBERS, max_size=4)))
@example({})
@example({"a": [0.0]})
@example({"a": [0.1, 0.1 + 1e-16]})
def test_the_chart_is_drawn_of_whatever_errors_there_are(tmp_path_factory, errors):
    """One layer, none, all alike or nearly so, zeros, what is no number: a picture with its axes, and no error."""
    path = tmp_path_factory.mktemp("chart") / CHART
    draw(path, {variant: Comparison({}, layers) for variant, layers in errors.items()})
    assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_what_is_no_number_is_not_packed(checkpoint):
    """Not even where any loss is allowed: a manifest could not hold it."""
    plan = make_plan(open_source(checkpoint), RECIPE)
    for value in (math.nan, math.inf):
        with pytest.raises(FidelityError, match="kl_mean is"):
            check_limits(plan, {"kl_mean": value})
