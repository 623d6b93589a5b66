"""What a folder of sentence-transformers says of its model: each key is read or known, or refused by its name.

Sources: sentence-transformers 2.2 to 5.1, `models/Transformer.py`, `models/Pooling.py`, `models/Normalize.py` and
`SentenceTransformer._load_sbert_model`; Transformers 4.57 and 5, `BertConfig`.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from export.errors import SourceError, UnsupportedError
from export.families.keys import ANSWERING, BOOKS, RUNNING, TRAINING, Key, Table, check_known, named
from export.families.values import number, whole
from export.source.shards import read_json

TOKENS_MAX = 8192
WIDTHS = 16
"""What the width is a multiple of, since words are stored in blocks."""
KEYS: Table = {
    **named(
        "it is read",
        "hidden_size intermediate_size num_hidden_layers num_attention_heads vocab_size max_position_embeddings"
        " type_vocab_size layer_norm_eps architectures pad_token_id bos_token_id eos_token_id",
    ),
    **BOOKS,
    **RUNNING,
    **TRAINING,
    **ANSWERING,
    **named("it counts in training alone", "attention_probs_dropout_prob hidden_dropout_prob"),
    **named("it is of the head that guesses words, which is not there", "tie_word_embeddings"),
    "model_type": Key("the graph is BERT's", ("bert",)),
    "hidden_act": Key("the graph has GELU by the error function", ("gelu",)),
    "position_embedding_type": Key("places are added once, before the first layer", ("absolute",)),
    **named("it is an encoder alone", "is_decoder is_encoder_decoder add_cross_attention tie_encoder_decoder", False),
    "pruned_heads": Key("every head is there", ({},)),
    "quantization_config": Key("weights that are rounded already would be rounded twice; export the original", ({},)),
}
POOLING: Table = {
    "word_embedding_dimension": Key("it is read"),
    "embedding_dimension": Key("it is read"),
    "pooling_mode_mean_tokens": Key("a text's vector is the mean of its tokens'", (True,)),
    "pooling_mode": Key("a text's vector is the mean of its tokens'", ("mean",)),
    **named(
        "a text's vector is the mean of its tokens'",
        "pooling_mode_cls_token pooling_mode_max_tokens pooling_mode_mean_sqrt_len_tokens"
        " pooling_mode_weightedmean_tokens pooling_mode_lasttoken",
        False,
    ),
    "include_prompt": Key("texts have no prompt before them"),
}
TRANSFORMER: Table = {
    "max_seq_length": Key("it is read"),
    "do_lower_case": Key("the tokenizer lowers letters, if anything does", (False,)),
}
NORMALIZE: Table = named("a text's vector is normalised", "module_input_name module_output_name", "sentence_embedding")
ALL: Table = {
    **named("it tells where the checkpoint is from", "__version__ model_type"),
    "prompts": Key("texts have no prompt before them unless they ask for one"),
    "similarity_fn_name": Key("vectors of length 1 are compared by their product", ("cosine", "dot")),
}
MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class Encoder:
    """A BERT that makes vectors of sentences. tokens_max: of a text, `[CLS]` and `[SEP]` among them."""

    layers: int
    width: int
    inner: int
    heads: int
    words: int
    places: int
    types: int
    epsilon: float
    tokens_max: int


def read_encoder(folder: Path) -> Encoder:
    """What a folder's files say. Raises SourceError or UnsupportedError, naming file and key."""
    modules = read_modules(folder)
    config = read_json(folder / "config.json")
    check_known(config, KEYS)
    sizes = {name: whole(config, key, most=1 << 24) for name, key in SIZES.items()}
    if config.get("model_type") != "bert" or "hidden_act" not in config:
        raise UnsupportedError("config.json should say model_type: 'bert' and hidden_act: 'gelu', and lacks one")
    if sizes["width"] % sizes["heads"]:
        raise SourceError(f"config.json: {sizes['heads']} heads do not share {sizes['width']} values evenly")
    if sizes["width"] % WIDTHS:
        raise UnsupportedError(
            f"config.json says hidden_size {sizes['width']}; only multiples of {WIDTHS} are exported"
        )
    check_pooling(folder, modules, sizes["width"])
    longest = tokens_max(folder, sizes["places"])
    return Encoder(**sizes, epsilon=number(config, "layer_norm_eps", below=1), tokens_max=longest)


SIZES = {
    "layers": "num_hidden_layers",
    "width": "hidden_size",
    "inner": "intermediate_size",
    "heads": "num_attention_heads",
    "words": "vocab_size",
    "places": "max_position_embeddings",
    "types": "type_vocab_size",
}


def read_modules(folder: Path) -> list[dict[str, Any]]:
    """modules.json: a Transformer, pooling and a normalisation, in this order, and nothing else."""
    try:
        modules = read_list(folder / "modules.json")
    except SourceError as error:
        raise SourceError(f"{error}; is {folder} a folder of sentence-transformers?") from error
    kinds = [_kind(each) for each in modules]
    for kind in kinds:
        if kind not in MODULES:
            raise UnsupportedError(f"modules.json has a module {kind}; only {', '.join(MODULES)} are exported")
    if kinds != list(MODULES):
        raise UnsupportedError(f"modules.json has {', '.join(kinds) or 'nothing'}; {', '.join(MODULES)} are exported")
    if modules[0].get("path", "") not in ("", "0_Transformer"):
        raise UnsupportedError(f"modules.json has the model in {modules[0]['path']!r}; it should lie in the folder")
    for each in modules:
        if more := set(each) - {"idx", "name", "path", "type"} - ({"kwargs"} if not each.get("kwargs") else set()):
            raise UnsupportedError(f"modules.json says {min(more)} of {_kind(each)}, which this program does not know")
    return modules


def _kind(module: Mapping[str, Any]) -> str:
    """`Pooling` of `sentence_transformers.models.Pooling`; a class of another package's keeps its whole name."""
    name = str(module.get("type", ""))
    return name.rsplit(".", 1)[-1] if name.startswith("sentence_transformers.") else reprlib.repr(name)


def read_list(file: Path) -> list[dict[str, Any]]:
    """The list of objects that a JSON file holds; SourceError where it holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise SourceError(f"{file} should hold a JSON list of objects")
    return value


def check_pooling(folder: Path, modules: Sequence[Mapping[str, Any]], width: int) -> None:
    """Pooling is the mean over the tokens, normalisation that of the text's vector, and no text has a prompt."""
    where = f"{modules[1].get('path')}/config.json"
    pooling = read_json(inside(folder, where))
    check_known(pooling, POOLING, where)
    if pooling.get("pooling_mode_mean_tokens") is not True and pooling.get("pooling_mode") != "mean":
        raise UnsupportedError(f"{where} says of no mean over the tokens, and nothing else is exported")
    said = pooling.get("embedding_dimension", pooling.get("word_embedding_dimension", width))
    if said != width:
        raise SourceError(f"{where} pools {reprlib.repr(said)} values of a token, but config.json says {width}")
    for name, table in (
        (f"{modules[2].get('path')}/config.json", NORMALIZE),
        ("config_sentence_transformers.json", ALL),
    ):
        if inside(folder, name).is_file():
            check_known(read_json(inside(folder, name)), table, name)


def inside(folder: Path, name: str) -> Path:
    """A file of the folder; SourceError for one elsewhere."""
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise SourceError(f"modules.json leads out of {folder}: {name}")
    return folder / name


def tokens_max(folder: Path, places: int) -> int:
    """Tokens of a text that the model reads: what the folder says, else what it can.

    Transformers takes the tokenizer's `model_max_length` where `max_seq_length` is absent.
    """
    where = "sentence_bert_config.json"
    said = read_json(folder / where) if (folder / where).is_file() else {}
    check_known(said, TRANSFORMER, where)
    if said.get("max_seq_length") is not None:
        return min(whole(said, "max_seq_length", where), places)
    where = "tokenizer_config.json"
    told = read_json(folder / where) if (folder / where).is_file() else {}
    longest = told.get("model_max_length")
    return min(places, longest if isinstance(longest, int) and longest > 0 else places, TOKENS_MAX)
