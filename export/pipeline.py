"""The export, step by step: open the source, take it through its layers, write graph, tokenizer and manifest."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from edge.bundle import Bundle, Calibration
from export import pack, vision
from export.errors import TargetError
from export.estimate import needs, room
from export.graphs import load_skeleton, stamp
from export.plan import Plan, make_plan
from export.progress import Report
from export.recipe import Recipe
from export.source import Source
from export.tensor_file import TensorFile
from export.verify import check_limits, loses_by_its_cache, verify
from export.vision_graphs import embedding_model, vision_model
from export.warm import warm
from export.weights import write_weights


def export_bundle(source: Source, recipe: Recipe, target: Path, force: bool, report: Report) -> Bundle:
    """Make the bundle of a source in `target`, whole or not at all.

    Raises ExportError (see export/errors.py), after which nothing is left behind.
    """
    with staging(target) as folder:
        return fill(folder, source, recipe, target, force, report)


def fill(folder: Path, source: Source, recipe: Recipe, target: Path, force: bool, report: Report) -> Bundle:
    """Make the bundle in a folder that `staging` gave, and put it in the target's place. Raises ExportError."""
    plan = make_plan(source, recipe)
    check_free(target, force)
    check_room(target, plan)
    with TensorFile(folder / pack.WEIGHTS, plan.float_type) as tensors:
        calibration = write_weights(plan, tensors, report)
    fidelity = packed(folder, plan, tensors, calibration, report)
    if loses_by_its_cache(plan, fidelity):
        plan, tensors = plan.with_float_cache(), tensors.with_float_cache()
        fidelity = packed(folder, plan, tensors, calibration, report)
    check_limits(plan, fidelity)
    if recipe.warm:
        warm(folder, recipe.warm)
        pack.write_manifest(folder, plan, tensors, calibration, fidelity)
    return publish(folder, target, recipe.provider)


def packed(
    folder: Path, plan: Plan, tensors: TensorFile, calibration: Calibration | None, report: Report
) -> dict[str, float]:
    """Everything beside the weights into the folder; what the bundle lost, which is in its manifest then."""
    for name, model in graphs(plan, tensors).items():
        pack.write_graph(folder / name, model)
    pack.write_texts(folder, plan)
    pack.write_manifest(folder, plan, tensors, calibration)
    fidelity = verify(plan, tensors, folder, report)
    pack.write_manifest(folder, plan, tensors, calibration, fidelity)
    return fidelity


def graphs(plan: Plan, tensors: TensorFile) -> dict[str, onnx.ModelProto]:
    """The bundle's graphs by their files' names: the decoder, and what makes it see where it does."""
    skeleton, level, tower = load_skeleton(plan.family.skeleton), plan.recipe.accuracy_level, plan.tower
    decoder = stamp(skeleton, plan.sizes, tensors, level, reads_embeddings=tower is not None)
    if tower is None:
        return {pack.GRAPH: decoder}
    return {
        pack.GRAPH: decoder,
        pack.VISION: vision_model(load_skeleton(vision.SKELETON), tower, tensors, level),
        pack.EMBEDDING: embedding_model(skeleton, plan.sizes, tensors),
    }


def check_free(target: Path, force: bool) -> None:
    """Nothing is overwritten unasked."""
    if target.exists() and not force:
        raise TargetError(f"{target} exists; pass --force to replace it")


def check_room(target: Path, plan: Plan) -> None:
    """Disk and memory suffice before anything is written."""
    have, need = room(target), needs(plan)
    for kind, free, wanted in (
        ("disk", have.disk_bytes, need.bundle_bytes),
        ("memory", have.memory_bytes, need.memory_bytes),
    ):
        if free < wanted:
            raise TargetError(f"{free >> 20} MiB of {kind} are free, but this export needs about {wanted >> 20} MiB")


@contextmanager
def staging(target: Path, waits: bool = False) -> Iterator[Path]:
    """A folder beside the target that is gone afterwards, whatever happens.

    waits: for another export of the same target, as long as it takes; else, and where nothing can be written there,
    TargetError.
    """
    folder = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TargetError(f"{target.parent} cannot be used: {error.strerror}") from error
    try:
        lock = _locked(folder, target, waits)
        try:
            _empty(folder)
            yield folder
        finally:
            if _is_open(folder, lock):  # and not the next export's, where this one was published
                shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)
    except OSError as error:
        raise TargetError(f"{target.parent} cannot be written: {error.strerror or error}") from error


def _locked(folder: Path, target: Path, waits: bool) -> int:
    """A folder that is ours until what this returns is closed, or this process ends.

    The one who had it has renamed or removed it by then, so that it is made anew and locked anew.
    """
    while True:
        try:
            folder.mkdir(exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        except (FileExistsError, FileNotFoundError):  # it went away between two looks at it
            if not folder.parent.is_dir():
                raise
            continue
        try:
            _take(lock, target, waits)
            if _is_open(folder, lock):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def _is_open(folder: Path, descriptor: int) -> bool:
    """Whether a path still leads to the folder that was opened."""
    try:
        return os.path.samestat(folder.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _take(lock: int, target: Path, waits: bool) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if not waits:
            raise TargetError(f"another export is making {target}; wait for it, or stop it") from error
        print(f"waiting for another export, which is making {target}", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def publish(folder: Path, target: Path, provider: str) -> Bundle:
    """Check the new bundle as the daemon will, then put it in the target's place."""
    manifest = pack.open_bundle(folder, provider).manifest
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return Bundle(target, manifest)
