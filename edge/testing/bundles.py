"""Bundles whose engine is scripted: whole ones in every respect but that no model is in them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.bundle import MANIFEST, File, open_bundle
from edge.errors import StartError
from edge.service.served import Served
from edge.store.store import Store
from edge.testing import ScriptedEngine, scripted_manifest

SCRIPT = "scripted.json"


@dataclass(frozen=True)
class Script:
    """What the engine of such a bundle does; names as `ScriptedEngine` has them.

    start_seconds: until it is ready.
    """

    pieces: tuple[str, ...] = ("Hello", " world")
    pause_seconds: float = 0.0
    figures: tuple[float, float] = (0.01, 0.01)
    why_not: str = ""
    dies_of: str | None = None
    start_seconds: float = 0.0
    manifest: dict[str, Any] = field(default_factory=dict)
    """What differs in the manifest from `scripted_manifest`."""

    def write(self, folder: Path) -> str:
        """Make the bundle in a folder; its digest."""
        folder.mkdir(parents=True)
        text = json.dumps({name: getattr(self, name) for name in OPTIONS} | {"start_seconds": self.start_seconds})
        (folder / SCRIPT).write_text(text, encoding="utf-8")
        entry = File(sha256=hashlib.sha256(text.encode()).hexdigest(), size_bytes=len(text))
        manifest = scripted_manifest(files={SCRIPT: entry}, **self.manifest).model_dump_json(indent=2)
        (folder / MANIFEST).write_text(manifest, encoding="utf-8")
        return hashlib.sha256(manifest.encode()).hexdigest()

    def put(self, store: Store) -> str:
        """Make the bundle in a store, as an installer leaves it; its digest.

        Until the record names it a daemon may tidy it away: see `arrive`.
        """
        place = store.incoming("new")
        digest = self.write(place)
        store.make(store.bundle(digest).parent)
        place.rename(store.bundle(digest))
        return digest


def arrive(store: Store, put: Callable[[], str]) -> str:
    """A bundle is in the store, to be tried, as an installer leaves it; its digest. put: lays it there."""
    while True:
        with suppress(StartError), store.changing():  # else a daemon tidies up at the time
            return _arrived(store, put)
        time.sleep(0.01)


def _arrived(store: Store, put: Callable[[], str]) -> str:
    digest = put()
    store.change(lambda record: record.to_be_tried(digest))
    return digest


OPTIONS = ("pieces", "pause_seconds", "figures", "why_not", "dies_of")


class LeisurelyEngine(ScriptedEngine):
    """One that takes a while to be ready."""

    start_seconds = 0.0

    async def start(self) -> None:
        """Be ready after that."""
        await asyncio.sleep(self.start_seconds)
        await super().start()


def opened(store: Store, own: ScriptedEngine, digest: str | None, log: Path | None = None) -> Served:
    """A scripted bundle of the store; `own` stands in for `engine.bundle`. log: as `ScriptedEngine` has it.

    Raises BundleError where it is not whole.
    """
    if digest is None:
        return Served(scripted_manifest(), own)
    bundle = open_bundle(store.bundle(digest))
    engine = LeisurelyEngine(log=log)
    for name, value in json.loads((bundle.path / SCRIPT).read_text(encoding="utf-8")).items():
        setattr(engine, name, tuple(value) if isinstance(value, list) else value)
    return Served(bundle.manifest, engine, bundle.digest, "store")
