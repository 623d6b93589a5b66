"""Adapters that stay apart: a bundle with them answers as the merged model does, and without them as before."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from edge.bundle import ADAPTER_GRAPH, GRAPH, TOGETHER_GRAPH, Bundle, open_bundle, read_manifest
from edge.engine import Finished, Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.graph.session import Graph
from export.command import run
from export.errors import ExportError, FidelityError
from export.pipeline import fill
from export.sentences.adding import Additions, enlarge
from export.source import open_source
from export.source.adapter import AdapterSource
from export.workshop import staging
from tests.export import beside, small_families, small_model
from tests.export.test_adapter import HARMS, pairs, write_adapter

MODULES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
MODULES += ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
PACKED = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
ASKED = ("a b", "b c")
GRAPHS = {ADAPTER_GRAPH, TOGETHER_GRAPH, "adapters-1.onnx", "adapters-2.onnx"}
"""Of two adapters: for all, for rows of several, and each's own."""
PHI3 = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": 128}


def adapter(folder: Path, weights: small_model.Weights, modules: tuple[str, ...], seed: int, rank: int = 4) -> Path:
    """A seeded one that changes some modules of every layer by much."""
    chance, tensors = np.random.default_rng(seed), {}
    for number in range(small_model.LAYERS):
        for module in modules:
            name = f"model.layers.{number}.{module}"
            rows, columns = weights[f"{name}.weight"].shape
            for part, shape in (("A", (rank, columns)), ("B", (rows, rank))):
                values = chance.standard_normal(shape).astype(np.float32) * 0.2
                tensors[f"base_model.model.{name}.lora_{part}.weight"] = values
    targets = [module.rpartition(".")[2] for module in modules]
    return write_adapter(folder, tensors, r=rank, lora_alpha=2 * rank, target_modules=targets)


def checkpoint(folder: Path, kind: str) -> tuple[Path, list[Path]]:
    """A small model of a family and two adapters of it, of other ranks and other modules."""
    if kind == "qwen2":
        path = small_families.write(folder / "base", kind)
        weights = {name: tensor for file in path.glob("*.safetensors") for name, tensor in load_file(file).items()}
        return path, [
            adapter(folder / "first", weights, MODULES, 1),
            adapter(folder / "second", weights, MODULES[1:3], 2, 20),
        ]
    weights = small_model.llama_weights()
    if kind == "phi3":
        weights = small_model.as_phi3(weights)
    path = small_model.write_checkpoint(folder / "base", weights, **(PHI3 if kind == "phi3" else {}))
    modules = PACKED if kind == "phi3" else MODULES
    return path, [
        adapter(folder / "first", weights, modules, 1),
        adapter(folder / "second", weights, modules[1:3], 2, 20),
    ]


def recipe(method: str, kind: str) -> Any:
    """In floats, or by blocks; Phi-3's projections apart."""
    return beside.FLOAT.model_copy(update={"method": method, "split_packed": kind == "phi3"})


def read(graph: Graph, tokens: list[int], name: str = "") -> np.ndarray:
    """Logits of every position of a short text."""
    ids, seen = np.array([tokens], np.int64), np.zeros(1, np.int64)
    return graph.run(0, ids, seen, len(tokens), adapter=name)[0].copy()


def opened(path: Path) -> Graph:
    """A bundle's graph."""
    return Graph(Bundle(path, read_manifest(path)), 1, 3)


@pytest.mark.parametrize("kind", ["llama", "phi3", "qwen2"])
def test_an_adapter_apart_is_the_adapter_merged(tmp_path, kind):
    """A float bundle's logits with each adapter are those of the model it was merged into; without, the base's."""
    source, adapters = checkpoint(tmp_path, kind)
    base = beside.float_bundle(open_source(source), tmp_path / "bundle", recipe("none", kind))
    text = beside.texts(small_model.VOCABULARY, 12)[0]
    plain = read(opened(base), text)
    before = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in base.iterdir() if path.is_file()}
    enlarge(base, Additions(adapters=(adapters[0],)))
    enlarge(base, Additions(adapters=(adapters[1],)))
    after = {path.name: hashlib.sha256(path.read_bytes()).digest() for path in base.iterdir() if path.is_file()}
    assert {name for name, digest in after.items() if digest != before.get(name)} == {
        "manifest.json",
        *GRAPHS,
    }
    graph = opened(base)
    np.testing.assert_array_equal(read(graph, text), plain)
    for folder in adapters:
        merged = AdapterSource(open_source(source), folder)
        other = beside.float_bundle(merged, tmp_path / f"merged-{folder.name}", recipe("none", kind))
        wanted = read(opened(other), text)
        assert np.abs(wanted - plain).max() > 0.1
        np.testing.assert_allclose(read(graph, text, folder.name), wanted, atol=2e-4 * np.abs(wanted).max())


def test_an_adapter_has_the_branches_of_what_it_changes(tmp_path):
    """Those that change the same matrices share a graph; one that nobody has any more goes, with its memory."""
    weights = small_model.llama_weights()
    base = beside.float_bundle(
        open_source(small_model.write_checkpoint(tmp_path / "base", weights)), tmp_path / "bundle"
    )

    def add(name: str, modules: tuple[str, ...]) -> tuple[dict[str, str], int]:
        folder = tmp_path / f"of-{len(modules)}"
        folder.mkdir(exist_ok=True)
        adapters = (adapter(folder / name, weights, modules, len(modules)),)
        manifest = enlarge(base, Additions(adapters=adapters)).manifest
        assert {path.name for path in base.glob("*.onnx")} == {name for name in manifest.files if "onnx" in name[-4:]}
        return {each.name: each.graph for each in manifest.adapters}, manifest.memory_floor_bytes

    assert add("all", MODULES)[0] == {"all": ADAPTER_GRAPH}
    named, before = add("few", MODULES[:2])
    assert named == {"all": ADAPTER_GRAPH, "few": "adapters-1.onnx"}
    text = beside.texts(small_model.VOCABULARY, 12)[0]
    packed = Graph(Bundle(base, read_manifest(base)), 1, 3, tmp_path / "packed")
    np.testing.assert_array_equal(read(packed, text, "few"), read(opened(base), text, "few"))
    named, after = add("few", MODULES)
    assert named == {"all": ADAPTER_GRAPH, "few": ADAPTER_GRAPH}
    assert after < before
    assert sorted(path.name for path in base.glob("*.onnx")) == [TOGETHER_GRAPH, ADAPTER_GRAPH, GRAPH]


def test_the_command_makes_and_enlarges_bundles(tmp_path, capsys):
    """With the model, and later; the manifest tells of each, and what is ill-formed leaves all as it was."""
    source, adapters = checkpoint(tmp_path, "llama")
    words = ["--method", "rtn", "--context", "64", "--allow-loss", "--adapter", str(adapters[0]), "--keep-apart"]
    assert run([str(source), "-o", str(tmp_path / "bundle"), *words]) == 0, capsys.readouterr().err
    assert run([str(tmp_path / "bundle"), "--adapter", str(adapters[1]), "--keep-apart"]) == 0, capsys.readouterr().err
    manifest = open_bundle(tmp_path / "bundle").manifest
    first, second = manifest.adapters
    assert (first.name, first.rank, first.alpha, len(first.targets)) == ("first", 4, 8, 7)
    assert (second.name, second.rank, second.targets) == ("second", 20, ["k_proj", "v_proj"])
    assert run([str(tmp_path / "bundle"), "--adapter", str(adapters[1])]) == 1
    assert "--keep-apart" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_the_report_says_what_each_adapter_lost(tmp_path, kind):
    """Nothing beside weights in floats, something beside rounded ones; the bundle's own figures stay as they were."""
    source, adapters = checkpoint(tmp_path, kind)
    limits = {"kl_mean": 100, "top1_agreement": 0}
    figures = {}
    for method in ("none", "rtn"):
        changes = {"evaluation_tokens": 96, "limits": limits, "kv_cache": "float"}
        target = tmp_path / method
        with staging(target) as workshop:
            wanted = recipe(method, kind).model_validate(recipe(method, kind).model_dump() | changes)
            bundle = fill(
                workshop, open_source(source), wanted, target, False, lambda *_: None, adapters=tuple(adapters)
            )
        told = json.loads((target / "fidelity.json").read_text())
        assert set(told["adapters"]) == {"first", "second"}
        assert "| second | " in (target / "fidelity.md").read_text()
        figures[method] = bundle.manifest.fidelity
    for name in ("first", "second"):
        assert figures["none"][f"adapter_{name}_kl_mean"] < 1e-5 < figures["rtn"][f"adapter_{name}_kl_mean"]
        assert figures["none"][f"adapter_{name}_top1_agreement"] > 0.97
    assert figures["none"]["kl_mean"] < 1e-5


def test_each_adapter_has_questions_of_its_own(tmp_path):
    """As the bundle's prompts are answered with it, or those beside it; one that is answered otherwise is refused."""
    source, adapters = checkpoint(tmp_path, "llama")
    base = beside.float_bundle(
        open_source(source), tmp_path / "bundle", beside.FLOAT.model_copy(update={"prompts": ASKED})
    )
    (adapters[1] / "golden.json").write_text(json.dumps([{"prompt": "a", "contains": "nobody says this"}]))
    made = enlarge(base, Additions(adapters=(adapters[0],)))
    with pytest.raises(FidelityError, match="nobody says this"):
        enlarge(base, Additions(adapters=(adapters[1],)))
    assert read_manifest(base) == made.manifest
    engine, heard = BatchedEngine(base, Options(prefix_bytes=0)), []
    job = Job(1, [{"role": "user", "content": ASKED[0]}], 4, adapter="first")
    answer(engine, job, heard.append)
    for question in made.manifest.adapters[0].golden:
        assert question.prompt in ASKED
    word = "".join(heard)[:4].strip()
    own = [{"prompt": ASKED[0], "contains": word, "max_tokens": 4}]
    (adapters[0] / "golden.json").write_text(json.dumps(own))
    made = enlarge(base, Additions(adapters=(adapters[0],)))
    assert [each.model_dump() for each in made.manifest.adapters[0].golden] == own


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A float bundle to be added to."""
    folder = tmp_path_factory.mktemp("small")
    source = small_model.write_checkpoint(folder / "base", small_model.llama_weights())
    return beside.float_bundle(open_source(source), folder / "bundle")


@pytest.mark.parametrize("harm", HARMS)
def test_what_a_sum_does_not_carry_is_refused_by_name(small, tmp_path, harm):
    """As where an adapter is merged, and the bundle stays as it was."""
    tensors, config, _ = HARMS[harm]
    before = read_manifest(small)
    with pytest.raises(ExportError):
        enlarge(small, Additions(adapters=(write_adapter(tmp_path / "ill", tensors, **config),)))
    assert read_manifest(small) == before
    assert not (small / ADAPTER_GRAPH).exists()


def test_another_chat_template_is_refused(small, tmp_path):
    """Its answers would be asked for in other words than it was trained on."""
    folder = write_adapter(tmp_path / "other", pairs())
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(ExportError, match="another chat template"):
        enlarge(small, Additions(adapters=(folder,)))


def answers(engine: BatchedEngine, jobs: list[tuple[Job, list[int]]]) -> dict[int, list[float]]:
    """Log-probabilities of the answers to jobs that were submitted together."""
    for job, tokens in jobs:
        engine.submit(job, tokens)
    found = {}
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event.what, Finished):
                found[event.job_id] = [each["logprob"] for each in event.what.logprobs or []]
    return found


def test_rows_of_different_adapters_disturb_nobody(tmp_path):
    """Beside each other every answer is what it is alone, and what one has read another does not take for its own."""
    source, adapters = checkpoint(tmp_path, "llama")
    base = beside.float_bundle(open_source(source), tmp_path / "bundle")
    enlarge(base, Additions(adapters=tuple(adapters)))
    engine = BatchedEngine(base, Options(prefix_bytes=1 << 24, drafts=False))
    text = beside.texts(small_model.VOCABULARY, 70)[0]
    names = ["", "first", "second", "first", ""]
    jobs = [
        (Job(number, [], 12, top_logprobs=0, ignore_eos=True, adapter=name), text) for number, name in enumerate(names)
    ]
    together = answers(engine, jobs)
    for job, tokens in jobs:
        fresh = BatchedEngine(base, Options(prefix_bytes=0, drafts=False))
        np.testing.assert_allclose(together[job.id], answers(fresh, [(job, tokens)])[job.id], atol=2e-3)
        np.testing.assert_allclose(together[job.id], answers(engine, [(job, tokens)])[job.id], atol=2e-3)
    assert len({tuple(np.round(together[number], 2)) for number in (0, 1, 2)}) == 3


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="PEFT is not installed")
@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_logits_are_pefts(tmp_path, kind):
    """Each adapter, by PEFT's own forward pass over Transformers'."""
    import transformers
    from peft import PeftModel

    source, adapters = checkpoint(tmp_path, kind)
    base = beside.float_bundle(open_source(source), tmp_path / "bundle", recipe("none", kind))
    enlarge(base, Additions(adapters=tuple(adapters)))
    text, theirs = beside.texts(small_model.VOCABULARY, 40)[0], whole(tmp_path / "whole", kind)
    for folder in adapters:
        with beside.quiet():
            model = transformers.AutoModelForCausalLM.from_pretrained(theirs)
            wanted = beside.their_logits(PeftModel.from_pretrained(model, folder).eval(), text)
        ours = np.concatenate([read_last(opened(base), text[: count + 1], folder.name) for count in (4, 19, 39)])
        wanted = wanted[[4, 19, 39]]
        assert np.abs(ours - wanted).max() < beside.TOLERANCE * np.abs(wanted).max()


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("peft") is None, reason="PEFT is not installed")
@pytest.mark.parametrize("kind", ["llama", "phi3"])
def test_the_report_has_what_pefts_model_says(tmp_path, kind):
    """With an oracle: our reading of source and adapter is PEFT's, and what rounded weights lose is told."""
    source, adapters = checkpoint(tmp_path, kind)
    for shard in source.glob("model*"):
        shard.unlink()
    for file in whole(tmp_path / "whole", kind).iterdir():
        file.rename(source / file.name)
    changes = {"evaluation_tokens": 96, "limits": {"kl_mean": 100, "top1_agreement": 0}, "oracle": True}
    wanted = beside.FLOAT.model_validate(recipe("rtn", kind).model_dump() | changes)
    with staging(tmp_path / "made") as workshop:
        fill(
            workshop,
            open_source(source),
            wanted,
            tmp_path / "made",
            False,
            lambda *_: None,
            adapters=tuple(adapters),
        )
    told = json.loads((tmp_path / "made/fidelity.json").read_text())["adapters"]
    for name in ("first", "second"):
        assert told[name]["source"]["oracle"]["text"]["kl_mean"] < 1e-5
        assert told[name]["beside its base"]["oracle"]["text"]["kl_mean"] > 1e-4


def whole(folder: Path, kind: str) -> Path:
    """The same model in one file, as Transformers wants it, with its own kind of rope."""
    folder.mkdir()
    weights = small_model.llama_weights()
    weights = small_model.as_phi3(weights) if kind == "phi3" else weights
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    more = {"pad_token_id": 0, **PHI3} if kind == "phi3" else {"model_type": "llama"}
    (folder / "config.json").write_text(json.dumps({**small_model.CONFIG, **more}))
    return folder


def read_last(graph: Graph, tokens: list[int], name: str) -> np.ndarray:
    """Logits of the last position alone."""
    return graph.run(0, np.array([tokens], np.int64), np.zeros(1, np.int64), adapter=name)[0].copy()


def test_packed_weights_carry_the_branches(small, tmp_path):
    """What is written for this processor once and mapped from then on takes adapters as the bundle itself does."""
    text = beside.texts(small_model.VOCABULARY, 9)[0]
    folder = adapter(tmp_path / "one", small_model.llama_weights(), MODULES, 3)
    made = enlarge(small, Additions(adapters=(folder,)), tmp_path / "bundle")
    wanted = read(opened(made.path), text, "one")
    for _ in range(2):
        graph = Graph(made, 1, 3, tmp_path / "packed")
        np.testing.assert_array_equal(read(graph, text, "one"), wanted)
        assert not np.allclose(read(graph, text), wanted)
    assert len(list((tmp_path / "packed").iterdir())) == 1
