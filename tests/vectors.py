"""A bundle that brings a small embedding model in floats, and the vectors that Transformers makes with it."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from edge.bundle import MANIFEST, SENTENCE_GRAPH, SENTENCE_TOKENIZER, read_manifest
from export.sentences.adding import entry
from export.sentences.make import make
from tests.export.sentences import small_bert

STORED = Path(small_bert.__file__).with_name("small_bert_vectors.json")
"""Of `small_bert.TEXTS`, by Transformers 4.57 and a mean over tokens; test_transformers.py makes them anew."""


WORDS = "a short question the import statement finds module loads where is not there binds its name over and again"


def small(folder: Path) -> Path:
    """The model's folder, with a vocabulary that is always the same, as one that is trained is not."""
    made = small_bert.write(folder)
    model = json.loads((made / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    marks = {name: number for name, number in model["vocab"].items() if name.startswith("[") and len(name) > 1}
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [*letters, *(f"##{letter}" for letter in letters), *dict.fromkeys(WORDS.split()[1:])]
    vocabulary = marks | {piece: number for number, piece in enumerate(pieces, 3)}
    small_bert.change(made, "tokenizer.json", model={**model, "vocab": vocabulary})
    return made


def bringing(bundle: Path, room: Path, source: Path | None = None) -> Path:
    """A copy of a bundle, of links, with the model. source: the folder of another one."""
    made = room / "bundle-with-vectors"
    made.mkdir()
    manifest = read_manifest(bundle)
    for name in manifest.files:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        os.link((bundle / name).resolve(), made / name)
    said = make(source or small(room / "small-bert"), made, rounds=False)
    added = {name: entry(made / name) for name in (SENTENCE_GRAPH, SENTENCE_TOKENIZER)}
    more = manifest.model_copy(update={"sentences": said, "files": {**manifest.files, **added}})
    (made / MANIFEST).write_text(more.text(), encoding="utf-8")
    return made


def stored() -> Any:
    """Transformers' vectors, `[texts, 64]`."""
    return np.array(json.loads(STORED.read_text(encoding="utf-8")), np.float32)


def unpacked(vectors: list[str]) -> Any:
    """Vectors that came in base64."""
    return np.array([np.frombuffer(base64.b64decode(each), "<f4") for each in vectors])
