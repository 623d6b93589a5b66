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
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.board.disk import free_bytes
from edge.bundle import GRAPH, WEIGHTS

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


def open_packed(graph: Path, weights_bytes: int, folder: Path, name: str, opened: Open) -> Any:
    """A session over a bundle's packed weights, which are written first where there are none that fit.

    graph: which of the bundle's graphs it is over.
    """
    target = folder / name
    if is_whole(target):
        try:
            session = opened(target / GRAPH, {}, None)
        except Exception as error:  # a tree of its own that has no common root
            log.warning("%s cannot be loaded and is made anew: %s", target, error)
        else:
            os.utime(target)
            return session
    shutil.rmtree(target, ignore_errors=True)
    if (free := free_bytes(folder)) < weights_bytes * SPACE + FREE_BYTES_MIN:
        log.warning("%d MiB are free for %s: too few to keep packed weights there", free >> 20, folder)
        return opened(graph, {}, None)
    return written(graph, target, opened)


def written(graph: Path, target: Path, opened: Open) -> Any:
    """A session over the bundle itself, its packed weights on the disk afterwards, if that takes them."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        session = opened(graph, SAVE, partial / GRAPH)
        settle(partial)
        partial.rename(target)
        remove_old(target.parent)
    except OSError as error:
        log.warning("packed weights could not be kept in %s: %s", target.parent, error)
    else:
        return session
    shutil.rmtree(partial, ignore_errors=True)
    return opened(graph, {}, None)


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
