"""Answers counted by kind, and told: to the manifest, to programs, to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from export.golden import SURE_NATS
from export.tasks.given import Given
from export.tasks.questions import Question

ALL = "all"
"""The row that counts every kind."""


@dataclass(frozen=True)
class Count:
    """How many questions there are of a kind, and which of them are what.

    kept: those that the bundle answers as its source does. sure: those whose answer the source is sure of; sure_kept:
    those of them that are kept. right: those that the bundle answers rightly; right_source: those that the source does;
    right_both: those that both do.
    """

    questions: int = 0
    kept: int = 0
    sure: int = 0
    sure_kept: int = 0
    right: int = 0
    right_source: int = 0
    right_both: int = 0

    def and_one(self, source: Given, bundle: Given) -> Count:
        """With one question more."""
        kept = source.is_same(bundle)
        return Count(
            self.questions + 1,
            self.kept + kept,
            self.sure + source.is_sure,
            self.sure_kept + (kept and source.is_sure),
            self.right + bundle.is_right,
            self.right_source + source.is_right,
            self.right_both + (source.is_right and bundle.is_right),
        )


Tally = Mapping[str, Count]
"""By kind, in the order of their names, and ALL at the end; empty where nothing was asked."""


def tally(asked: Iterable[Question], source: Iterable[Given], bundle: Iterable[Given]) -> Tally:
    """Count what both answered."""
    counts: dict[str, Count] = {}
    for question, wanted, found in zip(asked, source, bundle, strict=True):
        for kind in (question.kind, ALL):
            counts[kind] = counts.get(kind, Count()).and_one(wanted, found)
    return dict(sorted(counts.items(), key=lambda each: (each[0] == ALL, each[0])))


def figures(counts: Tally) -> dict[str, float]:
    """The manifest's: how many questions, which share of them is kept, of the sure ones, too, and right."""
    if ALL not in counts:
        return {}
    whole = counts[ALL]
    shares = {
        "tasks_kept": whole.kept / whole.questions,
        "tasks_kept_sure": whole.sure_kept / whole.sure if whole.sure else 1.0,
        "tasks_right": whole.right / whole.questions,
        "tasks_right_source": whole.right_source / whole.questions,
    }
    return {"tasks_questions": float(whole.questions)} | {name: float(f"{each:.6g}") for name, each in shares.items()}


def table(counts: Tally) -> str:
    """A row a kind, as Markdown."""
    rows = [
        f"| {kind} | {each.questions} | {_share(each.kept, each.questions)} | {_share(each.sure_kept, each.sure)}"
        f" | {_share(each.right, each.questions)} | {_share(each.right_source, each.questions)} |"
        for kind, each in counts.items()
    ]
    head = "| questions | asked | kept | kept of the sure | right | source's |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _share(part: int, whole: int) -> str:
    """Both, and what they make."""
    return f"{part}/{whole} = {part / whole:.1%}" if whole else "–"


def write(folder: Path, counts: Tally) -> None:
    """Add to the report of a new bundle; of one whose texts were not measured it is all of the report."""
    file, told = folder / "fidelity.json", folder / "fidelity.md"
    values = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    values["tasks"] = {kind: asdict(each) for kind, each in counts.items()}
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    lines = [
        "Questions with answers that can be checked. *Kept* is the share that the bundle answers as its source does,",
        "right or wrong; a wrong answer is told by the token that leaves the right one. Of the sure ones each token of",
        f"the source's answer is {SURE_NATS:g} nat or more ahead of the next; the others are toss-ups. Each question",
        "follows others of its kind with their right answers.",
        "",
        table(counts),
        "",
    ]
    before = [told.read_text("utf-8")] if told.is_file() else []
    told.write_text("\n".join([*before, *lines]), encoding="utf-8")
