"""`edge bundle adopt`: folders as onnxruntime-genai's model builder writes them, from small random checkpoints.

`tests/data/genai-builder` holds six (`-p int4`), all served unchanged. Of version 0.18 for the CPU: a Llama, one with
keys and values in int8 a channel, a Phi-3 whose rotary factors change behind 48 tokens, and a Qwen 2 one of whose
layers looks back on 33, for which onnxruntime-genai keeps no more; for CUDA the Llama, in float16. `published` is of
version 0.3, whose files, names and operators Microsoft's `cpu-int4-rtn-block-32-acc-level-4` of Phi-3-mini-128k has.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import onnxruntime_genai as og
import pytest

from edge.__main__ import main
from edge.bundle import Bundle, Wishes, adopted, open_bundle, read_manifest
from edge.bundle.graph_header import read_header
from edge.commands.bundle_adopt import reader_of
from edge.commands.serve import served_from
from edge.config import Settings
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.engine import GenaiEngine
from edge.engine.graph.session import Graph
from edge.engine.opening import open_engine
from edge.errors import BundleError, ConfigError
from edge.service.trial import check_answers
from tests.clients import User
from tests.conftest import ROOT, embedded_broker, serving

BUILT = ROOT / "tests/data/genai-builder"
PLAIN = Options(prefix_bytes=0, drafts=False)
TEXTS = ("ABC", "the quick brown fox", "What does error E42 mean, and what is to be done about it, and by whom?")
ANSWER = 40


def adopt(folder: Path, *words: str) -> int:
    """`edge bundle adopt …`; its exit status."""
    return main(["bundle", "adopt", str(folder), *words])


def copied(kind: str, folder: Path) -> Path:
    """A builder's folder of our own."""
    return Path(shutil.copytree(BUILT / kind, folder / kind))


SWITCHES = {"llama": 0, "int8-cache": 0, "windowed": 0, "phi": 48, "published": 48}


@pytest.fixture(scope="module", params=SWITCHES)
def pair(request, tmp_path_factory) -> tuple[Path, Path]:
    """A builder's folder, and the bundle that it was adopted as."""
    target = tmp_path_factory.mktemp("adopted") / request.param
    assert adopt(BUILT / request.param, "-o", str(target), "--licence", "none") == 0
    return BUILT / request.param, target


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> Path:
    """The small Llama as a bundle."""
    target = tmp_path_factory.mktemp("adopted") / "llama"
    assert adopt(BUILT / "llama", "-o", str(target)) == 0
    return target


def generated(folder: Path, tokens: list[int], count: int = ANSWER) -> list[int]:
    """What onnxruntime-genai's own Generator says after a prompt, greedily."""
    model = og.Model(str(folder))
    params = og.GeneratorParams(model)
    params.set_search_options(max_length=len(tokens) + count, do_sample=False)
    generator = og.Generator(model, params)
    generator.append_tokens(tokens)
    while not generator.is_done():
        generator.generate_next_token()
    return [int(token) for token in generator.get_sequence(0)][len(tokens) :]


def said(engine, text: str, count: int = ANSWER, **options) -> str:
    """An engine's answer."""
    pieces: list[str] = []
    answer(engine, Job(1, [{"role": "user", "content": text}], count, **options), pieces.append)
    return "".join(pieces)


def test_the_folder_is_a_bundle_and_nothing_of_it_changed(pair):
    """Its files byte for byte, and a manifest that tells what they are; `verify` and `show` read it."""
    folder, bundle = pair
    for file in folder.iterdir():
        assert (bundle / file.name).read_bytes() == file.read_bytes()
    manifest = open_bundle(bundle).manifest
    stops = [1, 2] if folder.name == "published" else [2]
    assert (manifest.vocab_size, manifest.context_length, manifest.stop_token_ids) == (96, 128, stops)
    size = {"int8": 1, "float32": 4}[manifest.kv_cache]
    assert (manifest.kv_bytes_per_token, manifest.engine, manifest.fidelity) == (2 * 2 * 2 * 16 * size, "batched", {})
    assert (manifest.kv_cache == "int8") == (folder.name == "int8-cache")
    assert (manifest.quantization.bits, manifest.quantization.block_size) == (4, 32)
    assert manifest.rope_switch_length == SWITCHES[folder.name]
    for action in ("verify", "show"):
        assert main(["bundle", action, str(bundle)]) == 0


def test_greedy_answers_are_those_of_the_generator(pair):
    """Token for token: the batched engine, and onnxruntime-genai's as it is served; also across the rotary switch."""
    folder, bundle = pair
    stops = read_manifest(bundle).stop_token_ids
    for engine in (BatchedEngine(bundle, PLAIN), GenaiEngine(bundle, Options())):
        tokenizer = engine._tokenizer if isinstance(engine, GenaiEngine) else engine._making._tokenizer
        for text in TEXTS:
            tokens = tokenizer.encode([{"role": "user", "content": text}])
            if len(tokens) <= SWITCHES[folder.name] < len(tokens) + ANSWER:
                continue  # there genai goes on with keys of the short factors, and the batched engine reads anew
            wanted = generated(folder, tokens)
            assert said(engine, text) == tokenizer.text([token for token in wanted if token not in stops])


def test_a_served_folder_answers_as_the_generator(llama, tmp_path):
    """Over MQTT, by the daemon; also where its beginning is known, sampled with a seed, and held to a schema."""
    text = TEXTS[1]
    tokens = og.Tokenizer(str(BUILT / "llama")).encode(text)
    wanted = og.Tokenizer(str(BUILT / "llama")).decode(generated(BUILT / "llama", [int(each) for each in tokens]))
    with (
        embedded_broker(tmp_path) as port,
        serving(llama, port, tmp_path, EDGE_ENGINE__DRAFTS="false"),
        User(port, "edge/test/reply/me") as user,
    ):
        user.wait_online()
        sampled = {"seed": 1, "temperature": 1.0}
        for number, options in enumerate(({}, {}, sampled, sampled)):
            body = {"prompt": text, "max_tokens": ANSWER, "id": f"q{number}", **options}
            user.publish("edge/test/request/me", body)
        told = [user.answer(name=f"q{number}")[1]["text"] for number in range(4)]
        held = {"type": "json_object", "schema": {"enum": ["lamp", "tower"]}}
        user.publish("edge/test/request/me", {"prompt": text, "id": "held", "response_format": held})
        assert json.loads(user.answer(name="held")[1]["text"]) in ("lamp", "tower")
    assert told[0] == told[1] == wanted
    assert told[2] == told[3] != wanted


def test_rows_beside_each_other_and_known_beginnings(llama):
    """Three at once say what each says alone; what was read once is not read again, and guesses change nothing."""
    alone = BatchedEngine(llama, PLAIN)
    wanted = {number: said(alone, text, seed=0) for number, text in enumerate(TEXTS)}
    engine = BatchedEngine(llama, Options())
    for number, text in enumerate(TEXTS):
        engine.submit(Job(number, [{"role": "user", "content": text}], ANSWER, seed=0))
    found = dict.fromkeys(wanted, "")
    while not engine.is_idle:
        for event in engine.step():
            found[event.job_id] += event.what if isinstance(event.what, str) else ""
    assert found == wanted
    again = [answer(engine, Job(9, [{"role": "user", "content": TEXTS[2]}], 2)) for _ in range(2)]
    assert again[1].cached_tokens > 0


def test_rows_over_keys_and_values_in_int8(tmp_path):
    """As above: side by side, behind what is known, and with guesses."""
    assert adopt(BUILT / "int8-cache", "-o", str(tmp_path / "bundle")) == 0
    test_rows_beside_each_other_and_known_beginnings(tmp_path / "bundle")


def test_a_folder_for_cuda_in_float16(tmp_path):
    """The CPU has its operators: the tokens are those of the graph itself, run on, also side by side with others.

    Where the batched engine cannot run such a graph, nobody can.
    """
    folder, bundle = BUILT / "cuda", tmp_path / "bundle"
    assert adopt(folder, "-o", str(bundle)) == 0
    manifest = read_manifest(bundle)
    assert (manifest.kv_cache, manifest.kv_bytes_per_token, manifest.engine) == ("float16", 256, "batched")
    engine = BatchedEngine(bundle, PLAIN)
    for text in TEXTS:
        tokens = engine._making._tokenizer.encode([{"role": "user", "content": text}])
        assert said(engine, text) == engine._making._tokenizer.text(run_on(folder, tokens))
    test_rows_beside_each_other_and_known_beginnings(bundle)
    in_graph(copied("cuda", tmp_path), more_output)
    with pytest.raises(BundleError, match="computes in float16, and is not one that the batched engine runs"):
        adopted(tmp_path / "cuda", Wishes("x", "x"), reader_of)


def run_on(folder: Path, tokens: list[int]) -> list[int]:
    """What a graph says after a prompt, greedily: run by onnxruntime a token at a time, keys and values handed on."""
    run = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    names = [each.name for each in run.get_outputs()]
    past = {name.replace("present", "past_key_values"): np.zeros((1, 2, 0, 16), np.float16) for name in names[1:]}
    found: list[int] = []
    while len(found) < ANSWER:
        ids = [*tokens, *found]
        feed = {"input_ids": np.array([ids[-1:] if found else ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        made = dict(zip(names, run.run(None, feed | past), strict=True))
        past = {name.replace("present", "past_key_values"): each for name, each in made.items() if name != "logits"}
        token = int(made["logits"][0, -1].argmax())
        if token == 2:
            break
        found.append(token)
    return found


@pytest.mark.slow
def test_a_graph_of_another_name(llama, tmp_path):
    """As Microsoft calls its own; its weights are packed, too, and a token that opens a thought is known.

    Olive adds what its users want of the search.
    """
    folder = copied("llama", tmp_path)
    (folder / "model.onnx").rename(folder / "small-cpu-int4-rtn-block-32-acc-level-4.onnx")
    name = "small-cpu-int4-rtn-block-32-acc-level-4.onnx"
    change(folder, lambda told: told["model"]["decoder"].update(filename=name))
    change(folder, lambda told: told["model"].update(eos_token_id=[2, 1], bot_token_id=3, eot_token_id=4))
    change(folder, lambda told: told["search"].update(chunk_size=16, random_seed=3))
    assert adopt(folder, "--in-place", "--name", "small") == 0
    manifest = read_manifest(folder)
    assert (manifest.decoder, manifest.stop_token_ids) == (name, [1, 2])
    wanted = said(BatchedEngine(llama, PLAIN), TEXTS[1], 8)
    for _ in range(2):  # written, then mapped
        packing = replace(PLAIN, cache_folder=str(tmp_path / "cache"), packs=True)
        assert said(BatchedEngine(folder, packing), TEXTS[1], 8) == wanted
    assert (next((tmp_path / "cache/packed").iterdir()) / name).is_file()


def test_an_answer_that_is_cancelled(llama):
    """It ends, and what is beside it does not notice."""
    engine = BatchedEngine(llama, PLAIN)
    wanted = said(engine, TEXTS[0])
    for number in (1, 2):
        engine.submit(Job(number, [{"role": "user", "content": TEXTS[0]}], ANSWER))
    ended: dict[int, str] = {}
    found = {1: "", 2: ""}
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event.what, str):
                found[event.job_id] += event.what
            else:
                ended[event.job_id] = event.what.finish_reason
        if len(found[2]) > 3:
            engine.cancel(2)
    assert (ended[2], ended[1] != "cancelled") == ("cancelled", True)
    assert found[1] == wanted
    assert wanted.startswith(found[2])


@pytest.mark.slow
def test_it_stands_its_trial(llama):
    """Without questions of its own it has to answer at all, in a child of its own, its hashes looked at."""

    async def work() -> None:
        worker = served_from(Settings(device="test"), llama, "store").engine
        await worker.start()
        try:
            await check_answers(worker, read_manifest(llama).golden)
        finally:
            await worker.stop()

    asyncio.run(work())


def test_a_graph_that_is_told_positions(llama, tmp_path):
    """`position_ids`, which older folders read: the same logits, alone and in the second of two rows."""
    other = tmp_path / "told"
    shutil.copytree(BUILT / "llama", other)
    model = onnx.load(other / "model.onnx", load_external_data=False)
    shape = ["batch_size", "sequence_length"]
    model.graph.input.append(onnx.helper.make_tensor_value_info("position_ids", onnx.TensorProto.INT64, shape))
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            node.input[9] = "position_ids"
    (other / "model.onnx").write_bytes(model.SerializeToString())
    change(other, lambda told: told["model"]["decoder"]["inputs"].update(position_ids="position_ids"))
    assert adopt(other, "--in-place") == 0
    ids, seen = np.array([[7, 8, 9]]), np.zeros(1, np.int64)
    made = []
    for bundle in (llama, other):
        graph = Graph(Bundle(bundle, read_manifest(bundle)), 1, 2)
        for slot in (0, 1):
            graph.run(slot, ids, seen)
        made.append(graph.run(0, np.array([[5], [6]]), np.array([3, 3])).copy())
    assert np.array_equal(*made)


def change(folder: Path, what: Callable[[dict], object]) -> None:
    """Something in genai_config.json."""
    path = folder / "genai_config.json"
    told = json.loads(path.read_text())
    what(told)
    path.write_text(json.dumps(told))


def in_graph(folder: Path, what: Callable[[onnx.ModelProto], object]) -> None:
    """Something in the graph."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    what(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())


def elsewhere(model: onnx.ModelProto) -> None:
    """Its weights in a file beside the folder."""
    for each in model.graph.initializer:
        for entry in each.external_data:
            if entry.key == "location":
                entry.value = "../model.onnx.data"


def halve(model: onnx.ModelProto) -> None:
    """Keys and values in half precision."""
    for each in model.graph.input:
        if each.name.startswith("past"):
            each.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16


REFUSED = {
    "a library": (
        lambda path: change(path, lambda told: session(told).update(custom_ops_library="x.so")),
        "custom_ops_library: it would load a library",
    ),
    "a provider": (
        lambda path: change(path, lambda told: session(told).update(provider_options=[{"cuda": {}}, {"OpenVINO": {}}])),
        "folders made for the CPU are served",
    ),
    "a tower": (lambda path: change(path, lambda told: told["model"].update(vision={})), r"model\.vision"),
    "a pipeline": (
        lambda path: change(path, lambda told: told["model"]["decoder"].update(pipeline=[])),
        "cut into several graphs",
    ),
    "another kind": (lambda path: change(path, lambda told: told["model"].update(type="whisper")), "whisper"),
    "beams": (lambda path: change(path, lambda told: told["search"].update(num_beams=4)), "search.num_beams: 4"),
    "too many layers": (
        lambda path: change(path, lambda told: told["model"]["decoder"].update(num_hidden_layers=10**9)),
        "num_hidden_layers: 1000000000",
    ),
    "other layers": (
        lambda path: change(path, lambda told: told["model"]["decoder"].update(num_hidden_layers=3)),
        "the graph reads 4 keys and values",
    ),
    "another vocabulary": (
        lambda path: change(path, lambda told: told["model"].update(vocab_size=97)),
        "vocab_size of 97",
    ),
    "a file outside": (
        lambda path: change(path, lambda told: told["model"]["decoder"].update(filename="../model.onnx")),
        "an .onnx file of the folder",
    ),
    "weights outside": (lambda path: in_graph(path, elsewhere), r"weights in '../model.onnx.data'"),
    "half precision": (
        lambda path: in_graph(path, halve),
        "keeps keys and values as float16, float32; float32, float16, int8 are served",
    ),
    "a foreign operator": (
        lambda path: in_graph(path, lambda model: setattr(model.graph.node[-1], "domain", "my.own")),
        "my.own.MatMulNBits, an operator that onnxruntime does not bring",
    ),
    "half a graph": (
        lambda path: (path / "model.onnx").write_bytes((path / "model.onnx").read_bytes()[:-9]),
        "cannot be read as an ONNX graph",
    ),
    "a link": (lambda path: (path / "notes.txt").symlink_to("/etc/hostname"), "notes.txt is a link"),
    "a pipe": (lambda path: os.mkfifo(path / "notes.txt"), "notes.txt is not a regular file"),
    "no template": (lambda path: (path / "chat_template.jinja").unlink(), "--chat-template FILE"),
    "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), "tokenizer"),
    "no graph": (lambda path: (path / "model.onnx").unlink(), "model.onnx cannot be read: No such file"),
    "no config": (lambda path: (path / "genai_config.json").unlink(), "genai"),
}


def session(told: dict) -> dict:
    """Its session options."""
    found: dict = told["model"]["decoder"]["session_options"]
    return found


@pytest.mark.parametrize("harm", REFUSED)
def test_what_cannot_be_served_is_refused_by_name(tmp_path, harm, capsys):
    """And the folder stays without a manifest."""
    spoil, says = REFUSED[harm]
    folder = copied("llama", tmp_path)
    spoil(folder)
    assert adopt(folder, "--in-place") == 65
    told = capsys.readouterr().err
    assert re.search(says, told), told
    assert not (folder / "manifest.json").exists()


def test_any_bytes_in_place_of_a_graph(tmp_path):
    """Refused, or read, but nothing else: seeded changes of a real one."""
    real, chance = (BUILT / "phi/model.onnx").read_bytes(), np.random.default_rng(0)
    for number in range(100):
        spoiled = bytearray(real[: 400 + number * 100])
        for place in chance.integers(0, len(spoiled), 3):
            spoiled[place] = chance.integers(0, 256)
        (tmp_path / "model.onnx").write_bytes(spoiled)
        with suppress(BundleError):
            read_header(tmp_path / "model.onnx")


def test_a_graph_that_the_batched_engine_cannot_run(tmp_path):
    """Is served by onnxruntime-genai's, and refused by name where the other was asked for."""
    folder = copied("llama", tmp_path)
    in_graph(folder, more_output)
    assert adopt(folder, "--in-place", "--name", "other") == 0
    assert read_manifest(folder).engine == "genai"
    assert isinstance(open_engine(folder, Options()), GenaiEngine)
    with pytest.raises(ConfigError, match="leave engine"):
        open_engine(folder, Options(kind="batched"))


def more_output(model: onnx.ModelProto) -> None:
    """A further output: what the head reads."""
    made = model.graph.node[-1].input[0]
    model.graph.output.append(onnx.helper.make_tensor_value_info(made, onnx.TensorProto.FLOAT, None))


def test_the_reader_of_its_texts_is_the_one_that_is_right():
    """Both readers cut these letters alike."""
    assert reader_of(BUILT / "llama") == "onnxruntime-genai"


def test_options_of_adopting(tmp_path):
    """A context that is shorter, never longer; a template in a file; a bundle is not adopted again."""
    folder, template = copied("llama", tmp_path), tmp_path / "template"
    (folder / "chat_template.jinja").unlink()
    template.write_text("{{ messages[0].content }}!")
    assert adopt(folder, "--in-place", "--context-length", "129") == 65
    words = ("--context-length", "64", "--chat-template", str(template), "--version", "3")
    assert adopt(folder, "--in-place", *words) == 0
    manifest = read_manifest(folder)
    assert (manifest.context_length, manifest.chat_template, manifest.version) == (64, template.read_text(), "3")
    assert adopt(folder, "--in-place") == 2
