"""GGUF files beside what they were made from: llama.cpp's own vectors, and twins that its own converter made."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks import llama_cpp
from benchmarks.figure import Figure
from benchmarks.proofs import ROOT, TRACE
from edge.bundle import open_bundle
from edge.engine.genai.tokenizer import Tokenizer
from export.calibration_text import tokens_of
from export.download import default_cache
from export.errors import UnsupportedError
from export.pipeline import export_bundle
from export.recipe import Limits, Recipe
from export.source import open_source

SENTENCE_PIECE, MISTRAL = "sentencepiece==0.2.3", "mistral_common==1.13.1"
SEPARATOR = "\n__ggml_vocab_test__\n"
VOCABULARIES = 13
"""Of llama.cpp's with vectors; a WordPiece model's and Gemma 4's are refused by name."""
TWINS = ("phi3", "phimoe", "tinyllama", "mistral")
TOKENS = np.array([[5, 17, 31000, 3, 259, 9, 60, 22]])
MARKS = ("<s>", "</s>", "<|user|>", "<|end|>", "[INST]")
PIECES = [*"ab1½²Ⅷ٣ \n\t!'sd日é\u00a0—▁", "'ll", " x", "  ", "👩", "12345", *MARKS]
TEXTS = 1000
FLOATS = Recipe(
    licence="none",
    method="none",
    context_length=64,
    evaluation_tokens=64,
    prompts=(),
    limits=Limits(kl_mean=100, top1_agreement=0),
)


def measure(_bundle: Path) -> list[Figure]:
    """Vocabularies and twins that are read alike."""
    alike = sum(vectors_alike(file) for file in sorted(models().glob("ggml-vocab-*.gguf.inp")))
    with tempfile.TemporaryDirectory() as folder:
        twins = sum(are_equal(Path(folder), name) for name in made(Path(folder)))
    return [
        Figure("gguf_vectors_alike", alike, f"of {VOCABULARIES}", "==", VOCABULARIES),
        Figure("gguf_equals_folder", twins, f"of {len(TWINS)}", "==", len(TWINS)),
    ]


def models() -> Path:
    """Where llama.cpp keeps its vocabularies."""
    return llama_cpp.sources() / "models"


def vectors_alike(file: Path) -> bool:
    """Whether a vocabulary gives the tokens of every text that lies beside it; False where it is refused."""
    try:
        tokenizer = open_source(file.with_suffix("")).tokenizer_files["tokenizer.json"]
    except UnsupportedError:
        return False
    texts = file.read_text(encoding="utf-8").split(SEPARATOR)
    lines = file.with_suffix(".out").read_text(encoding="utf-8").splitlines()
    cases = zip(texts, lines, strict=False)
    return all(tokens_of(tokenizer, text).tolist() == list(map(int, line.split())) for text, line in cases)


def made(folder: Path) -> tuple[str, ...]:
    """The twins, each as a folder and as a file; RuntimeError where Transformers is not there."""
    if not TRACE.is_file():
        raise RuntimeError(f"{TRACE.parent.parent.name} is missing; `make trace-test` makes it")
    library, mistral = packages()
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{library}", "HF_HUB_OFFLINE": "1"}
    make = [str(TRACE), "-m", "benchmarks.gguf_twins", str(folder), str(llama_cpp.sources()), str(mistral)]
    subprocess.run(make, cwd=ROOT, env=environment, check=True, stdout=sys.stderr)
    for name in TWINS:
        convert = [str(TRACE), str(llama_cpp.sources() / "convert_hf_to_gguf.py"), str(folder / name), "--outtype=f16"]
        file = f"--outfile={folder / name}.gguf"
        subprocess.run([*convert, file], env=environment, check=True, stdout=sys.stderr)
    return TWINS


def packages() -> tuple[Path, Path]:
    """SentencePiece as a folder to import from, and the vocabularies that mistral_common carries; fetched once."""
    folder = default_cache() / "gguf-files"
    library, data = folder / "library", folder / "mistral_common/data"
    pip = [sys.executable, "-m", "pip"]
    if not library.is_dir():
        subprocess.run([*pip, "install", "--target", str(library), SENTENCE_PIECE], check=True, stdout=sys.stderr)
    if not data.is_dir():
        subprocess.run([*pip, "download", "--no-deps", "-d", str(folder), MISTRAL], check=True, stdout=sys.stderr)
        with zipfile.ZipFile(next(folder.glob("mistral_common-*.whl"))) as wheel:
            wheel.extractall(folder, [name for name in wheel.namelist() if name.startswith("mistral_common/data/")])
    return library, data


def are_equal(folder: Path, name: str) -> bool:
    """Whether both become bundles with the same logits, tokens and chat text."""
    sources = (folder / name, folder / f"{name}.gguf")
    ours, theirs = (
        export_bundle(open_source(source), FLOATS, folder / f"{name}-{number}", False, lambda *_: None).path
        for number, source in enumerate(sources)
    )
    same_texts = all(np.array_equal(*pair) for pair in zip(tokens(ours), tokens(theirs), strict=True))
    return same_texts and np.array_equal(logits(ours), logits(theirs))


def tokens(bundle: Path) -> Iterator[list[int]]:
    """Of awkward texts, and of a conversation."""
    reader, chance = Tokenizer(bundle, open_bundle(bundle).manifest), random.Random(0)
    for _ in range(TEXTS):
        yield reader.ids("".join(chance.choices(PIECES, k=chance.randint(1, 12))))
    yield reader.encode([{"role": "user", "content": "How many are 12 and  34?\n"}])


def logits(bundle: Path) -> NDArray[np.float32]:
    """Of a few tokens with nothing before them."""
    run = onnxruntime.InferenceSession(bundle / "model.onnx", providers=["CPUExecutionProvider"])
    past = [each for each in run.get_inputs() if each.name.startswith("past")]
    feed = {each.name: np.zeros((1, each.shape[1], 0, each.shape[3]), np.float32) for each in past}
    feed |= {"input_ids": TOKENS, "attention_mask": np.ones_like(TOKENS)}
    found: NDArray[np.float32] = run.run(["logits"], feed)[0]
    return found
