"""Where bundles lie on this machine: the board's store, `engine.bundle`, and the cache of whoever asks.

<cache>/bundles/<folder>/   made here by edge-export; `make bundle` has the same place
<cache>/pulled/<name>/      a store of one bundle, pulled from a channel
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.bundle import MANIFEST, USUAL, Manifest, read_manifest
from edge.commands.catalogue import Entry
from edge.config import Settings
from edge.errors import BundleError, ConfigError, EdgeError
from edge.store.store import Store

Place = Literal["store", "engine.bundle", "made", "pulled"]


@dataclass(frozen=True)
class Here:
    """A bundle that is on this machine. size_bytes: of its files, by its manifest."""

    path: Path
    place: Place
    name: str
    version: str
    provider: str
    size_bytes: int


def cache_folder() -> Path:
    """`$EDGE_CACHE`, else `edge-slm` in the user's cache folder, as the export has it. ConfigError without a home."""
    if named := os.environ.get("EDGE_CACHE"):
        return Path(named)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-slm"
    except RuntimeError as error:
        raise ConfigError("there is no home folder to keep bundles in: set XDG_CACHE_HOME") from error


def made_folder(entry: Entry, provider: str) -> Path:
    """Where a model's bundle lies, or would, that is made here for an execution provider."""
    return cache_folder() / "bundles" / (entry.place if provider == USUAL else f"{entry.place}-{provider}")


def pulled_store(name: str) -> Store:
    """Where a bundle lies, or would, that is pulled from a channel."""
    return Store(cache_folder() / "pulled" / name)


def on_board(settings: Settings) -> Iterator[Here]:
    """The store's, what is in use first, and `engine.bundle`. What we may not look at counts as not there."""
    store = Store(settings.store.folder)
    with suppress(EdgeError, OSError):
        record = store.read()
        known = [digest for digest in (record.kept, record.verified, *record.previous) if digest]
        for digest in dict.fromkeys([*known, *store.digests]):
            yield from seen(store.bundle(digest), "store")
    yield from seen(settings.engine.bundle, "engine.bundle")


def in_cache() -> Iterator[Here]:
    """Those that were made or pulled by this user."""
    folder = cache_folder()
    for path in _below(folder / "bundles"):
        yield from seen(path, "made")
    for path in _below(folder / "pulled"):
        with suppress(EdgeError, OSError):
            digest = Store(path).read().verified
            if digest is not None:
                yield from seen(Store(path).bundle(digest), "pulled")


def _below(folder: Path) -> list[Path]:
    with suppress(OSError):
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return []


def seen(path: Path, place: Place) -> Iterator[Here]:
    """A bundle where there is one; nothing where there is none, or it cannot be read."""
    with suppress(BundleError, OSError):
        manifest = read_manifest(path)
        yield Here(path, place, manifest.name, manifest.version, manifest.provider, size_of(path, manifest))


def size_of(path: Path, manifest: Manifest) -> int:
    """All of its files together."""
    return sum(file.size_bytes for file in manifest.files.values()) + (path / MANIFEST).stat().st_size


def found(entry: Entry, settings: Settings) -> Here | None:
    """A model's bundle on this machine for the provider in use; the board's own before the cache's."""
    provider = settings.engine.provider
    made = seen(made_folder(entry, provider), "made")  # and no other: it may be what an older export made of it
    pulled = (here for here in in_cache() if here.place == "pulled")
    places = (*on_board(settings), *made, *pulled)
    return next((here for here in places if here.name == entry.bundle and here.provider == provider), None)
