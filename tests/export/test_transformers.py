"""The fused graph, unquantised, beside Transformers: the same greedy tokens and chat texts. Needs the trace extra."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime_genai
import pytest
from safetensors.numpy import save_file

from benchmarks import phi_shape
from benchmarks.misread import as_folder
from benchmarks.phi_shape import DATA
from edge.bundle import read_manifest
from edge.engine import Finished, Job, Options
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.chat_template import render
from export.download import fetch
from export.pipeline import export_bundle
from export.recipe import Recipe, recipes
from export.source import Source, open_source

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("optimum") is None, reason="the trace extra is not installed"),
    pytest.mark.timeout(1500),
]
LENGTH = 24
QUESTIONS = ("What is the capital of France?", "Tell me a joke.", "Wie heißt die Hauptstadt von Österreich? 日本語も。")


def float_bundle(source: Source, target: Path, context: int, split: bool = False) -> Path:
    """The fused graph with the source's own weights in float32."""
    recipe = Recipe(
        licence="none",
        method="none",
        context_length=context,
        split_packed=split,
        prompts=(),
        evaluation_tokens=0,
    )
    return export_bundle(source, recipe, target, False, lambda *_: None).path


def our_tokens(bundle: Path, prompt: list[int], count: int) -> list[int]:
    """What onnxruntime-genai, the board's engine, says greedily."""
    model = onnxruntime_genai.Model(str(bundle))
    params = onnxruntime_genai.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=len(prompt) + count)
    generator = onnxruntime_genai.Generator(model, params)
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
    return [int(token) for token in generator.get_sequence(0)[len(prompt) :]]


def batched_tokens(bundle: Path, prompt: list[int], count: int) -> list[int]:
    """What our own engine says greedily, beside a short text that has the short factors throughout."""
    engine = BatchedEngine(bundle, Options(drafts=False))
    engine.submit(Job(2, [], 400, ignore_eos=True), [5, 6, 7])
    engine.submit(Job(1, [], count, ignore_eos=True), prompt)
    rows = []
    while not any(event.job_id == 1 and isinstance(event.what, Finished) for event in engine.step()):
        rows += [row for row in engine._slots if row.job.id == 1 and row not in rows]
    return rows[0].tokens[len(prompt) :]


def their_tokens(model: Any, prompt: list[int], count: int) -> list[int]:
    """What Transformers says greedily."""
    import torch

    with torch.no_grad():
        made = model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=count)
    return [int(token) for token in made[0][len(prompt) :]]


def until_stop(tokens: list[int], stops: list[int]) -> list[int]:
    """As far as both engines go on."""
    ends = [index for index, token in enumerate(tokens) if token in stops]
    return tokens[: ends[0]] if ends else tokens


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory) -> tuple[Source, Path]:
    """The default model's published weights: as they are read, and as a Hugging Face folder of the Llama family."""
    source = open_source(fetch(recipes()["smollm2-135m"]))
    folder = as_folder(source, tmp_path_factory.mktemp("smollm2"))
    return source, folder


def as_phi3(folder: Path, target: Path) -> Path:
    """The same model as a Phi-3: its projections packed."""
    from safetensors.numpy import load_file

    weights = load_file(folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    for index in range(config["num_hidden_layers"]):
        for packed, parts in (("self_attn.qkv", ("q", "k", "v")), ("mlp.gate_up", ("gate", "up"))):
            prefix, _, _ = packed.partition(".")
            names = [f"model.layers.{index}.{prefix}.{part}_proj.weight" for part in parts]
            weights[f"model.layers.{index}.{packed}_proj.weight"] = np.concatenate([weights.pop(n) for n in names])
    target.mkdir()
    save_file(weights, target / "model.safetensors")
    length = config["max_position_embeddings"]
    config |= {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "original_max_position_embeddings": length}
    (target / "config.json").write_text(json.dumps(config | {"pad_token_id": 2}))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(folder / name, target / name)
    return target


@pytest.mark.parametrize("family", ["llama", "phi3", "phi3-split"])
def test_smollm2_says_the_same(smollm2, tmp_path, family):
    """Real weights, as a Llama, as a Phi-3 and as a Phi-3 whose projections are split: token for token."""
    import transformers

    source, folder = smollm2
    if family != "llama":
        folder = as_phi3(folder, tmp_path / "phi3")
        source = open_source(folder)
    bundle = float_bundle(source, tmp_path / "bundle", 512, split=family == "phi3-split")
    tokenizer = Tokenizer(bundle, read_manifest(bundle))
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="float32", attn_implementation="eager")
    for question in QUESTIONS:
        prompt = tokenizer.encode([{"role": "user", "content": question}])
        ours, theirs = our_tokens(bundle, prompt, LENGTH), their_tokens(model, prompt, LENGTH)
        assert until_stop(ours, source.stop_token_ids) == until_stop(theirs, source.stop_token_ids)


@pytest.mark.parametrize("before", [4060, 4090, 4200], ids=["short", "crossing", "long"])
def test_phi_at_full_width_on_both_sides_of_position_4096(tmp_path_factory, before):
    """Two layers of Phi-3.5-mini at its true width: short factors, long ones, and an answer that needs both."""
    import transformers

    folder, bundle = full_width(tmp_path_factory)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype="float32", attn_implementation="sdpa", trust_remote_code=False
    )
    prompt = [int(token) for token in np.random.default_rng(before).integers(10, 32000, before)]
    wanted = their_tokens(model, prompt, 12)
    assert our_tokens(bundle, prompt, 12) == wanted
    assert batched_tokens(bundle, prompt, 12) == wanted


def full_width(factory: pytest.TempPathFactory, made: dict[str, tuple[Path, Path]] = {}) -> tuple[Path, Path]:  # noqa: B006
    """The checkpoint and its float bundle, made once."""
    if "phi" not in made:
        base = factory.mktemp("full-width")
        folder = phi_shape.write(base / "phi", layers=2)
        config = json.loads((folder / "config.json").read_text())
        config.pop("auto_map")
        (folder / "config.json").write_text(json.dumps(config))
        made["phi"] = folder, float_bundle(open_source(folder), base / "bundle", 4352)
    return made["phi"]


CONVERSATIONS = {
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "multi-turn": [
        {"role": "user", "content": "What is 2 + 2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "And 3 + 3?"},
    ],
    "unicode": [{"role": "user", "content": "naïve café – “quotes” 日本語 🙂 <|end|> \n\t\\n {{ x }}"}],
}


@pytest.mark.parametrize("conversation", CONVERSATIONS.values(), ids=CONVERSATIONS)
@pytest.mark.parametrize("template", ["phi-3.5", "phi-3", "smollm2"])
def test_the_chat_text_is_transformers_byte_for_byte(smollm2, conversation, template):
    """System, several turns, unicode; with the templates that are published for each."""
    import transformers

    folder = smollm2[1] if template == "smollm2" else DATA / "tokenizer"
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    text = tokenizer.chat_template
    if template == "phi-3.5":
        text = (folder / "Phi-3.5-mini-instruct.chat_template.jinja").read_text()
    theirs = tokenizer.apply_chat_template(conversation, chat_template=text, tokenize=False, add_generation_prompt=True)
    ours = render(text, conversation, {"bos_token": tokenizer.bos_token, "eos_token": tokenizer.eos_token})
    assert ours.encode() == theirs.encode()
