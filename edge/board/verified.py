"""Files whose contents were verified before, so that not every start reads gigabytes.

A file is told by its device, its inode, its size and both its times to the nanosecond (stat(2)). The time of its last
change (ctime) is the kernel's own: who alters a file and sets its time of modification back is found out all the same.
What alters a disk below its file system is not, so that an entry is believed for some days only.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

DAYS = 7
"""After so many a file is read again."""
SETTLED_SECONDS = 2
"""A file that had changed less than this before we looked may change again and keep its ctime, by a coarse clock."""
ENTRIES_MAX = 128
BYTES_MAX = 1 << 16
"""Of the record; an entry has about 160."""
Key = tuple[int, int, int, int, int, str]
"""Device, inode, bytes, mtime and ctime in nanoseconds, sha256."""
_RECORD = TypeAdapter(Annotated[list[tuple[Key, float]], Field(max_length=ENTRIES_MAX)])


class VerifiedFiles:
    """A small file in the cache; one that is damaged is as good as none.

    clock: seconds since 1970. Where it was set back behind an entry, that is not believed.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock, self._opened = path, clock, clock()
        self._seconds = dict(_read(path))
        self._is_changed = False

    def holds(self, status: os.stat_result, sha256: str) -> bool:
        """Whether a file with this status had this hash, and not too long ago."""
        seconds = self._seconds.get(_key(status, sha256))
        return seconds is not None and 0 <= self._clock() - seconds <= DAYS * 86400

    def note(self, status: os.stat_result, sha256: str) -> None:
        """A file with this status has this hash. One that was written just now is not noted yet."""
        if status.st_ctime + SETTLED_SECONDS > self._opened:
            return
        key = _key(status, sha256)
        self._seconds.pop(key, None)  # the latest last
        self._seconds[key] = self._clock()
        self._is_changed = True

    def save(self) -> None:
        """Write what was noted, whole or not at all; where that cannot be, the next start reads everything again."""
        if not self._is_changed:
            return
        partial = self._path.with_name(f".{self._path.name}.partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(_RECORD.dump_json(list(self._seconds.items())[-ENTRIES_MAX:]))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
        except OSError as error:
            log.warning("%s cannot be written (%s): the next start reads the whole bundle again", self._path, error)


def _key(status: os.stat_result, sha256: str) -> Key:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, sha256


def _read(path: Path) -> list[tuple[Key, float]]:
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > BYTES_MAX:
            return []
        return _RECORD.validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError):
        return []
