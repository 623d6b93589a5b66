"""Whether bundles read the tokens that `tokenizers` reads, over texts made to differ and every form of tokenizer."""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer as Original

from benchmarks.figure import Figure
from benchmarks.token_forms import TEMPLATE, Files, files, forms, smollm2
from edge.engine.genai.tokenizer import Tokenizer
from edge.testing import scripted_manifest
from export.tokenizer.serving import GENAI_CONFIG, Served, served
from export.tokenizer.texts import mixtures

COUNT = 10_000
SEED = 7
"""Others than the export looks at itself."""


def measure(bundle: Path) -> list[Figure]:
    """Differences over all forms, and how many there are."""
    every: dict[str, Callable[[], Files]] = dict(forms())
    every["SmolLM2 of its hub folder"] = partial(files, partial(smollm2, bundle))
    texts = list(mixtures(COUNT, ["<|im_end|>", "<s>", "<|end|>", "<|right|>"], SEED))
    readers: Counter[str] = Counter()
    differing = 0
    for name, made in every.items():
        source = made()
        found = served(source, TEMPLATE)
        count = differences(found, source, texts)
        print(f"{name}: {found.reader}, {count} of {len(texts)} differ", file=sys.stderr, flush=True)
        differing, readers = differing + count, readers + Counter([found.reader])
    return [
        Figure("tokens_differing_texts", differing, "texts", "==", 0),
        Figure("tokens_forms", len(every), "forms", ">=", 30),
        Figure("tokens_forms_without_the_wheel", readers["onnxruntime-genai"], "forms", ">=", 4),
    ]


def differences(found: Served, source: Files, texts: list[str]) -> int:
    """Texts that the engine cuts into other tokens than the source's own file, or gets back otherwise."""
    original = Original.from_str(source["tokenizer.json"])
    with tempfile.TemporaryDirectory() as name:
        tokenizer = opened(Path(name), found)
        return sum(differs(tokenizer, original, text) for text in texts)


def opened(folder: Path, found: Served) -> Tokenizer:
    """The engine's tokenizer over a folder that has as much of a bundle as it looks at."""
    for file, text in {**found.files, "genai_config.json": json.dumps(GENAI_CONFIG)}.items():
        (folder / file).write_text(text, encoding="utf-8")
    return Tokenizer(folder, scripted_manifest(tokenizer=found.reader, chat_template=TEMPLATE, context_length=100_000))


def differs(tokenizer: Tokenizer, original: Original, text: str) -> bool:
    """Whether the engine has other tokens, or streams another text for them."""
    wanted = original.encode(text, add_special_tokens=False).ids
    stream = tokenizer.stream()
    told = "".join(stream.decode(token) for token in wanted)
    return tokenizer.ids(text) != wanted or told != original.decode(wanted, skip_special_tokens=True)
