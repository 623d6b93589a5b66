"""What Home Assistant was told of this board, kept on disk, so that a later start can take it back."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.doors.entities import Entity

log = logging.getLogger(__name__)

BYTES_MAX = 1 << 20
"""Of a file that could be ours."""


class Announced(BaseModel):
    """The topic of the discovery message, what it shows, and the platforms of all that it ever had, by their keys."""

    model_config = ConfigDict(frozen=True)

    topic: str
    shown: dict[str, Entity] = {}
    platforms: dict[str, str] = {}


class AnnouncedFile:
    """Where it is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, topic: str) -> Announced | None:
        """What the last start left; None where nothing was announced. topic: of a file that is damaged."""
        try:
            if not self._path.is_file():
                return None
            with self._path.open("rb") as file:
                return Announced.model_validate_json(file.read(BYTES_MAX))
        except (OSError, ValidationError) as error:
            log.warning("%s cannot be read (%s): entities of earlier starts are not known", self._path, _first(error))
            return Announced(topic=topic)

    def write(self, announced: Announced) -> None:
        """Keep it, whole or not at all; where that cannot be, the log says what it means."""
        partial = self._path.with_name(f".{self._path.name}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("w", encoding="utf-8") as file:
                file.write(announced.model_dump_json())
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written (%s): a later start may leave old entities behind", self._path, error)

    def forget(self) -> None:
        """Nothing is announced any more."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed (%s): the next start takes the board back once more", self._path, error)


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0]
