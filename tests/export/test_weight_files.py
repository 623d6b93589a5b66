"""Which files and tensors of a folder are the model: as Transformers chooses them, and nothing unread in silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.errors import ExportError
from export.plan import make_plan
from export.recipe import Recipe
from export.source import open_source
from export.source.adapter import AdapterSource
from tests.export import small_model
from tests.export.test_adapter import pairs, write_adapter

INDEX = "model.safetensors.index.json"
NAME, UP = "model.norm.weight", "model.layers.0.mlp.up_proj.weight"
RECIPE = Recipe(licence="none", context_length=64)


@pytest.fixture
def folder(tmp_path) -> Path:
    """The small Llama in two shards and their index."""
    return small_model.write_checkpoint(tmp_path / "llama", small_model.llama_weights())


def whole(folder: Path, **changes: np.ndarray | None) -> None:
    """The same in one file instead; a tensor that becomes None is left out."""
    weights = {**small_model.llama_weights(), **changes}
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    save_file({name: value for name, value in weights.items() if value is not None}, folder / "model.safetensors")


def config(folder: Path, **changes: object) -> None:
    """Another value in config.json."""
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def index(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    """The index's map of names to files, changed in its place."""
    said = json.loads((folder / INDEX).read_text())
    change(said["weight_map"])
    (folder / INDEX).write_text(json.dumps(said))


def other(file: Path, *names: str) -> None:
    """A file of other values for some tensors."""
    weights = small_model.llama_weights()
    save_file({name: weights[name] + 1 for name in names or weights}, file)


@pytest.mark.parametrize("beside", ["consolidated.safetensors", "model.fp16.safetensors", "zzz.safetensors"])
@pytest.mark.parametrize("is_whole", [True, False], ids=["one file", "shards"])
def test_what_lies_beside_the_weights_is_not_read(folder, beside, is_whole):
    """The alphabetically later file used to win; now it is told and left."""
    if is_whole:
        whole(folder)
    other(folder / beside)
    plan = make_plan(open_source(folder), RECIPE)
    np.testing.assert_array_equal(plan.source.tensor(UP), small_model.llama_weights()[UP])
    assert any(beside in note for note in plan.notes)


def test_one_whole_file_is_read_before_an_index(folder):
    """Transformers looks for model.safetensors first; the shards are what is left."""
    other(folder / "model.safetensors")
    plan = make_plan(open_source(folder), RECIPE)
    np.testing.assert_array_equal(plan.source.tensor(UP), small_model.llama_weights()[UP] + 1)
    assert "model-1.safetensors, model-2.safetensors" in plan.notes[0]


def misplaced(folder: Path) -> None:
    """The index says the other shard."""
    index(
        folder, lambda said: said.update({NAME: "model-1.safetensors" if "2" in said[NAME] else "model-2.safetensors"})
    )


def doubled(folder: Path) -> None:
    """Both shards hold a tensor."""
    name = json.loads((folder / INDEX).read_text())["weight_map"][NAME]
    second = folder / ("model-1.safetensors" if "2" in name else "model-2.safetensors")
    save_file({**load_file(second), NAME: np.ones(small_model.HIDDEN, np.float32)}, second)


def elsewhere(folder: Path) -> None:
    """A shard outside the folder."""
    other(folder.parent / "other.safetensors")
    index(folder, lambda said: said.update({NAME: "../other.safetensors"}))


def alone(folder: Path) -> None:
    """Weights under no name that Transformers knows."""
    whole(folder)
    (folder / "model.safetensors").rename(folder / "consolidated.safetensors")


def with_adapter(folder: Path) -> None:
    """A model with an adapter in its folder, which Transformers would merge."""
    save_file(pairs(), folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}")


def adapter_alone(folder: Path) -> None:
    """An adapter where a model should be."""
    with_adapter(folder)
    (folder / "config.json").unlink()


FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a tensor in another shard": (misplaced, f"holds {NAME}, which it does not"),
    "a tensor in two shards": (doubled, f"both hold {NAME}"),
    "a tensor outside the index": (lambda folder: index(folder, lambda said: said.pop(NAME)), f"{NAME}, of which"),
    "a shard outside the folder": (elsewhere, "no .safetensors file of this folder"),
    "a shard that is missing": (
        lambda folder: index(folder, lambda said: said.update({NAME: "model-3.safetensors"})),
        "model-3.safetensors is missing",
    ),
    "an empty index": (lambda folder: (folder / INDEX).write_text("{}"), "has no weight_map"),
    "an index that is none": (lambda folder: (folder / INDEX).write_text("[" * 99999), "cannot be read"),
    "weights of another name": (alone, "has neither model.safetensors nor"),
    "an adapter in the folder": (with_adapter, "pass the adapter with --adapter"),
    "an adapter alone": (adapter_alone, "holds an adapter alone"),
}


@pytest.mark.parametrize(("harm", "says"), FILES.values(), ids=FILES)
def test_files_that_contradict_each_other_are_named(folder, harm, says):
    """Where Transformers 4 and 5 would differ, or fail."""
    harm(folder)
    with pytest.raises(ExportError, match=says):
        make_plan(open_source(folder), RECIPE)


def ones(*shape: int) -> np.ndarray:
    """A tensor that says nothing."""
    return np.ones(shape, np.float32)


UNREAD: dict[str, tuple[str, np.ndarray]] = {
    "a bias": ("model.layers.0.self_attn.q_proj.bias", ones(small_model.HIDDEN)),
    "a norm of queries": ("model.layers.1.self_attn.q_norm.weight", ones(small_model.HEAD)),
    "an expert": ("model.layers.0.mlp.experts.0.up_proj.weight", ones(4, 4)),
    "a bias of the head": ("lm_head.bias", ones(96)),
    "a layer too many": ("model.layers.2.input_layernorm.weight", ones(small_model.HIDDEN)),
    "a scale of rounded weights": ("model.layers.0.mlp.up_proj.weight_scale", ones(1)),
    "a compiled model's name": ("_orig_mod.model.norm.weight", ones(small_model.HIDDEN)),
    "other frequencies": ("model.layers.0.self_attn.rotary_emb.inv_freq", ones(8)),
    "a picture tower": ("model.vision_embed_tokens.wte.weight", ones(96, 64)),
}


@pytest.mark.parametrize(("name", "value"), UNREAD.values(), ids=UNREAD)
def test_a_tensor_that_nobody_reads_is_named(folder, name, value):
    """Whatever the config says of it, or does not."""
    whole(folder, **{name: value})
    with pytest.raises(ExportError, match=f"nothing here reads.*{name}"):
        make_plan(open_source(folder), RECIPE)


@pytest.mark.parametrize("name", ["model.layers.1.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"])
def test_old_checkpoints_keep_their_frequencies(folder, name):
    """Those that are computed, here in float16, change nothing."""
    frequencies = small_model.THETA ** (-np.arange(0, small_model.HEAD, 2) / small_model.HEAD)
    whole(folder, **{name: frequencies.astype(np.float16)})
    make_plan(open_source(folder), RECIPE)


def test_a_head_beside_a_tied_embedding(folder):
    """The same values are the same model; others are two models, one to Transformers 4 and one to 5."""
    weights = small_model.llama_weights()
    config(folder, tie_word_embeddings=True)
    with pytest.raises(ExportError, match=r"lm_head.weight"):
        make_plan(open_source(folder), RECIPE)
    whole(folder, **{"lm_head.weight": weights["model.embed_tokens.weight"]})
    source = open_source(folder)
    make_plan(source, RECIPE)
    name = "base_model.model.lm_head.lora_"
    adapter = {f"{name}A.weight": ones(4, small_model.HIDDEN), f"{name}B.weight": ones(96, 4)}
    adapted = AdapterSource(source, write_adapter(folder.parent / "adapter", adapter, target_modules=["lm_head"]))
    with pytest.raises(ExportError, match=r"lm_head.weight"):
        make_plan(adapted, RECIPE)


def test_a_head_that_is_missing(folder):
    """Transformers would draw one at random."""
    whole(folder, **{"lm_head.weight": None})
    with pytest.raises(ExportError, match=r"has no tensor lm_head.weight"):
        make_plan(open_source(folder), RECIPE)


def test_a_bare_model(folder):
    """A base model's checkpoint has other names, and no head."""
    weights = small_model.llama_weights()
    for file in folder.glob("*.safetensors*"):
        file.unlink()
    save_file({name.removeprefix("model."): value for name, value in weights.items()}, folder / "model.safetensors")
    with pytest.raises(ExportError, match=r"it has embed_tokens.weight: export the whole model"):
        make_plan(open_source(folder), RECIPE)


def test_packed_projections_beside_their_parts(tmp_path):
    """A Phi-3 with a q_proj beside its qkv_proj is neither."""
    weights = small_model.llama_weights()
    both = {**small_model.as_phi3(weights), "model.layers.0.self_attn.q_proj.weight": ones(64, 64)}
    folder = small_model.write_checkpoint(tmp_path / "phi3", both, architectures=["Phi3ForCausalLM"])
    for split, says in ((True, "beside the projection that it is a part of"), (False, "nothing here reads")):
        with pytest.raises(ExportError, match=says):
            make_plan(open_source(folder), RECIPE.model_copy(update={"split_packed": split}))


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("changes", [{"num_key_value_heads": 1}, {"intermediate_size": 48}])
def test_a_packed_projection_with_rows_to_spare(tmp_path, split, changes):
    """Heads or widths that use only a part of what is packed leave the rest unread, taken apart or whole."""
    weights = small_model.as_phi3(small_model.llama_weights())
    folder = small_model.write_checkpoint(tmp_path / "phi3", weights, architectures=["Phi3ForCausalLM"], **changes)
    with pytest.raises(ExportError, match="by the config"):
        make_plan(open_source(folder), RECIPE.model_copy(update={"split_packed": split}))


def test_sampling_of_a_config_without_a_file_of_its_own(folder):
    """Transformers takes it from config.json where there is no generation_config.json."""
    config(folder, do_sample=True, temperature=0.7, top_p=None)
    assert open_source(folder).generation == {"do_sample": True, "temperature": 0.7}
    (folder / "generation_config.json").write_text("{}")
    assert open_source(folder).generation == {}
