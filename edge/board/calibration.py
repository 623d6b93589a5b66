"""What fewer threads cost and save on this board with this model, as `edge bench --energy` has measured it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

FILE = "threads.json"
"""In the cache folder."""
BYTES_MAX = 1 << 16


@dataclass(frozen=True)
class Measured:
    """With one number of threads. added_watts: beyond what the board takes when nothing runs. Both are above 0."""

    tokens_per_second: float
    added_watts: float

    def __post_init__(self) -> None:
        if not (self.tokens_per_second > 0 and self.added_watts > 0):
            raise ValueError("neither speed nor power is 0")


@dataclass(frozen=True)
class Calibration:
    """A board's. model: the bundle's name and version; cores: that the board had; scope: of the watts."""

    model: str
    cores: int
    scope: str
    idle_watts: float
    threads: dict[int, Measured]

    @classmethod
    def of(cls, text: bytes) -> Calibration:
        """As it is kept. ValueError, TypeError, KeyError or AttributeError where it is damaged."""
        fields: dict[str, Any] = json.loads(text)
        threads = {int(count): Measured(**its) for count, its in fields.pop("threads").items()}
        return cls(**fields, threads=threads)

    def text(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self), indent=1)

    def beside(self, usual: int) -> dict[int, tuple[float, float]]:
        """Speed and added power of each lesser number of threads, over those of the usual one."""
        whole = self.threads.get(usual)
        if whole is None:
            return {}
        return {
            count: (found.tokens_per_second / whole.tokens_per_second, found.added_watts / whole.added_watts)
            for count, found in self.threads.items()
            if 0 < count < usual
        }


def kept(folder: Path, model: str) -> Calibration | None:
    """What was measured here with this model; None where nothing was, or on another number of cores."""
    try:
        with (folder / FILE).open("rb") as file:
            found = Calibration.of(file.read(BYTES_MAX))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found if (found.model, found.cores) == (model, os.cpu_count()) else None


def keep(folder: Path, found: Calibration) -> Path:
    """Write it down, whole or not at all. ConfigError where that cannot be."""
    path = folder / FILE
    partial = path.with_name(f".{FILE}.partial")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial.write_text(found.text() + "\n")
        partial.replace(path)
    except OSError as error:
        why = f"{path} cannot be written: {error.strerror}; engine.cache_folder may lie elsewhere"
        raise ConfigError(why) from error
    return path
