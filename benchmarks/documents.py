"""What is found in documents: whether it is what was asked for, what an index costs, and what a question adds."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import python_documents
from benchmarks.figure import Figure
from edge.bundle import read_manifest
from edge.documents import Found
from edge.documents.adding import add
from edge.documents.search import Index, open_index
from edge.engine.text.sentences import Sentences
from export.sentences.adding import Additions, enlarge
from export.sentences.known import KNOWN, folder_of

QUESTIONS = Path(__file__).with_name("documents_questions.tsv")
FOUND = 5
TEXT_BYTES = 10_000_000
SEARCHES = 200


@dataclass(frozen=True)
class Question:
    """places: documents that answer it, `#` and a word behind those that are long; none where none does."""

    text: str
    places: tuple[str, ...]

    def is_answered(self, found: list[Found]) -> bool:
        """Whether one of the pieces is from such a place."""
        named = [place.partition("#") for place in self.places]
        pieces = [each.piece for each in found]
        texts = [(piece.path, f"{piece.heading}\n{piece.text}") for piece in pieces]
        return any(where == path and word in text for where, text in texts for path, _, word in named)


def questions(first: int) -> list[Question]:
    """Every second of the file, from the first or the second on."""
    lines = [line for line in QUESTIONS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    rows = [line.split("\t") for line in lines[first::2]]
    return [Question(text, tuple(each for each in places.split() if each != "-")) for text, places in rows]


def measure(bundle: Path) -> list[Figure]:
    """Recall with both ranks and with words alone, what is said to be nothing; what 10 MB cost; a search.

    A bundle without an embedding model is given a known one for this.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if read_manifest(bundle).sentences is None:
            bundle = enlarge(bundle, Additions(folder_of(Path(next(iter(KNOWN))))), folder / "bundle").path
        found = _found(bundle, folder)
        large, cost = _large(bundle, folder)
        milliseconds = _searched(bundle, large)
    return [
        Figure("documents_recall_at_5", found["both"], "ratio", ">=", 0.9),
        Figure("documents_recall_over_words", round(found["both"] / found["words"], 3), "ratio", ">=", 1),
        Figure("documents_recall_at_5_words", found["words"], "ratio", ">=", 0),
        Figure("documents_nothing_told", found["nothing"], "ratio", ">=", 0.8),
        Figure("documents_nothing_false", found["false"], "ratio", "<=", 0.05),
        Figure("documents_index_seconds", cost["seconds"], "s", "<=", 60),
        Figure("documents_index_peak_mb", cost["peak_mb"], "MB", "<=", 300),
        Figure("documents_search_ms_p95", milliseconds, "ms", "<=", 50),
    ]


def _found(bundle: Path, folder: Path) -> dict[str, float]:
    """Shares of the questions that chose nothing."""
    model = Sentences.of(bundle, threads=0)
    assert model is not None
    python_documents.write(folder / "python")
    add(folder / "python", folder / "python.index", model.embed, model.digest, lambda *_: None)
    return shares(open_index(folder / "python.index"), model, questions(1))


def shares(index: Index, model: Sentences, asked: list[Question]) -> dict[str, float]:
    """Of questions that have an answer, how many get it, by both ranks and by words alone; what gets nothing."""
    both = [index.search(each.text, model.embed([each.text]), FOUND) for each in asked]
    words = [index.search(each.text, None, FOUND) for each in asked]
    answered = [place for place, each in enumerate(asked) if each.places]
    others = [place for place, each in enumerate(asked) if not each.places]
    return {
        "both": round(sum(asked[place].is_answered(both[place]) for place in answered) / len(answered), 3),
        "words": round(sum(asked[place].is_answered(words[place]) for place in answered) / len(answered), 3),
        "nothing": round(sum(not both[place] for place in others) / len(others), 3),
        "false": round(sum(not both[place] for place in answered) / len(answered), 3),
    }


def _large(bundle: Path, folder: Path) -> tuple[Path, dict[str, Any]]:
    """An index of 10 MB of text, made by the command in a process of its own."""
    chars = python_documents.write(folder / "large")
    library = Path(sysconfig.get_path("stdlib"))
    sources = sorted(path for path in library.rglob("*.py") if not {"site-packages", "test", "tests"} & set(path.parts))
    for number, source in enumerate(sources):
        if chars >= TEXT_BYTES:
            break
        shutil.copy(source, folder / "large" / f"source-{number}.txt")
        chars += source.stat().st_size
    words = ["add", str(folder / "large"), "--into", str(folder), "--bundle", str(bundle)]
    told = subprocess.run([sys.executable, "-m", __name__, *words], check=True, capture_output=True, text=True)
    return folder / "large.index", json.loads(told.stdout.splitlines()[-1])


def _searched(bundle: Path, path: Path) -> float:
    """Milliseconds from a question's words to its pieces, 95th percentile, with one thread as the engine has it."""
    model = Sentences.of(bundle)
    assert model is not None
    index, asked, times = open_index(path), questions(1), list[float]()
    for number in range(SEARCHES + 10):
        text = asked[number % len(asked)].text
        began = time.perf_counter()
        index.search(text, model.embed([text]), 8)
        times.append(time.perf_counter() - began)
    return round(1000 * sorted(times[10:])[int(0.95 * SEARCHES)], 1)


def main() -> None:
    """`edge documents …`, and as the last line of standard output what it took."""
    from edge.__main__ import main as edge

    began = time.monotonic()
    if edge(["documents", *sys.argv[1:]]):
        raise SystemExit("no index was made")
    seconds = time.monotonic() - began
    peak = max(_own_peak_kib(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    print(json.dumps({"seconds": round(seconds, 1), "peak_mb": round(peak * 1024 / 1e6, 1)}))


def _own_peak_kib() -> int:
    """Of this program alone: getrusage(2) would count what the one had that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


if __name__ == "__main__":
    main()
