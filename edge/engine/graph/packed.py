"""Weights as the kernels of this processor want them, written once and mapped from then on.

onnxruntime re-packs weights when it loads a graph: time at every start, and memory of the process's own where the
file's pages would have done. Its session option `session.save_external_prepacked_constant_initializers`
(onnxruntime_session_options_config_keys.h) writes the packed ones with the graph. What is written fits one bundle,
one onnxruntime and one kind of processor, and its folder is named by all three. It is on the disk before it has
that name, so that a power cut leaves no half of it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edge.board.disk import free_bytes
from edge.bundle import WEIGHTS, hash_file

log = logging.getLogger(__name__)

SIZES = "sizes.json"
SPACE = 3.0
"""Of the bundle's weights: the file holds them as they are and as they are packed."""
FREE_BYTES_MIN = 1 << 30
KEPT = 2
"""Folders that may stay: this one, and that of the bundle one may roll back to."""
Open = Callable[[Path, dict[str, str], Path | None], Any]
"""Makes a session of a graph with some config entries, writing the graph that it made of it to the second path."""

SAVE = {
    "session.optimized_model_external_initializers_file_name": WEIGHTS,
    "session.optimized_model_external_initializers_min_size_in_bytes": "1024",
    "session.save_external_prepacked_constant_initializers": "1",
}


def open_packed(graphs: Sequence[Path], weights_bytes: int, folder: Path, name: str, opened: Open) -> list[Any]:
    """Sessions over a bundle's packed weights, which are written first where there are none that fit.

    graphs: of the bundle, all over the same weights. Either each has a session, all of them over one file of packed
    weights, or the last has one alone.
    """
    target = folder / name
    if is_whole(target) and (target / graphs[-1].name).exists():
        try:
            sessions = mapped(graphs, target, opened)
        except Exception as error:  # a tree of its own that has no common root
            log.warning("%s cannot be loaded and is made anew: %s", target, error)
        else:
            os.utime(target)
            return sessions
    shutil.rmtree(target, ignore_errors=True)
    if (free := free_bytes(folder)) < weights_bytes * SPACE + FREE_BYTES_MIN:
        log.warning("%d MiB are free for %s: too few to keep packed weights there", free >> 20, folder)
        return [opened(graphs[-1], {}, None)]
    return written(graphs, target, opened)


def mapped(graphs: Sequence[Path], target: Path, opened: Open) -> list[Any]:
    """Sessions of those graphs that lie in a folder of packed weights."""
    there = [target / graph.name for graph in graphs]
    return [opened(each, {}, None) for each in there if each.exists()]


def written(graphs: Sequence[Path], target: Path, opened: Open) -> list[Any]:
    """Sessions over the bundle, its packed weights on the disk afterwards, if that takes them.

    A single one is over the weights that it has packed itself; several are over those on the disk.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        session = write_all(graphs, partial, opened)
        settle(partial)
        partial.rename(target)
        remove_old(target.parent)
    except OSError as error:
        log.warning("packed weights could not be kept in %s: %s", target.parent, error)
    else:
        return [session] if session else mapped(graphs, target, opened)
    shutil.rmtree(partial, ignore_errors=True)
    return [opened(graphs[-1], {}, None)]


def write_all(graphs: Sequence[Path], folder: Path, opened: Open) -> Any:
    """Each graph into a folder, all over one file of weights; the session of an only one, else None.

    Each writes the file anew, with the same bytes. Where those of the last are others, it stays alone.
    """
    digests = set()
    for graph in graphs:
        session = opened(graph, SAVE, folder / graph.name)
        if len(graphs) == 1:
            return session
        del session  # its memory first: it is the weights once more
        digests.add(hash_file(folder / WEIGHTS))
    if len(digests) > 1:
        log.warning("%s: its graphs pack their weights in several ways; one answers all requests", folder)
        for graph in graphs[:-1]:
            (folder / graph.name).unlink()
    return None


def settle(folder: Path) -> None:
    """Everything of a folder onto the disk, and how large it is."""
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    (folder / SIZES).write_text(json.dumps(sizes), encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_whole(folder: Path) -> bool:
    """Whether a folder's files are there in their sizes."""
    try:
        sizes: dict[str, int] = json.loads((folder / SIZES).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


def remove_old(folder: Path) -> None:
    """All but the folders that were used last."""
    folders = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for path in folders[:-KEPT]:
        shutil.rmtree(path, ignore_errors=True)


def name_of(bundle_digest: str, runtime_version: str, root: Path = Path("/")) -> str:
    """What packed weights fit: bundle, onnxruntime, and the features of the processor (proc_cpuinfo(5))."""
    lines = (root / "proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    features = sorted({line for line in lines if line.startswith(("flags", "Features", "model name", "CPU part"))})
    digest = hashlib.sha256("\n".join([bundle_digest, runtime_version, *features]).encode())
    return digest.hexdigest()[:32]
