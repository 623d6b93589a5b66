"""The tokenizer of a GGUF header gives the tokens of the model's own, and keeps what its header says of each token."""

from __future__ import annotations

import json
import random

import pytest
from tokenizers import Regex, Tokenizer

from export.errors import ExportError, SourceError, UnsupportedError
from export.source import open_source
from export.tokenizer.cuts import CUTS
from export.tokenizer.vocabulary import HEADER
from tests.export import gguf_files
from tests.export.gguf_files import CONTROL, PHI3, USER_DEFINED

SEPARATOR = "\n__ggml_vocab_test__\n"
MARKS = ("<s>", "</s>", "<|user|>", "<|end|>")
PIECES = [*"ab1½²Ⅷ٣ \n\t!'sd日é\u00a0—▁", "'ll", " x", "  ", "\n\n", "👩", "12345", *MARKS]
PHI3_ADDED = json.loads((PHI3 / "tokenizer.json").read_text())["added_tokens"][3:]


def texts(count: int) -> list[str]:
    """Seeded strings of awkward pieces."""
    chance = random.Random(0)
    return ["".join(chance.choices(PIECES, k=chance.randint(1, 12))) for _ in range(count)]


def files(tmp_path, architecture="llama", **keys):
    """The tokenizer's files of a header with other tokenizer keys."""
    path = gguf_files.write(tmp_path / "x.gguf", architecture, gguf_files.sizes(architecture) | keys, {})
    return open_source(path).tokenizer_files


def tokenizer(made) -> Tokenizer:
    """As the library reads it."""
    return Tokenizer.from_str(made["tokenizer.json"])


@pytest.fixture(scope="module")
def phi3(tmp_path_factory):
    """Phi-3's header: the pieces of Llama 2 with their scores, its own added tokens, </s> a user's, and padding."""
    keys = gguf_files.pieces(token["content"] for token in PHI3_ADDED)
    keys["tokenizer.ggml.token_type"][2] = USER_DEFINED
    keys["tokenizer.ggml.tokens"] += [f"[PAD{number}]" for number in range(32011, 32064)]
    keys["tokenizer.ggml.scores"] += [-10000.0] * 53
    keys["tokenizer.ggml.token_type"] += [gguf_files.UNUSED] * 53
    return files(tmp_path_factory.mktemp("phi3"), "phi3", **keys | {"tokenizer.ggml.add_bos_token": False})


def test_phi_3s_is_the_published_one(phi3):
    """Merges, pieces, added tokens with their rules for white space, normalizer, decoder: all of tokenizer.json."""
    published = json.loads((PHI3 / "tokenizer.json").read_text())
    made = json.loads(phi3["tokenizer.json"])
    assert made["model"] == published["model"]
    assert made | {"post_processor": None} == published | {"post_processor": None}


def test_phi_3s_vectors(phi3):
    """llama.cpp's texts and the tokens that they must give."""
    read = tokenizer(phi3)
    given = (PHI3 / "tokenizer-vectors.inp").read_text().split(SEPARATOR)
    wanted = [list(map(int, line.split())) for line in (PHI3 / "tokenizer-vectors.out").read_text().splitlines()]
    assert len(wanted) > 40
    for text, ids in zip(given, wanted, strict=False):
        assert read.encode(text, add_special_tokens=False).ids == ids, repr(text)


def test_awkward_texts_are_read_as_the_published_one_reads_them(phi3):
    """Control tokens among white space, there and back."""
    ours, theirs = tokenizer(phi3), Tokenizer.from_file(str(PHI3 / "tokenizer.json"))
    for text in texts(2000):
        assert ours.encode(text).ids == theirs.encode(text).ids, repr(text)
        assert ours.decode(ours.encode(text).ids) == theirs.decode(theirs.encode(text).ids), repr(text)


def test_llama_2s_begins_with_bos_and_keeps_white_space(tmp_path):
    """Its added tokens swallow nothing; a text that is encoded whole begins with <s>, as the header's default is."""
    read = tokenizer(files(tmp_path, **gguf_files.pieces([])))
    assert read.encode("Hi").tokens == ["<s>", "▁Hi"]
    assert read.encode("Hi</s> there", add_special_tokens=False).tokens == ["▁Hi", "</s>", "▁", "▁there"]


def test_no_space_before_a_text(tmp_path):
    """add_space_prefix off."""
    keys = gguf_files.pieces([]) | {"tokenizer.ggml.add_space_prefix": False, "tokenizer.ggml.add_bos_token": False}
    read = tokenizer(files(tmp_path, **keys))
    assert read.encode("Hi there").tokens == ["Hi", "▁there"]
    assert read.decode(read.encode("Hi there").ids) == "Hi there"


def test_where_an_answer_ends(tmp_path):
    """eos, eot and eom, and the tokens that the template ends a turn with: Phi-3's header names <|endoftext|> alone."""
    keys = gguf_files.pieces(["<|endoftext|>", "<|end|>", "<|im_end|>"]) | {"tokenizer.ggml.eos_token_id": 32000}
    path = gguf_files.write(tmp_path / "x.gguf", "phi3", gguf_files.sizes("phi3") | keys, {})
    assert open_source(path).stop_token_ids == [32000, 32001]
    keys |= {"tokenizer.ggml.eot_token_id": 32002, "tokenizer.ggml.eom_token_id": 2, "tokenizer.chat_template": "x"}
    path = gguf_files.write(tmp_path / "y.gguf", "phi3", gguf_files.sizes("phi3") | keys, {})
    assert open_source(path).stop_token_ids == [2, 32000, 32002]


@pytest.mark.parametrize("pre", sorted(CUTS))
def test_every_kind_of_cut_is_read(tmp_path, pre):
    """`tokenizers` takes each expression, and every text comes back."""
    alphabet = sorted(byte_letters())
    keys = gguf_files.LETTERS | {
        "tokenizer.ggml.tokens": [*alphabet, "ab", "<|end|>"],
        "tokenizer.ggml.token_type": [1] * 257 + [CONTROL],
        "tokenizer.ggml.merges": ["a b"],
        "tokenizer.ggml.pre": pre,
    }
    read = tokenizer(files(tmp_path, **keys))
    for text in texts(50):
        assert read.decode(read.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text
    assert all(Regex(expression) for expression in CUTS[pre].expressions)


def byte_letters() -> set[str]:
    """The 256 letters that stand for bytes."""
    from tokenizers import pre_tokenizers

    return set(pre_tokenizers.ByteLevel.alphabet())


def test_llama_3_takes_a_token_whole(tmp_path):
    """`ignore_merges`: a piece that is a token is taken, though no merge leads to it; GPT-2 goes by its merges."""
    keys = gguf_files.LETTERS | {
        "tokenizer.ggml.tokens": [*sorted(byte_letters()), "hey", "<|end|>"],
        "tokenizer.ggml.token_type": [1] * 257 + [CONTROL],
        "tokenizer.ggml.merges": ["a b"],
    }
    keys["tokenizer.ggml.tokens"][0:1] = ["ab"]
    whole, merged = (tokenizer(files(tmp_path, **keys | {"tokenizer.ggml.pre": p})) for p in ("llama-bpe", "gpt-2"))
    assert whole.encode("hey", add_special_tokens=False).tokens == ["hey"]
    assert merged.encode("hey", add_special_tokens=False).tokens == ["h", "e", "y"]


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"model": "t5"}, "'t5' \\(a unigram model\\) is not read"),
        ({"model": "bert"}, "WordPiece"),
        ({"model": "rwkv"}, "greedy trie"),
        ({"model": "of-tomorrow"}, "unknown here"),
        ({"pre": "default"}, "does not say how its tokenizer cuts"),
        ({"pre": None}, "does not say how its tokenizer cuts"),
        ({"pre": "of-tomorrow"}, "gpt2/of-tomorrow is not read; known are"),
    ],
)
def test_kinds_that_are_not_read_are_named(tmp_path, keys, says):
    """What it is, and what is read."""
    changed = {f"tokenizer.ggml.{name}": value for name, value in keys.items()}
    kept = {name: value for name, value in (gguf_files.LETTERS | changed).items() if value is not None}
    with pytest.raises(UnsupportedError, match=says):
        files(tmp_path, **kept)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"tokens": []}, "no tokens"),
        ({"merges": []}, "no merges"),
        ({"merges": ["a \u2603"]}, "no two of its tokens"),
        ({"tokens": ["a"] * 97}, "the token 'a' twice, as 0 and 1"),
        ({"token_type": [1, 1]}, "should be 97 numbers"),
        ({"eos_token_id": 97}, "eos_token_id = 97 of 97 tokens"),
        ({"bos_token_id": 4000}, "bos_token_id = 4000"),
        ({"tokens": [1, 2, 3]}, "list of texts"),
    ],
)
def test_a_garbled_tokenizer_is_refused(tmp_path, keys, says):
    """The key is named."""
    changed = {f"tokenizer.ggml.{name}": value for name, value in keys.items()}
    with pytest.raises(SourceError, match=says):
        files(tmp_path, **gguf_files.LETTERS | changed)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"scores": [-1000.0] * 32000}, "every piece the same score"),
        ({"scores": [1.0]}, "should be 32000 numbers"),
        ({"unknown_token_id": 32000}, "unknown_token_id = 32000"),
        ({"remove_extra_whitespaces": True}, "remove_extra_whitespaces = True"),
    ],
)
def test_pieces_that_nobody_can_join(tmp_path, keys, says):
    """A converter without the scores writes the same one for all: what is joined first is lost."""
    changed = {f"tokenizer.ggml.{name}": value for name, value in keys.items()}
    with pytest.raises(ExportError, match=says):
        files(tmp_path, **gguf_files.pieces([]) | changed)


def test_a_padding_token_beyond_the_vocabulary_is_none(tmp_path):
    """Genuine headers have it; nothing hangs on it."""
    made = files(tmp_path, **gguf_files.pieces([]) | {"tokenizer.ggml.padding_token_id": 32000})
    assert "pad_token" not in json.loads(made["tokenizer_config.json"])


def test_pieces_that_nobody_uses(tmp_path):
    """One that nothing is joined to is left out; one in the middle of others cannot be, and refuses."""
    keys = gguf_files.pieces([])
    kinds = keys["tokenizer.ggml.token_type"]
    kinds[29871] = gguf_files.UNUSED  # a single letter: the space
    read = tokenizer(files(tmp_path, **keys))
    assert read.id_to_token(29871) is None
    kinds[400] = gguf_files.UNUSED
    with pytest.raises(UnsupportedError, match="which it calls unused"):
        files(tmp_path, **keys)


@pytest.mark.parametrize("kind", [gguf_files.UNKNOWN, CONTROL, USER_DEFINED, gguf_files.UNUSED])
def test_what_fills_a_vocabulary_is_no_token(tmp_path, kind):
    """[PAD32000] and so on, whatever a converter called them: no text has them."""
    keys = gguf_files.pieces(["[PAD32000]", "[PAD32001]"])
    keys["tokenizer.ggml.token_type"][-2:] = [kind, kind]
    read = tokenizer(files(tmp_path, **keys))
    assert read.token_to_id("[PAD32001]") is None
    assert len(read.encode("[PAD32001]", add_special_tokens=False).ids) > 5


def test_a_token_without_an_end(tmp_path):
    """A piece of a million letters is nobody's, and would take hours to cut in every way."""
    keys = gguf_files.pieces([])
    keys["tokenizer.ggml.tokens"][500] = "a" * 1_000_000
    with pytest.raises(SourceError, match="a token of 1000000 letters"):
        files(tmp_path, **keys)


def test_a_byte_that_is_missing(tmp_path):
    """Not every text could be spelled."""
    keys = gguf_files.pieces([])
    keys["tokenizer.ggml.tokens"][13] = "<0x0A >"
    with pytest.raises(SourceError, match="lack <0x0A>"):
        files(tmp_path, **keys)


def test_the_header_that_is_asked_for_is_known():
    """Every key that the tokenizer reads is one that the file's check lets pass."""
    from export.source.gguf.keys import USED_BY_TOKENIZER

    assert {f"ggml.{name}" for name in HEADER} <= USED_BY_TOKENIZER
