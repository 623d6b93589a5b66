"""What asking with documents adds before the model reads a token: find, embed, compose, and more to cut into tokens."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import python_documents
from benchmarks.figure import Figure
from edge.bundle import Bundle, read_manifest
from edge.documents.adding import add
from edge.engine import Job, Options
from edge.engine.batch.making import Making
from edge.engine.batch.row import Row
from edge.engine.genai.tokenizer import Tokenizer
from edge.engine.text.sentences import Sentences
from export.sentences.adding import Additions, enlarge
from export.sentences.known import KNOWN, folder_of

QUESTIONS = Path(__file__).with_name("documents_questions.tsv")
NAME, ROUNDS = "python", 3


def measure(bundle: Path) -> list[Figure]:
    """Questions of Python's documentation, by words and by meaning, an index of thousands of pieces."""
    with tempfile.TemporaryDirectory() as folder:
        made = enlarge(bundle, Additions(folder_of(Path(next(iter(KNOWN))))), Path(folder) / "bundle").path
        pieces = index(made, Path(folder))
        added = sorted(seconds(made, Path(folder)))
    line = f"  {len(added)} askings over {pieces} pieces: median {statistics.median(added) * 1000:.1f} ms"
    print(line, file=sys.stderr, flush=True)
    p95 = added[int(0.95 * len(added))]
    return [
        Figure("documents_asked_pieces", pieces, "pieces", ">=", 2000),
        Figure("documents_added_ms_p95", round(p95 * 1000, 1), "ms", "<=", 50),
    ]


def index(bundle: Path, folder: Path) -> int:
    """Python's documentation indexed; how many pieces it has."""
    python_documents.write(folder / "texts")
    sentences = Sentences.of(bundle, threads=0)
    assert sentences is not None
    place = folder / f"{NAME}.index"
    return add(folder / "texts", place, sentences.embed, sentences.digest, lambda *_: None).pieces


def seconds(bundle: Path, folder: Path) -> list[float]:
    """What documents add to each question, beyond what it takes by itself; the embedding model is loaded before."""
    opened, options = Bundle(bundle, read_manifest(bundle)), Options(documents_folder=str(folder))
    manifest = opened.manifest
    making = Making(opened, options, Tokenizer(bundle, manifest), manifest.context_length, manifest.vocab_size)
    asked = questions()
    taken(making, asked[0], NAME)
    return [taken(making, question, NAME) - taken(making, question, None) for _ in range(ROUNDS) for question in asked]


def questions() -> list[str]:
    """Those that the documents are asked to measure what is found."""
    lines = QUESTIONS.read_text(encoding="utf-8").splitlines()
    return [line.partition("\t")[0] for line in lines if line and not line.startswith("#")]


def taken(making: Making, question: str, documents: str | None) -> float:
    """Seconds until a question is ready to be read."""
    job = Job(1, [{"role": "user", "content": question}], 64, documents=documents, question=question)
    began = time.perf_counter()
    made = making.made(job, None)
    spent = time.perf_counter() - began
    if isinstance(made, Row) and documents and not made.sources:
        raise RuntimeError(f"nothing was put before {question!r}")
    return spent
