"""A bundle reads the tokens that its model was trained on, whatever form its tokenizer has, or is not made."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer as Original
from tokenizers import decoders, models, pre_tokenizers, trainers

from benchmarks.token_forms import CUTS, TEMPLATE, byte_level, files, forms, trained, unigram
from benchmarks.tokens import differences, opened
from edge.bundle import open_bundle
from export.errors import SourceError, UnsupportedError
from export.pipeline import export_bundle
from export.recipe import Recipe
from export.source import open_source
from export.source.chat import chat_template_of
from export.tokenizer.serving import served
from export.tokenizer.special import FLAGS, completed, special_tokens
from export.tokenizer.texts import lines, mixtures
from tests.export import small_model

FORMS = dict(forms())
BY_GENAI = {
    "ByteLevel",
    "Digits one by one, ByteLevel",
    "Digits within a Sequence",
    "ByteLevel, ignore_merges",
    "SmolLM2 of its hub folder",
}
needs_transformers = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed"
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if place % 3 else []) for place, name in enumerate(FORMS)]
)
def test_the_engine_reads_what_tokenizers_reads(name):
    """On texts that the export did not look at, and read back token by token; who reads is as written down here."""
    source = FORMS[name]()
    found = served(source, TEMPLATE)
    assert differences(found, source, [*mixtures(400, ["<|im_end|>", "<s>", "<|right|>"], seed=3), *lines(50)]) == 0
    assert found.reader == ("onnxruntime-genai" if name in BY_GENAI else "tokenizers")


def test_an_answer_that_cannot_be_streamed_is_refused():
    """A decoder for which a word's last token differs from the same within."""
    tokenizer = Original(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Whitespace(), decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    told = trained(tokenizer, trainer)
    with pytest.raises(UnsupportedError, match="BPEDecoder"):
        served(files(lambda: told), TEMPLATE)


def test_a_file_that_is_none():
    """One sentence that names it."""
    for text in ("{", "[]", "{}", '{"model": {"type": "BPE"}}'):
        with pytest.raises(SourceError, match=r"tokenizer"):
            served({"tokenizer.json": text}, TEMPLATE)


def test_tokens_that_the_model_has_no_row_for():
    """An added one is read as the text that it is; one of the vocabulary says that the files are two models'."""
    told = byte_level()
    count = len(told["model"]["vocab"])
    padding = {"id": count, "content": "[PAD]", "special": True, "normalized": False}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    made = files(lambda: {**told, "added_tokens": [*told["added_tokens"], {**padding, **flags}]})
    assert "[PAD]" in served(made, TEMPLATE).files["tokenizer.json"]
    assert "[PAD]" not in served(made, TEMPLATE, count).files["tokenizer.json"]
    with pytest.raises(SourceError, match=f"the model has {count - 1} rows"):
        served(made, TEMPLATE, count - 1)


def checkpoint(folder: Path, template: str = small_model.TEMPLATE, **config) -> Path:
    """The small Llama; None takes a setting of its tokenizer away."""
    small_model.write_checkpoint(folder, small_model.llama_weights())
    settings = json.loads((folder / "tokenizer_config.json").read_text()) | {"chat_template": template} | config
    told = {name: value for name, value in settings.items() if value is not None}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    return folder


def exported(source: Path, target: Path):
    """Its bundle, opened as the daemon does."""
    recipe = Recipe(
        licence="none", method="none", context_length=64, split_packed=False, prompts=(), evaluation_tokens=0
    )  # fmt: skip
    return open_bundle(export_bundle(open_source(source), recipe, target, False, lambda *_: None).path)


def test_a_bundle_names_its_reader_and_its_tokens(tmp_path):
    """The manifest says who reads; tokenizer_config.json has every control token as a text, and one template."""
    source = checkpoint(tmp_path / "source", [{"name": "default", "template": TEMPLATE}], bos_token={"content": "#"})
    bundle = exported(source, tmp_path / "bundle")
    config = json.loads((bundle.path / "tokenizer_config.json").read_text())
    assert bundle.manifest.tokenizer == "tokenizers"  # the small one has no token for most bytes
    assert bundle.manifest.chat_template == config["chat_template"] == TEMPLATE
    assert (config["bos_token"], config["eos_token"]) == ("#", "!")


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{% for %}", "not valid Jinja"),
        ("{{ raise_exception('only with a picture') }}", "only with a picture"),
        ("{% for m in messages %}{% for part in m.content %}{{ part.text }}{% endfor %}{% endfor %}", "leaves out"),
        ("{{ bos_token + messages[0].content }}", "bos_token"),
    ],
)
def test_a_template_that_does_not_serve_refuses_the_export(tmp_path, template, says):
    """Before any weight is read."""
    source = checkpoint(tmp_path / "source", template, bos_token=None, tokenizer_class="PreTrainedTokenizerFast")
    for file in source.glob("*.safetensors"):  # whoever reads weights stumbles
        save_file({name: np.full_like(each, np.nan) for name, each in load_file(file).items()}, file)
    with pytest.raises(SourceError, match=says):
        exported(source, tmp_path / "bundle")


def write(folder: Path, **texts) -> Path:
    """A folder's files; a dict as JSON."""
    for name, text in texts.items():
        path = folder / {"config": "tokenizer_config.json", "processor": "chat_template.json"}.get(name, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return folder


PLACES = {
    "config": ({"config": {"chat_template": "a"}}, "a"),
    "file over config": ({"config": {"chat_template": "a"}, "chat_template.jinja": "b"}, "b"),
    "list": (
        {"config": {"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]}},
        "d",
    ),
    "folder beside a file": ({"chat_template.jinja": "b", "additional_chat_templates/tool_use.jinja": "t"}, "b"),
    "default in the folder": ({"additional_chat_templates/default.jinja": "f", "config": {"chat_template": "a"}}, "f"),
    "a processor's": ({"processor": {"chat_template": "p"}, "config": {}}, "p"),
    "a processor's behind the config": ({"processor": {"chat_template": "p"}, "config": {"chat_template": "a"}}, "a"),
    "none": ({"config": {}}, ""),
    "nothing at all": ({}, ""),
}


@pytest.mark.parametrize("case", PLACES)
def test_where_a_template_is_found(tmp_path, case):
    """In the order of Transformers."""
    texts, wanted = PLACES[case]
    assert chat_template_of(write(tmp_path, **texts)) == wanted


def test_templates_without_a_default(tmp_path):
    """Refused with the names that there are."""
    with pytest.raises(SourceError, match="rag, tool_use"):
        chat_template_of(
            write(tmp_path, config={"chat_template": [{"name": each, "template": "x"} for each in ("tool_use", "rag")]})
        )


TOLD = json.loads(json.dumps(byte_level()))
LEFT = {"lstrip": True, "rstrip": False, "single_word": False, "normalized": False}
CONFIGS = {
    "texts": ({"bos_token": "<|im_start|>", "eos_token": "<|im_end|>"}, {}),
    "flags": ({"bos_token": {"__type": "AddedToken", "content": "<|im_start|>"}, "pad_token": None}, {}),
    "the map alone": ({}, {"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>"}),
    "the map over the config": ({"bos_token": "<|im_end|>"}, {"bos_token": "<|im_start|>"}),
    "a token of the vocabulary": ({"eos_token": "the"}, {}),
    "additional": ({"additional_special_tokens": ["<|im_end|>", "ing"]}, {}),
    "listed": (
        {
            "eos_token": "<|im_end|>",
            "added_tokens_decoder": {
                "0": {"content": "<|im_start|>", "special": True},
                str(len(TOLD["model"]["vocab"])): {"content": "<new>", "special": False, "rstrip": True},
            },
        },
        {},
    ),
    "listed with other flags": (
        {"added_tokens_decoder": {"0": {**FLAGS, "content": "<|im_start|>", "lstrip": True, "rstrip": True}}},
        {},
    ),
    "named with flags": ({"bos_token": {"__type": "AddedToken", "content": "<new>", **LEFT}}, {"pad_token": "<pad>"}),
    "without a number": ({"pad_token": "<pad>", "additional_special_tokens": ["<new>"]}, {}),
}
OLD = {"<new>": 1500, "<pad>": 1501}
PREFIXES = {
    "by the config": ("GPT2Tokenizer", "ByteLevel", True),
    "not by the config": ("GPT2TokenizerFast", "ByteLevel, a space before", False),
    "by no word": ("GPT2Tokenizer", "ByteLevel, a space before", None),
    "within a Sequence": ("PreTrainedTokenizerFast", "Split as Llama 3", True),
}


@pytest.mark.trace
@needs_transformers
@pytest.mark.parametrize("case", CONFIGS)
def test_control_tokens_are_those_of_transformers(tmp_path, case):
    """Names and texts, and the ids of texts that have them."""
    from transformers import AutoTokenizer

    config, special_map = CONFIGS[case]
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": TEMPLATE, **config}
    write(tmp_path, **{"tokenizer.json": TOLD, "config": config, "special_tokens_map.json": special_map})
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    special = special_tokens(TOLD, config, special_map)
    assert special == dict(theirs.special_tokens_map)
    found = served({path.name: path.read_text() for path in tmp_path.iterdir()}, TEMPLATE)
    (tmp_path / "bundle").mkdir()
    ours = opened(tmp_path / "bundle", found)
    for text in mixtures(300, ["<|im_start|>", "<|im_end|>", "<new>", "<pad>", "the", "ing"], seed=5):
        assert ours.ids(text) == theirs.encode(text, add_special_tokens=False)


@pytest.mark.trace
@needs_transformers
def test_old_lists_of_added_tokens_are_those_of_transformers(tmp_path):
    """added_tokens.json, which counts where tokenizer_config.json lists none."""
    from transformers import AutoTokenizer

    config = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}
    write(tmp_path, **{"tokenizer.json": TOLD, "config": config, "added_tokens.json": OLD})
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    found = served({path.name: path.read_text() for path in tmp_path.iterdir()}, TEMPLATE)
    (tmp_path / "bundle").mkdir()
    ours = opened(tmp_path / "bundle", found)
    for text in mixtures(300, ["<|im_start|>", "<new>", "<pad>"], seed=6):
        assert ours.ids(text) == theirs.encode(text, add_special_tokens=False)


@pytest.mark.trace
@needs_transformers
@pytest.mark.parametrize("case", PREFIXES)
def test_a_space_before_a_text_is_where_transformers_puts_it(tmp_path, case):
    """Where tokenizer_config.json has the say: GPT-2's class, and no other in both versions."""
    from transformers import AutoTokenizer

    kind, cuts, asked = PREFIXES[case]
    config = {"tokenizer_class": kind, **({} if asked is None else {"add_prefix_space": asked})}
    write(tmp_path, **{"tokenizer.json": {**TOLD, "pre_tokenizer": CUTS[cuts]}, "config": config})
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    found = served({path.name: path.read_text() for path in tmp_path.iterdir()}, TEMPLATE)
    (tmp_path / "bundle").mkdir()
    ours = opened(tmp_path / "bundle", found)
    for text in mixtures(100, [], seed=7):
        assert ours.ids(text) == theirs.encode(text, add_special_tokens=False)


@pytest.mark.parametrize(
    ("kind", "told", "config", "says"),
    [
        ("PreTrainedTokenizerFast", TOLD, {"add_prefix_space": True}, "add_prefix_space: True"),
        ("LlamaTokenizer", FORMS["Prepend and Replace"], {"add_prefix_space": False}, "add_prefix_space: False"),
        ("PreTrainedTokenizerFast", TOLD, {"split_special_tokens": True}, "split_special_tokens"),
    ],
)
def test_a_config_that_contradicts_its_tokenizer_is_refused(kind, told, config, says):
    """Versions of Transformers read two tokenizers in it, or one that no chat template goes with."""
    told = told if isinstance(told, dict) else json.loads(told()["tokenizer.json"])
    made = {
        "tokenizer.json": json.dumps(told),
        "tokenizer_config.json": json.dumps({"tokenizer_class": kind, **config}),
    }
    with pytest.raises(UnsupportedError, match=says):
        served(made, TEMPLATE)


def test_control_tokens():
    """The everyday part of the same: the map goes over the config, unless that lists what was added."""
    assert special_tokens(TOLD, *CONFIGS["the map over the config"]) == {"bos_token": "<|im_start|>"}
    listed = {"bos_token": "<|im_end|>", "added_tokens_decoder": {}}
    assert special_tokens(TOLD, listed, {"bos_token": "<|im_start|>"}) == {"bos_token": "<|im_end|>"}
    gpt2 = {"tokenizer_class": "GPT2TokenizerFast"}
    assert special_tokens(TOLD, gpt2, {}) == {}  # its class's token is none of this vocabulary
    made = completed(TOLD, {}, {"eos_token": "the"})
    entry = next(each for each in made["added_tokens"] if each["content"] == "the")
    assert entry["special"]
    assert entry["id"] == TOLD["model"]["vocab"]["the"]
    made = completed(TOLD, {"extra_special_tokens": ["<new>"]}, {"pad_token": "<pad>"})
    ids = {"<|im_start|>": 0, "<|im_end|>": 1, "<pad>": 1500, "<new>": 1501}
    assert {each["content"]: each["id"] for each in made["added_tokens"]} == ids
    flags = {"added_tokens_decoder": {"0": {**FLAGS, "content": "<|im_start|>", "rstrip": True, "special": False}}}
    (first, *_) = completed(TOLD, flags, {})["added_tokens"]
    assert (first["rstrip"], first["special"]) == (True, True)


def test_added_tokens_of_an_old_folder(tmp_path):
    """Its added_tokens.json is read with the other files, and left where tokenizer_config.json lists tokens."""
    source = checkpoint(tmp_path / "source")
    (source / "added_tokens.json").write_text(json.dumps({"<new>": small_model.VOCABULARY}))
    for config, is_there in (({}, True), ({"added_tokens_decoder": {}}, False)):
        (source / "tokenizer_config.json").write_text(json.dumps(config))
        found = served(open_source(source).tokenizer_files, small_model.TEMPLATE)
        assert ("<new>" in found.files["tokenizer.json"]) == is_there


@pytest.mark.trace
@needs_transformers
@pytest.mark.parametrize("name", [name for name in FORMS if "Phi-3" not in name])
def test_ids_are_those_of_transformers(tmp_path, name):
    """What `AutoTokenizer` gives for the same folder; Phi-3's published folder is another matter in Transformers 5."""
    from transformers import AutoTokenizer

    write(tmp_path, **FORMS[name]())
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    found = served(FORMS[name](), TEMPLATE)
    (tmp_path / "bundle").mkdir()
    ours = opened(tmp_path / "bundle", found)
    for text in mixtures(150, [], seed=9):
        assert ours.ids(text) == theirs.encode(text, add_special_tokens=False), text


def test_a_metaspace_decoder_is_spelled_out():
    """Schemas need it: llguidance reads the steps and not the short form."""
    assert unigram()["decoder"]["type"] == "Metaspace"
    found = served(files(unigram), TEMPLATE)
    assert json.loads(found.files["tokenizer.json"])["decoder"]["type"] == "Sequence"
