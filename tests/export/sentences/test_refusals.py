"""What the export of an embedding model does not understand is refused by its name, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.errors import ExportError, SourceError, UnsupportedError
from export.sentences.make import make
from tests.export.sentences import small_bert
from tests.export.sentences.small_bert import MODULES, change

ROBERTA = {"model_type": "roberta"}


def modules(*wanted: dict[str, object]) -> Callable[[Path], None]:
    """modules.json with other modules."""
    return lambda folder: (folder / "modules.json").write_text(json.dumps(wanted)) and None


def tensors(**changes: np.ndarray | None) -> Callable[[Path], None]:
    """The weights with some tensors more, or without those that are None; two underscores are a dot."""

    def done(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        held |= {name.replace("__", "."): value for name, value in changes.items()}
        save_file({name: value for name, value in held.items() if value is not None}, folder / "model.safetensors")

    return done


def config(**changes: object) -> Callable[[Path], None]:
    """config.json with other values."""
    return lambda folder: change(folder, "config.json", **changes)


def other(name: str, **changes: object) -> Callable[[Path], None]:
    """Another JSON file with other values; made where it is not there."""

    def done(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        if not (folder / name).exists():
            (folder / name).write_text("{}")
        change(folder, name, **changes)

    return done


def gone(name: str) -> Callable[[Path], None]:
    """Without a file."""
    return lambda folder: (folder / name).unlink()


DENSE = {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
FOREIGN = {"idx": 0, "name": "0", "path": "", "type": "somebody.Transformer"}
NOT_A_NUMBER = np.full((64,), np.nan, np.float32)
CASES: dict[str, tuple[Callable[[Path], None], type[ExportError], str]] = {
    "another model": (config(model_type="roberta"), UnsupportedError, "model_type: 'roberta'"),
    "no model type": (config(model_type=None), UnsupportedError, "model_type"),
    "another activation": (config(hidden_act="gelu_new"), UnsupportedError, "hidden_act: 'gelu_new'"),
    "no activation": (config(hidden_act=None), UnsupportedError, "hidden_act"),
    "relative places": (
        config(position_embedding_type="relative_key"),
        UnsupportedError,
        "position_embedding_type: 'relative_key'",
    ),
    "a decoder": (config(is_decoder=True), UnsupportedError, "is_decoder"),
    "a key nobody knows": (config(embedding_size=32), UnsupportedError, "embedding_size"),
    "heads that do not fit": (config(num_attention_heads=5), SourceError, "5 heads"),
    "an odd width": (config(hidden_size=72), UnsupportedError, "hidden_size 72"),
    "no sizes": (config(num_hidden_layers=None), SourceError, "num_hidden_layers"),
    "rounded already": (config(quantization_config={"bits": 4}), UnsupportedError, "quantization_config"),
    "no modules": (gone("modules.json"), SourceError, "modules.json"),
    "another module": (modules(*MODULES[:2], DENSE), UnsupportedError, "a module Dense"),
    "a foreign class": (modules(FOREIGN, *MODULES[1:]), UnsupportedError, "somebody.Transformer"),
    "not normalised": (modules(*MODULES[:2]), UnsupportedError, "Transformer, Pooling"),
    "out of the folder": (
        modules(MODULES[0], {**MODULES[1], "path": "../.."}, MODULES[2]),
        SourceError,
        "leads out of",
    ),
    "a module's own words": (modules({**MODULES[0], "kwargs": {"a": 1}}, *MODULES[1:]), UnsupportedError, "kwargs"),
    "the first token alone": (
        other("1_Pooling/config.json", pooling_mode_cls_token=True),
        UnsupportedError,
        "pooling_mode_cls_token",
    ),
    "no mean": (other("1_Pooling/config.json", pooling_mode_mean_tokens=None), UnsupportedError, "no mean"),
    "the newer word for the last token": (
        other("1_Pooling/config.json", pooling_mode="lasttoken"),
        UnsupportedError,
        "pooling_mode: 'lasttoken'",
    ),
    "another width pooled": (other("1_Pooling/config.json", word_embedding_dimension=32), SourceError, "pools 32"),
    "a norm of something else": (
        other("2_Normalize/config.json", module_input_name="token_embeddings"),
        UnsupportedError,
        "module_input_name",
    ),
    "a prompt before every text": (
        other("config_sentence_transformers.json", default_prompt_name="query"),
        UnsupportedError,
        "default_prompt_name",
    ),
    "vectors cut short": (
        other("config_sentence_transformers.json", truncate_dim=8),
        UnsupportedError,
        "truncate_dim",
    ),
    "lowered twice": (other("sentence_bert_config.json", do_lower_case=True), UnsupportedError, "do_lower_case"),
    "no length": (other("sentence_bert_config.json", max_seq_length=0), SourceError, "max_seq_length"),
    "no weights": (gone("model.safetensors"), SourceError, "no .safetensors file"),
    "a tensor too few": (
        tensors(encoder__layer__1__output__dense__bias=None),
        SourceError,
        "encoder.layer.1.output.dense.bias",
    ),
    "a tensor too many": (tensors(adapter__weight=np.ones(4, np.float32)), UnsupportedError, "adapter.weight"),
    "another shape": (
        tensors(encoder__layer__0__output__dense__bias=np.ones(63, np.float32)),
        SourceError,
        "encoder.layer.0.output.dense.bias",
    ),
    "no number": (tensors(encoder__layer__0__output__dense__bias=NOT_A_NUMBER), SourceError, "not finite"),
    "no tokenizer": (gone("tokenizer.json"), SourceError, "tokenizer.json"),
    "another tokenizer": (
        other("tokenizer.json", model={"type": "BPE", "vocab": {"a": 0}, "merges": []}),
        UnsupportedError,
        "'BPE'",
    ),
    "nothing before and behind a text": (
        other("tokenizer.json", post_processor=None),
        UnsupportedError,
        "post_processor",
    ),
    "tokens without rows": (config(vocab_size=1000), SourceError, "vocab_size, 1000"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused_by_name(case, tmp_path):
    """In one sentence, with nothing left behind."""
    spoil, kind, words = CASES[case]
    folder, bundle = small_bert.write(tmp_path / "model"), tmp_path / "bundle"
    bundle.mkdir()
    spoil(folder)
    with pytest.raises(kind) as told:
        make(folder, bundle)
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    assert list(bundle.iterdir()) == []


def test_the_folder_itself_is_taken(tmp_path):
    """The one that every case above spoils."""
    folder, bundle = small_bert.write(tmp_path / "small-bert"), tmp_path / "bundle"
    bundle.mkdir()
    said = make(folder, bundle)
    assert (said.name, said.dimensions, said.tokens_max, said.licence) == ("small-bert", 64, 32, "apache-2.0")
    assert sorted(path.name for path in (bundle / "sentences").iterdir()) == ["model.onnx", "tokenizer.json"]
