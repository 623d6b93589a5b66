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
    """

    manifest: Manifest
    engine: Engine
    digest: str = ""
    source: Origin = "engine.bundle"
    folder: Path | None = None

    def body(self) -> dict[str, Any]:
        """As it is told."""
        return {
            "name": self.manifest.name,
            "version": self.manifest.version,
            "digest": self.digest or None,
            "source": self.source,
        }
