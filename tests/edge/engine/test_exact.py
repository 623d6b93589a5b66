"""The second reader of tokens: exact, streamed without half characters, offline, and missed with a clear word."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Original

from benchmarks.token_forms import byte_level, phi3, spaces_as_marks, with_model, word_piece
from edge.engine.genai.reader import ELSEWHERE, GenaiReader
from edge.engine.genai.tokenizer import Tokenizer, special_tokens
from edge.engine.text.exact import ExactReader
from edge.engine.text.guidance import Vocabulary
from edge.errors import BundleError
from edge.testing import scripted_manifest
from tests.conftest import ROOT

KINDS = {
    "bytes": lambda: json.dumps(byte_level()),
    "spaces as marks": lambda: json.dumps(with_model(spaces_as_marks())),
    "phi3": lambda: phi3()["tokenizer.json"],
    "word pieces": lambda: json.dumps(word_piece()),
}
ANSWERS = ("Hello, world", "  two spaces", "\nline", "naïve 🙂👩‍🚀 日本語", "a\ufffdb", "\ufffd", "tab\t\n\n  1. x", "")


@pytest.fixture(params=KINDS, scope="module")
def both(request) -> tuple[ExactReader, Original]:
    """Ours, and the library's own."""
    told = KINDS[request.param]()
    return ExactReader(told), Original.from_str(told)


@pytest.mark.parametrize("text", ANSWERS)
def test_token_by_token_is_all_at_once(both, text):
    """A stream says what the library's decode says, the first token's space and U+FFFD itself included."""
    reader, original = both
    tokens = original.encode(text, add_special_tokens=False).ids
    stream = reader.stream()
    assert "".join(map(stream.decode, tokens)) == original.decode(tokens)
    assert reader.encode(text) == tokens


def test_no_half_characters(both):
    """Each piece is whole text: a character in several tokens comes with the last of them."""
    reader, original = both
    stream = reader.stream()
    pieces = [stream.decode(token) for token in original.encode("🙂🙂 日é", add_special_tokens=False).ids]
    assert "\ufffd" not in "".join(pieces)


def test_damaged_bytes_hold_nothing_up():
    """A model may say bytes that are no text; what comes behind them is told, and in a time that grows no faster."""
    reader = ExactReader(KINDS["spaces as marks"]())
    number, word = reader.id_of("<0xFF>"), reader.id_of("▁the")
    stream = reader.stream()
    begun = time.monotonic()
    text = "".join(stream.decode(token) for token in [*[number] * 5000, word])
    assert text == "\ufffd" * 5000 + " the"
    assert time.monotonic() - begun < 5


def test_control_tokens_say_nothing():
    """In a stream as in a text."""
    reader = ExactReader(KINDS["phi3"]())
    end, word = reader.id_of("<|end|>"), reader.id_of("▁Yes")
    stream = reader.stream()
    assert [stream.decode(token) for token in (end, word, end, word)] == ["", "Yes", "", " Yes"]
    assert reader.text([end]) == ""


def test_cuts_and_padding_are_not_taken_over():
    """A file that was saved with them would cut every prompt; Transformers sets both for each text anew."""
    cut = {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    reader = ExactReader(json.dumps({**byte_level(), "truncation": cut}))
    assert len(reader.encode("one two three four five six seven")) > 4


def test_it_loads_no_hub_client():
    """Reading a tokenizer imports nothing that could open a connection."""
    code = (
        "import sys; from edge.engine.text.exact import ExactReader; from pathlib import Path;"
        f"ExactReader(Path({str(ROOT / 'tests/data/phi3/tokenizer/tokenizer.json')!r}).read_text()).encode('x');"
        "assert not {'huggingface_hub', 'requests', 'httpx', 'urllib3', 'http.client'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_without_the_wheel(bundle, tmp_path):
    """A bundle that needs it says so and how to install it; one that does not is served, whatever its texts."""
    for name, text in phi3().items():
        (tmp_path / name).write_text(text)
    code = (
        "import sys; sys.modules['tokenizers'] = None\n"
        "from pathlib import Path\n"
        "from edge.engine.genai.tokenizer import Tokenizer\n"
        "from edge.errors import BundleError\n"
        "from edge.testing import scripted_manifest\n"
        f"try: Tokenizer(Path({str(tmp_path)!r}), scripted_manifest(tokenizer='tokenizers'))\n"
        "except BundleError as error: print(error, error.passes)\n"
        f"assert Tokenizer(Path({str(bundle)!r}), scripted_manifest()).ids('one\\x85 two')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert "pip install --no-deps 'tokenizers>=0.22,<1'" in done.stdout
    assert done.stdout.endswith("False\n")


def test_a_damaged_file_is_a_bundle_error():
    """And no traceback."""
    with pytest.raises(BundleError, match=r"tokenizers cannot read tokenizer\.json"):
        ExactReader("{}")


def test_characters_that_the_other_reader_has_elsewhere(bundle):
    """Each character of Unicode as this Python knows it: the same tokens, or one that is read exactly instead."""
    genai, exact = GenaiReader(bundle), ExactReader.of(bundle)
    every = (chr(number) for number in range(1, 0x32400) if not 0xD800 <= number < 0xE000)
    known = [each for each in every if each.isprintable() or each.isspace()]
    texts = [f"x{each}y 1{each}2  {each}" for each in known if not ELSEWHERE.match(each)]
    assert len(texts) > 100_000
    assert [text for text in texts[::7] if genai.encode(text) != exact.encode(text)] == []


def test_a_text_with_such_characters_is_read_exactly(bundle):
    """U+0085 and a letter of Unicode 14, in the middle of a conversation."""
    tokenizer = Tokenizer(bundle, scripted_manifest(context_length=2000))
    original = Original.from_file(str(bundle / "tokenizer.json"))
    for text in ("one\x85 two", "  \x85x", "x\u0870y", "a\x04b"):
        assert tokenizer.ids(text) == original.encode(text, add_special_tokens=False).ids


def test_a_grammar_knows_the_tokens_of_every_kind(both, tmp_path):
    """The vocabulary that an answer is held to spells what the reader's tokens add to a text."""
    reader, original = both
    file = tmp_path / "tokenizer.json"
    original.save(str(file))
    guide = Vocabulary(tmp_path, original.get_vocab_size(), [2]).guide({"const": 7}, may_be_text=False)
    allowed = [number for number in guide.allowed().nonzero()[0] if not reader.is_special(int(number))]
    assert allowed
    assert {reader.behind([int(number)]).strip() for number in allowed} <= {"7"}


def test_control_tokens_of_a_config():
    """As texts and with their flags; names that are not set are not there."""
    config = {
        "bos_token": {"content": "<s>", "lstrip": False},
        "eos_token": "</s>",
        "pad_token": None,
        "additional_special_tokens": ["<x>", {"content": "<y>"}],
        "add_bos_token": True,
    }
    told = {"bos_token": "<s>", "eos_token": "</s>", "additional_special_tokens": ["<x>", "<y>"]}
    assert special_tokens(config) == told


def test_old_bundles_are_read_as_before(bundle: Path):
    """A manifest that names no reader has onnxruntime-genai's."""
    assert scripted_manifest().tokenizer == "onnxruntime-genai"
    assert json.loads((bundle / "manifest.json").read_text()).get("tokenizer", "onnxruntime-genai") != "tokenizers"
