"""A bundle that is served, and the engine that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edge.bundle import Manifest
from edge.service.protocols import Engine

Origin = Literal["store", "engine.bundle", "models"]


@dataclass(frozen=True)
class Served:
    """A bundle and what runs it. digest: as `edge.bundle.Bundle` has it; empty for one without a folder.

    source: where it lies: in the store, or where a setting says. folder: that place; None for one without.
    beside_bytes: memory that what goes with it takes, as another bundle that guesses for it.
    """

    manifest: Manifest
    engine: Engine
    digest: str = ""
    source: Origin = "engine.bundle"
    folder: Path | None = None
    beside_bytes: int = 0

    @property
    def memory_floor_bytes(self) -> int:
        """What must be free to load it, with what goes with it."""
        return self.manifest.memory_floor_bytes + self.beside_bytes

    def body(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "name": self.manifest.name,
            "version": self.manifest.version,
            "digest": self.digest or None,
            "source": self.source,
        }
