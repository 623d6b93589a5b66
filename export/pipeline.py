"""The export, step by step: open the source, rehearse, take it through its layers, put the bundle in its place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edge.bundle import Bundle
from export import pack
from export.assemble import make
from export.budget import within_budget
from export.errors import TargetError
from export.estimate import needs, room
from export.naming import name_of
from export.plan import Plan, make_plan
from export.progress import Report
from export.recipe import Recipe
from export.rehearsal import rehearse
from export.sentences.adding import Additions, added
from export.source import Source
from export.source.adapter import AdapterSource
from export.target import check_free, place_of
from export.verify import read_aright
from export.workshop import BUNDLE, REHEARSAL, put, staging


def export_bundle(source: Source, recipe: Recipe, target: Path, force: bool, report: Report) -> Bundle:
    """Make the bundle of a source in `target`, whole or not at all.

    Raises ExportError (see export/errors.py), after which nothing is left behind.
    """
    target = place_of(target)
    with staging(target) as workshop:
        return fill(workshop, source, recipe, target, force, report)


def fill(
    workshop: Path,
    source: Source,
    recipe: Recipe,
    target: Path,
    force: bool,
    report: Report,
    used: Sequence[Path] = (),
    adapters: tuple[Path, ...] = (),
) -> Bundle:
    """Make the bundle in a workshop that `staging` gave, and put it in the target's place. Raises ExportError.

    used: what this export reads beside the source and the recipe's own files. adapters: those that stay apart.
    """
    plan = make_plan(source, recipe)
    tell(plan)
    used = [*used, plan.source.path, *recipe.files]
    check_free(target, force, used)
    check_room(target, plan)
    plan.source.check_values(plan.shapes)  # first: it takes as long as the disk, and what it refuses needs no rehearsal
    rehearse(plan, workshop / REHEARSAL, report)
    read_aright(plan, report)
    (workshop / BUNDLE).mkdir()
    if recipe.weights_bytes:
        recipe = within_budget(plan, workshop / BUNDLE, report)
        plan = replace(plan, recipe=recipe)
    merged = {name_of(each): make_plan(AdapterSource(source, each), recipe) for each in adapters}
    make(workshop / BUNDLE, plan, report, merged)
    if recipe.sentences or recipe.documents or adapters:
        added(workshop / BUNDLE, Additions(recipe.sentences, recipe.documents, adapters=adapters))
    return publish(workshop, target, force, used, recipe.provider)


def tell(plan: Plan) -> None:
    """What whoever asked for the export should hear, on standard error."""
    for note in plan.notes:
        print(f"edge-export: {note}", file=sys.stderr, flush=True)


def check_room(target: Path, plan: Plan) -> None:
    """Disk and memory suffice before anything is written."""
    have, need = room(target), needs(plan)
    for kind, free, wanted in (
        ("disk", have.disk_bytes, need.bundle_bytes),
        ("memory", have.memory_bytes, need.memory_bytes),
    ):
        if free < wanted:
            raise TargetError(f"{free >> 20} MiB of {kind} are free, but this export needs about {wanted >> 20} MiB")


def publish(workshop: Path, target: Path, force: bool, used: Sequence[Path], provider: str) -> Bundle:
    """Check the new bundle as the daemon will, then put it in the target's place."""
    manifest = pack.open_bundle(workshop / BUNDLE, provider).manifest
    check_free(target, force, used)
    put(workshop / BUNDLE, target, force)
    return Bundle(target, manifest)
