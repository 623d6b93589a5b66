"""A bundle for a budget: what is weighed, what is chosen, and that its file is as large as was said."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.budget.asking import bits, board, size
from export.budget.choosing import Option, Point, chosen, curve, hull
from export.budget.fitting import weighed
from export.budget.groups import Group, base_of, groups
from export.budget.measuring import measure
from export.budget.telling import CHART, FILE
from export.command import parser, run
from export.errors import UnsupportedError
from export.fidelity import Sample, compare
from export.forward import SourceForward
from export.pipeline import export_bundle
from export.plan import Plan, make_plan, plan_of
from export.quantize import Format
from export.recipe import Limits, Override, Recipe, recipes
from export.size import weights_bytes
from export.source import open_source
from export.source.config_only import ConfigSource
from export.stages import Layer
from export.tensor_file import TensorFile
from export.weights import write_weights
from tests.conftest import ROOT
from tests.export import small_model, small_moe
from tests.export.rounded import RoundedSource

RECIPE = Recipe(
    licence="none",
    context_length=64,
    block_size=32,
    calibration_tokens=2048,
    evaluation_tokens=64,
    limits=Limits(kl_mean=9, top1_agreement=0),
)
MOST = Format(8, 32, False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The small Llama, whose table is embedding and head."""
    return small_model.write_checkpoint(tmp_path_factory.mktemp("source") / "llama", small_model.llama_weights())


@pytest.fixture(scope="module")
def experts(tmp_path_factory) -> Path:
    """A small mixture of experts."""
    return small_moe.make(tmp_path_factory.mktemp("source") / "moe")


def quiet(*_: object) -> None:
    """No progress."""


def plan_for(source: Path, **changes) -> Plan:
    """A plan by the recipe with changes."""
    return make_plan(open_source(source), RECIPE.model_copy(update=changes))


RECIPES = {
    "as it is": {},
    "int8 keys": {"kv_cache": "int8"},
    "float keys": {"kv_cache": "float"},
    "symmetric": {"is_symmetric": True, "block_size": 16},
    "several formats": {"overrides": {"*.v_proj": Override(bits=8), "*.0.mlp.*": Override(block_size=128)}},
    "first rows": {"overrides": {"*": Override(bits=4, first_rows=24)}, "kv_cache": "float"},
    "cuda": {"provider": "cuda", "kv_cache": "float"},
}


@pytest.mark.parametrize("changes", RECIPES.values(), ids=RECIPES)
@pytest.mark.parametrize("source", ["checkpoint", "experts"])
def test_the_size_is_known_to_the_byte(request, tmp_path, source, changes):
    """What is said before anything is made is how large the file of weights is."""
    if source == "experts" and "provider" in changes:
        pytest.skip("a mixture is for the CPU")
    changes = {"method": "rtn"} | changes
    plan = plan_for(request.getfixturevalue(source), **changes)
    with TensorFile(tmp_path / "weights", plan.float_type) as tensors:
        write_weights(plan, tensors, quiet)
    assert weights_bytes(plan) == tensors.size == (tmp_path / "weights").stat().st_size


@pytest.mark.parametrize("source", ["checkpoint", pytest.param("experts", marks=pytest.mark.slow)])
def test_what_a_group_loses_is_what_that_source_loses(request, source):
    """Each group's loss is that of a source whose matrices of that group are rounded, by a pass of its own."""
    plan = plan_for(request.getfixturevalue(source), method="rtn", is_symmetric=True)
    found = {each.group: each.losses[0] for each in measure(plan, quiet)}
    assert list(found) == groups(plan)
    assert all(value > 0 for value in found.values())
    layer, held = Layer(plan.skeleton, plan.sizes), held_back(plan)
    alone = [SourceForward(with_rounded(plan, group), layer) for group in found]
    again = compare(SourceForward(plan, layer), alone, held, plan.sizes.num_layers, quiet)
    assert [each.losses["text"].kl_mean for each in again] == pytest.approx(list(found.values()), rel=2e-3)


def held_back(plan: Plan) -> list[Sample]:
    """What was not looked at."""
    from export.budget.measuring import _texts

    return [Sample("text", tokens) for tokens in _texts(plan)[1]]


def with_rounded(plan: Plan, group: Group) -> Plan:
    """The plan for a source with one group to nearest."""
    source = RoundedSource(plan.source, lambda name: base_of(plan) if group.has(name) else None)
    return replace(plan, source=source)


@pytest.mark.parametrize("source", ["checkpoint", pytest.param("experts", marks=pytest.mark.slow)])
def test_a_bundle_is_within_its_budget(request, tmp_path, source):
    """Its file takes what is allowed at most; the report has the choice and the chart."""
    path = request.getfixturevalue(source)
    smallest, largest = ends(plan_for(path))
    budget = (smallest + largest) // 2
    made = export_bundle(open_source(path), RECIPE.within(budget), tmp_path / "bundle", False, quiet)
    told = json.loads((tmp_path / "bundle" / FILE).read_text())
    assert made.manifest.weights_bytes == told["weights_bytes"] <= budget
    assert smallest <= told["weights_bytes"]
    assert {each["bits"] for each in told["groups"]} == {4, 8}
    assert ElementTree.parse(tmp_path / "bundle" / CHART).getroot().tag.endswith("svg")
    page = (tmp_path / "bundle/fidelity.md").read_text()
    assert f"![loss by size]({CHART})" in page
    assert set(made.manifest.files) >= {FILE, CHART}
    losses = [each["reckoned_loss"] for each in told["curve"]]
    assert losses == sorted(losses, reverse=True)


def ends(plan: Plan) -> list[int]:
    """The weights in blocks of 32, in 4 bits and in 8."""
    forms = [replace(MOST, bits=each) for each in (4, 8)]
    recipes = [plan.recipe.model_copy(update={"overrides": {"*": Override.of(form)}}) for form in forms]
    return [weights_bytes(replace(plan, recipe=recipe)) for recipe in recipes]


@pytest.mark.slow
def test_more_bytes_are_less_lost(checkpoint, tmp_path):
    """Measured, not reckoned: a bundle of a larger budget loses less, and what was reckoned is near it."""
    found = []
    for number, budget in enumerate(ends(plan_for(checkpoint))):
        made = export_bundle(open_source(checkpoint), RECIPE.within(budget), tmp_path / str(number), False, quiet)
        told = json.loads((made.path / FILE).read_text())
        found.append((made.manifest.fidelity["kl_mean_accuracy_level_0"], told["reckoned_loss"]))
    assert found[1][0] < found[0][0]
    for lost, reckoned in found:
        assert 0.3 < lost / reckoned < 3


def test_a_budget_that_nothing_fits_is_refused(checkpoint, tmp_path):
    """With both sizes, before anything is measured; nothing is left."""
    with pytest.raises(UnsupportedError, match=r"MB at the least, but 0\.0 MB are allowed"):
        export_bundle(open_source(checkpoint), RECIPE.within(20_000), tmp_path / "out/bundle", False, quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["--method=none"], ["--provider=qnn"]])
def test_where_there_is_nothing_to_choose(checkpoint, tmp_path, capsys, words):
    """Floats and fixed shapes have one format for every matrix; a size for them is refused, and nothing is left."""
    assert run([str(checkpoint), "-o", str(tmp_path / "out/bundle"), "--size=90MB", "--context=64", *words]) == 1
    assert "no formats to choose for a size" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


OPTIONS = st.lists(
    st.tuples(st.integers(1, 60), st.floats(0, 1, allow_subnormal=False)),
    min_size=1,
    max_size=4,
    unique_by=lambda x: x[0],
)


def as_options(drawn: list[list[tuple[int, float]]]) -> dict[Group, list[Option]]:
    """Groups with options of some bytes and losses."""
    return {Group(str(number)): [Option(MOST, *each) for each in its] for number, its in enumerate(drawn)}


@given(st.lists(OPTIONS, min_size=1, max_size=4), st.integers(1, 200))
def test_no_other_choice_of_those_bytes_loses_less(drawn, budget):
    """On the curve each point is the best of all choices that take no more; the chosen one is within the budget."""
    options = as_options(drawn)
    every = [Point(dict(zip(options, each, strict=True))) for each in itertools.product(*options.values())]
    for point in curve(options):
        best = min(each.loss for each in every if each.size_bytes <= point.size_bytes)
        assert point.loss == pytest.approx(best, abs=1e-9)
    smallest = sum(min(each.size_bytes for each in its) for its in options.values())
    assert chosen(options, budget).size_bytes <= max(budget, smallest)


@given(OPTIONS)
def test_the_hull_bends_one_way(drawn):
    """Each step along it saves less a byte than the one before it, and each option is a loss less."""
    kept = hull(as_options([drawn])[Group("0")])
    saved = [(a.loss - b.loss) / (b.size_bytes - a.size_bytes) for a, b in itertools.pairwise(kept)]
    assert all(first > second for first, second in itertools.pairwise(saved))
    assert all(each > 0 for each in saved)


def test_bytes_for_nothing_are_not_taken():
    """A step that saves too little is left, whatever is allowed."""
    options = {Group("a"): [Option(MOST, 1000, 1.0), Option(MOST, 1500, 0.2), Option(MOST, 3000, 0.1999)]}
    assert chosen(options, 10_000).size_bytes == 1500


def test_what_is_left_is_used():
    """Where no step of a hull fits any more, an option beside it may."""
    options = {Group("a"): [Option(MOST, 100, 1.0), Option(MOST, 150, 0.9), Option(MOST, 200, 0.1)]}
    assert chosen(options, 160).loss == 0.9
    assert chosen(options, 200).loss == 0.1


def test_all_that_is_multiplied_is_in_one_group(checkpoint, experts):
    """Each table and each matrix of a layer, once; a router is in none."""
    for source in (checkpoint, experts):
        plan = plan_for(source)
        known = groups(plan)
        matrices = [*plan.matrices, "model.embed_tokens.weight"]
        assert all(sum(group.has(name) for group in known) == 1 for name in matrices)
        assert not any(group.has(f"model.layers.0.{name}") for group in known for name in plan.family.vectors)


def test_other_formats_are_reckoned_by_what_outputs_err(checkpoint):
    """A group is measured in one format; in smaller blocks and in more bits it is reckoned to lose less."""
    for options in weighed(plan_for(checkpoint), quiet).values():
        by_size = [each.loss for each in options if each.form.bits == 4 and not each.first_rows]
        assert by_size == sorted(by_size, reverse=True)
        eight = max(each.loss for each in options if each.form.bits == 8)
        assert eight < 0.05 * by_size[-1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2.0GB", 2_000_000_000), ("84 MB", 84_000_000), ("1GiB", 1 << 30), ("500", 500), ("7kb", 7000)],
)
def test_a_size(text, wanted):
    """A number and a unit."""
    assert size(text) == wanted


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "2 TB", "1e3MB", "0", "nan", "2,5GB", "9" * 60, "0.2"])
def test_what_is_no_size(text):
    """Is refused, and the message says what one looks like."""
    with pytest.raises(ArgumentTypeError, match=r"as 2\.0GB"):
        size(text)


@pytest.mark.parametrize("text", ["", "0", "17", "nan", "inf", "four", "-4"])
def test_what_is_no_number_of_bits(text):
    """Likewise."""
    with pytest.raises(ArgumentTypeError, match="from 1 to 16"):
        bits(text)


def test_a_board(capsys):
    """By its name or its memory; any other word gets the names."""
    assert board("pi5-8gb") == board("8GB") > 2 * board("phone-6gb")
    with pytest.raises(ArgumentTypeError, match=r"no board that is known.*pi5-8gb"):
        board("toaster")
    with pytest.raises(SystemExit):
        parser().parse_args(["phi", "--size=2GB", "--bits=4.2"])
    assert "not allowed with" in capsys.readouterr().err


def test_bits_and_boards_become_bytes(capsys):
    """Of a model's sizes alone: so many bits a weight; a board's memory without a context's keys and values."""
    recipe = recipes()["phi-3.5-mini-instruct"]
    plan = plan_of(ConfigSource("phi", recipe.config), recipe)
    weights = sum(math.prod(shape) for shape in plan.shapes.values())
    assert estimated(capsys, "--bits=4.2") == pytest.approx(4.2 / 8 * weights, rel=1e-6)
    long, short = (estimated(capsys, "--fit=4GB", f"--context={length}") for length in (4096, 512))
    assert 3584 * plan.sizes.kv_bytes_per_token(1) <= short - long < 2 * 3584 * plan.sizes.kv_bytes_per_token(1)


def estimated(capsys, *words: str) -> float:
    """The bytes of weights by the estimate for Phi-3.5-mini: the bundle's, without a tenth for what is beside them."""
    assert run(["phi-3.5-mini-instruct", "--dry-run", "--json", *words]) == 0
    return json.loads(capsys.readouterr().out)["bundle_bytes"] / 1.1


def test_a_board_that_is_too_small_for_the_context(capsys):
    """Is refused with both figures."""
    assert run(["phi-3.5-mini-instruct", "--dry-run", "--fit=pi5-1gb"]) == 1
    assert "a context of 4096 tokens takes" in capsys.readouterr().err


@pytest.mark.slow
def test_on_the_command_line(checkpoint, tmp_path):
    """As a person asks for it."""
    words = [str(checkpoint), "-o", str(tmp_path / "bundle"), "--bits=8", "--context=64", "--allow-loss"]
    command = [sys.executable, "-m", "export", *words, "--task-questions=0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "bundle" / FILE).read_text())
    assert told["weights_bytes"] <= told["budget_bytes"]
