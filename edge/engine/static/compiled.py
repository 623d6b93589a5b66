"""What a provider has made of a pair of graphs, kept from the first start on: to compile one may take minutes.

As with packed weights (graph/packed.py), a folder fits one bundle and one runtime on one kind of processor, and is
whole before it has its name.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.engine.graph.packed import is_whole, remove_old, settle
from edge.engine.static.sessions import Sessions

log = logging.getLogger(__name__)


def open_compiled(sessions: Sessions, graphs: Sequence[Path], kept: Path | None) -> list[Any]:
    """Sessions over graphs. kept: the folder of what was made of them, which is made where it is not; None for none."""
    if kept is None or not sessions.compiles:
        return [sessions.opened(graph) for graph in graphs]
    if is_whole(kept):
        try:
            opened = [sessions.opened(kept / graph.name) for graph in graphs]
        except Exception as error:  # a tree of its own that has no common root
            log.warning("%s cannot be loaded and is made anew: %s", kept, error)
        else:
            os.utime(kept)
            return opened
    return _made(sessions, graphs, kept)


def _made(sessions: Sessions, graphs: Sequence[Path], kept: Path) -> list[Any]:
    """The sessions, what they have made on the disk afterwards, if that takes it."""
    partial = kept.with_name(f".{kept.name}.partial")
    for folder in (partial, kept):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        log.warning("compiled graphs cannot be kept in %s: %s", kept.parent, error)
        return [sessions.opened(graph) for graph in graphs]
    opened = [sessions.opened(graph, partial / graph.name) for graph in graphs]
    try:
        settle(partial)
        partial.rename(kept)
        remove_old(kept.parent)
    except OSError as error:
        log.warning("compiled graphs could not be kept in %s: %s", kept.parent, error)
    return opened
