"""Answers counted by kind, and told: to the manifest, to programs, to people."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from export.tasks.given import Given
from export.tasks.questions import Question

ALL = "all"
"""The row that counts every kind."""


@dataclass(frozen=True)
class Count:
    """Of some questions. kept: those that the bundle answers as its source does. right: those that it answers rightly,
    and right_source: those that the source does.
    """

    questions: int = 0
    kept: int = 0
    right: int = 0
    right_source: int = 0

    def and_one(self, source: Given, bundle: Given) -> Count:
        """With one question more."""
        return Count(
            self.questions + 1,
            self.kept + (source == bundle),
            self.right + bundle.is_right,
            self.right_source + source.is_right,
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
    """The manifest's: how many questions, and the shares of all of them that are kept and right."""
    if ALL not in counts:
        return {}
    whole = counts[ALL]
    shares = {"tasks_kept": whole.kept, "tasks_right": whole.right, "tasks_right_source": whole.right_source}
    return {
        "tasks_questions": float(whole.questions),
        **{name: float(f"{value / whole.questions:.6g}") for name, value in shares.items()},
    }


def table(counts: Tally) -> str:
    """A row a kind, as Markdown."""
    rows = [
        f"| {kind} | {each.questions} | {each.kept / each.questions:.1%} | {each.right / each.questions:.1%}"
        f" | {each.right_source / each.questions:.1%} |"
        for kind, each in counts.items()
    ]
    return "\n".join(["| questions | asked | kept | right | source's |", "|---|---|---|---|---|", *rows])


def write(folder: Path, counts: Tally) -> None:
    """Add to the report of a new bundle, which must be there."""
    file, told = folder / "fidelity.json", folder / "fidelity.md"
    values = json.loads(file.read_text("utf-8"))
    values["tasks"] = {kind: asdict(each) for kind, each in counts.items()}
    file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    lines = [
        "Questions with answers that can be checked. *Kept* is the share that the bundle answers as its source does,",
        "right or wrong; a wrong answer is told by the token that leaves the right one. Each question follows others of",
        "its kind with their right answers.",
        "",
        table(counts),
        "",
    ]
    told.write_text("\n".join([told.read_text("utf-8"), *lines]), encoding="utf-8")
