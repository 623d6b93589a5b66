"""Chat templates after what models publish: the texts are those of Transformers, byte for byte."""

from __future__ import annotations

import importlib.util
import json

import pytest

from edge.engine.text.chat_template import render
from edge.errors import BadRequest, BundleError
from tests.conftest import ROOT

CASES = json.loads((ROOT / "tests/data/chat_templates.json").read_text(encoding="utf-8"))
SPECIAL = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
    "additional_special_tokens": ["<x>", "<y>"],
}
QUESTION = [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_text_is_as_transformers_had_it(case):
    """The constants are what Transformers 4.57 and 5.24 gave."""
    assert render(case["template"], case["messages"], SPECIAL) == case["text"]


@pytest.mark.trace
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed")
def test_the_constants_are_transformers_own():
    """Of the installed one; Transformers 5 has no additional_special_tokens for templates."""
    import transformers
    from tokenizers import Tokenizer, models

    vocabulary = {token: number for number, token in enumerate(("a", "<s>", "</s>", "<pad>", "<unk>", "<x>", "<y>"))}
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.BPE(vocabulary, [])), **SPECIAL
    )  # fmt: skip
    is_new = int(transformers.__version__.split(".")[0]) > 4
    for case in CASES:
        if is_new and case["name"] == "additional special tokens":
            continue
        tokenizer.chat_template = case["template"]
        text = tokenizer.apply_chat_template(case["messages"], tokenize=False, add_generation_prompt=True)
        assert text == case["text"], case["name"]


def test_a_template_that_is_none():
    """A bundle's fault, not the asker's."""
    with pytest.raises(BundleError, match="not valid Jinja"):
        render("{% if %}", QUESTION)


REFUSING = ["{{ raise_exception('no') }}", "{{ cls_token + 'x' }}", "{{ 'x' + 1 }}", "{{ 1 // 0 }}", "{{ [][3].x }}"]


@pytest.mark.parametrize("template", REFUSING)
def test_a_template_that_refuses(template):
    """Whatever it stumbles over is told to the asker."""
    with pytest.raises(BadRequest, match="refuses these messages"):
        render(template, QUESTION)
