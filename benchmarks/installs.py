"""Bundles from a repository: bad ones refused, installations killed at any moment, and what a changed layer costs."""

from __future__ import annotations

import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnx

from benchmarks.figure import Figure
from edge.bundle import GRAPH, MANIFEST, WEIGHTS, File, hash_file, open_bundle, read_manifest
from edge.errors import EdgeError
from export.channel.chunks import cuts
from tests.edge.store.boards import Board
from tests.edge.store.harms import HARMS, refused
from tests.edge.store.publishing import Published

MOMENTS = 40
LAYER = 12
"""Of 30, somewhere in the middle of the file."""
GROWTH = 1.7
"""A layer of 4 bits in 8: codes double, scales stay."""


def measure(bundle: Path) -> list[Figure]:
    """The kinds that are refused, the kills that are survived, the share of a bundle that one layer costs."""
    with tempfile.TemporaryDirectory(dir=bundle.parent) as name:
        folder = Path(name)
        kinds = refused_kinds(folder / "harms")
        survived = kills(bundle, folder / "kills")
        shares = {name: share(bundle, folder / name, change) for name, change in CHANGES.items()}
    return [
        Figure("installs_refused_kinds", kinds, f"of {len(HARMS)}", "==", len(HARMS)),
        Figure("installs_killed_whole", survived, f"of {MOMENTS}", "==", MOMENTS),
        Figure("installs_layer_share", shares["layer"], "of bytes", "<=", 0.10),
        Figure("installs_shifted_layer_share", shares["shifted"], "of bytes", "<=", 0.10),
    ]


def refused_kinds(folder: Path) -> int:
    """How many kinds of bad bundles are refused by their reason, leaving the store as it was."""
    count = 0
    for number, (kind, harm) in enumerate(HARMS.items()):
        own = folder / str(number)
        own.mkdir(parents=True)
        told, before, after = refused(harm, own)
        is_said = told.last["state"] == "refused" and re.search(harm.says, told.last["reason"]) is not None
        is_right = is_said and told.status == harm.status and before == after
        note(f"{kind}: {told.status}, {told.last.get('reason', told.last)}")
        count += is_right
    return count


def kills(bundle: Path, folder: Path) -> int:
    """How many of the moments at which the installer is killed leave a whole store, and an installation that ends.

    The board has a bundle of the store in use. The next one has other weights throughout, so that all of it is fetched.
    """
    repository = Published(folder / "repository")
    repository.add(bundle, "1", cut=at_tensors)
    repository.add(remade(bundle, folder / "2", lambda data: data[1:] + data[:1]), "2", cut=at_tensors)
    board = Board(folder / "board", repository.folder, repository.trusted)
    name = read_manifest(bundle).name
    kept = board.install(name, "--version", "1").last["digest"]
    board.store.change(lambda record: record.trying(kept).kept_now(1))
    seconds, chance, count = timed(board, name), random.Random(24), 0
    for _ in range(MOMENTS):
        moment = chance.uniform(0, seconds)
        board.install_killed(moment, name)
        is_whole = survives(board, name, kept)
        note(f"killed {moment:.2f} s after its start, of {seconds:.2f}: {'whole' if is_whole else 'NOT WHOLE'}")
        count += is_whole
    return count


def timed(board: Board, name: str) -> float:
    """Seconds that an installation takes which nobody kills."""
    start = time.monotonic()
    installed = board.install(name).last["digest"]
    seconds = time.monotonic() - start
    forget(board, installed)
    return seconds


def survives(board: Board, name: str, kept: str) -> bool:
    """Whether what is in use is whole and the next installation ends; what it installed is forgotten."""
    try:
        assert board.store.read().kept == kept, "the record is another"
        for digest in board.store.digests:
            open_bundle(board.store.bundle(digest))
        told = board.install(name)
        assert told.status == 0, told
        open_bundle(board.store.bundle(told.last["digest"]))
    except (AssertionError, EdgeError) as error:
        note(f"{type(error).__name__}: {error}")
        return False
    forget(board, told.last["digest"])
    return True


def forget(board: Board, digest: str) -> None:
    """As before it was installed."""
    board.store.change(lambda record: record.without(digest))
    board.store.remove(digest)


def share(bundle: Path, folder: Path, change: Callable[[Path, Path], Path]) -> float:
    """Of a bundle's bytes, those that a board fetches which has the bundle that it was made from."""
    repository = Published(folder / "repository")
    repository.add(bundle, "1", cut=at_tensors)
    repository.add(change(bundle, folder / "2"), "2", cut=at_tensors)
    board = Board(folder / "board", repository.folder, repository.trusted)
    name = read_manifest(bundle).name
    kept = board.install(name, "--version", "1").last["digest"]
    board.store.change(lambda record: record.trying(kept).kept_now(1))
    told = board.install(name)
    assert told.status == 0, told
    return round(float(told.last["fetched_bytes"] / told.last["size_bytes"]), 4)


def other_layer(bundle: Path, folder: Path) -> Path:
    """A layer has other weights, of the same size."""
    first, last = span(bundle)
    chance = random.Random(1)
    return remade(bundle, folder, lambda data: data[:first] + chance.randbytes(last - first) + data[last:])


def larger_layer(bundle: Path, folder: Path) -> Path:
    """A layer has other weights, of more bits: all that lies behind it moves, and the graph says where to."""
    first, last = span(bundle)
    chance, size = random.Random(2), int((last - first) * GROWTH) // 64 * 64
    made = remade(bundle, folder, lambda data: data[:first] + chance.randbytes(size) + data[last:])
    model = onnx.load(str(made / GRAPH), load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "offset" and int(entry.value) >= last:
                entry.value = str(int(entry.value) + size - (last - first))
    (made / GRAPH).write_bytes(model.SerializeToString())
    rewrite(made)
    return made


CHANGES = {"layer": other_layer, "shifted": larger_layer}


def span(bundle: Path) -> tuple[int, int]:
    """Where a layer's weights begin and end in their file."""
    layer = [each for each in tensors(bundle) if f"layers.{LAYER}." in each[1]]
    return layer[0][0], layer[-1][0] + layer[-1][2]


def at_tensors(file: Path) -> list[int]:
    """Chunks as `edge-channel` cuts them."""
    return cuts(file.parent, file.name)


def tensors(bundle: Path) -> list[tuple[int, str, int]]:
    """Where each tensor of the graph begins in the file of weights, its name, and its bytes."""
    found = []
    for tensor in onnx.load(str(bundle / GRAPH), load_external_data=False).graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            found.append((int(entries["offset"]), tensor.name, int(entries["length"])))
    return sorted(found)


def remade(bundle: Path, folder: Path, change: Callable[[bytes], bytes]) -> Path:
    """A copy of a bundle with other weights, and a manifest that says so."""
    folder.mkdir(parents=True)
    for file in bundle.iterdir():
        shutil.copy(file, folder)
    (folder / WEIGHTS).write_bytes(change((bundle / WEIGHTS).read_bytes()))
    rewrite(folder)
    return folder


def rewrite(folder: Path) -> None:
    """The manifest names its files as they are now."""
    manifest = read_manifest(folder)
    files = {
        name: File(sha256=hash_file(folder / name), size_bytes=(folder / name).stat().st_size)
        for name in manifest.files
    }
    (folder / MANIFEST).write_text(manifest.model_copy(update={"files": files}).model_dump_json())


def note(text: str) -> None:
    """Say on standard error how it goes."""
    print(text, file=sys.stderr, flush=True)
