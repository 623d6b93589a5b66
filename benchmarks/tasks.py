"""How many of the float model's answers a bundle keeps, over all task questions; what of that is noise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure
from edge.bundle import open_bundle
from edge.engine import Job
from export.adopted import bundle_logits
from export.download import default_cache, locate
from export.golden import answers
from export.plan import Plan, make_plan
from export.recipe import recipes
from export.source import open_source
from export.tasks import measuring
from export.tasks.checking import is_right
from export.tasks.given import Given, given
from export.tasks.questions import QUESTIONS_MAX
from export.tasks.tally import ALL, table, tally
from export.tasks.texts import Conversation, asked, beginning, said

MODEL = "smollm2-135m"
MORE = 61
"""Tokens that are put behind each text, so that all products have another shape."""
ANSWER_TOKENS = 48


def measure(bundle: Path) -> list[Figure]:
    """All questions asked of the default model in floats and of its bundle, without generating and by generating."""
    recipe = recipes()[MODEL].model_copy(update={"task_questions": QUESTIONS_MAX})
    plan = make_plan(open_source(locate(MODEL, recipe, default_cache())), recipe)
    texts = measuring.texts(plan)
    places = [place for text in texts for place in text.places]
    wanted = measuring.of_source(plan, texts, lambda *_: None)
    found = of_bundle(bundle, plan, texts)
    counts = tally([place.question for place in places], wanted, found)
    print(table(counts), file=sys.stderr, flush=True)
    whole = counts[ALL]
    return [
        Figure("tasks_asked", whole.questions, "questions", ">=", 300),
        Figure("tasks_kept", round(whole.kept / whole.questions, 4), "ratio", ">=", 0.97),
        Figure("tasks_kept_of_sure", round(whole.sure_kept / whole.sure, 4), "ratio", ">=", 0.97),
        Figure("tasks_right_over_source", round(whole.right / whole.right_source, 4), "ratio", ">=", 0.97),
        Figure("tasks_differ_by_shape", differing(wanted, plan, texts), "questions", "==", 0),
        Figure("tasks_judged_as_generated", round(as_generated(bundle, texts, found), 4), "ratio", ">=", 0.97),
    ]


def of_bundle(bundle: Path, plan: Plan, texts: list[Conversation]) -> list[Given]:
    """The bundle's answers, by its whole graph."""
    run, made = bundle_logits(open_bundle(bundle)), []
    for text in texts:
        logits = run(text.tokens)
        made += [given(place, logits[place.rows], plan.source.stop_token_ids) for place in text.places]
    return made


def differing(wanted: list[Given], plan: Plan, texts: list[Conversation]) -> int:
    """How many answers of the source are others where each text is longer by tokens that no answer sees."""
    longer = [Conversation([*text.ids, *text.ids[:MORE]], text.places) for text in texts]
    again = measuring.of_source(plan, longer, lambda *_: None)
    return sum(not one.is_same(other) for one, other in zip(wanted, again, strict=True))


def as_generated(bundle: Path, texts: list[Conversation], found: list[Given]) -> float:
    """Of the answers that are no labels, those that are judged alike by their logits and by what the engine says."""
    places = [place for text in texts for place in text.places]
    jobs = [job for job in generating(texts) if not places[job.id].labels]
    alike = [
        is_right(places[job.id].question, text) == found[job.id].is_right for job, text, _ in answers(bundle, jobs, {})
    ]
    return sum(alike) / len(alike)


def generating(texts: list[Conversation]) -> Iterator[Job]:
    """A job a place, which has it answered behind the same turns; its id is the place's number."""
    number = 0
    for text in texts:
        messages = beginning(text.places[0].question.part)
        for place in text.places:
            yield Job(number, [*messages, asked(place.question)], ANSWER_TOKENS)
            messages = [*messages, asked(place.question), said(place.question.answer)]
            number += 1
