"""Where doors keep what they must know at the next start; light, so that a daemon without doors can look there."""

from __future__ import annotations

from pathlib import Path

from edge.config import Settings


def announced(settings: Settings) -> Path:
    """What Home Assistant was told, beside the journal."""
    return Path(settings.journal.folder) / f"{settings.device}.home-assistant.json"
