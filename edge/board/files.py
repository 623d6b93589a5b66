"""Files of /proc and /sys: a value, absent, denied or failed, and only the first is a number.

A look at a board is one `Files`: readers ask it for texts and numbers, get None for what is none, and never learn why;
the look keeps that. Reading is apart from parsing, and from the errors that a tree of files cannot hold: `contents`
can be another function.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

BYTES_MAX = 1 << 16
"""Of one file; an attribute of sysfs has a page at most (Documentation/filesystems/sysfs.rst)."""
ABSENT = {errno.ENOENT, errno.ENODEV, errno.ENOTDIR, errno.ESRCH}
DENIED = {errno.EACCES, errno.EPERM}
DIGITS = 20
"""Of a whole number of 64 bits; Python would read thousands of them, slowly."""
SHOWN = 40
"""Characters of a value that cannot be read."""


class Absent(Exception):
    """There is no such sensor on this board."""


def contents(path: Path) -> bytes:
    """The beginning of a file, of a FIFO without a writer nothing; never waits to open one. Raises OSError.

    Text and buffered files of Python make something else of EAGAIN, which a sleeping sensor answers with. A driver
    may sleep all the same: who may not wait reads on a thread of its own.
    """
    name = str(path)
    descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = piece = os.read(descriptor, BYTES_MAX)
        while piece and len(found) < BYTES_MAX and name.startswith("/proc/"):  # which gives a page a read
            found += (piece := os.read(descriptor, BYTES_MAX - len(found)))
    finally:
        os.close(descriptor)
    return found


class Files:
    """One look at what lies below a root folder. denied, failed: why, by paths below it."""

    def __init__(self, root: Path = Path("/"), read: Callable[[Path], bytes] = contents) -> None:
        self.root, self._read = root, read
        self.denied: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def aside(self) -> Files:
        """Another look at the same, for what may as well not be known: its troubles are nobody's."""
        return Files(self.root, self._read)

    @property
    def has_trouble(self) -> bool:
        """Whether anything is there and could not be read: who found nothing has then not found nothing there."""
        return bool(self.denied or self.failed)

    def is_troubled(self, path: str) -> bool:
        """Whether a file is there, and could not be read."""
        return path in self.denied or path in self.failed

    def text(self, path: str) -> str | None:
        """A file's text without what is around it (line ends, NUL); None where it has none to give."""
        try:
            found = self._read(self.root / path)
        except OSError as error:
            self._note(path, error)
            return None
        return found.decode(errors="replace").strip("\0 \t\r\n")

    def number(self, path: str, per: float = 1) -> float | None:
        """A file's whole number in units of which `per` make one of ours: thousandths of a degree by 1000."""
        count = self.count(path)
        return None if count is None else count / per

    def count(self, path: str, base: int = 10) -> int | None:
        """A file's whole number; None where it has none, which is a failure where there is something else."""
        text = self.text(path)
        if text is None:
            return None
        if len(text) <= DIGITS + 1:
            with contextlib.suppress(ValueError):
                return int(text, base)
        self.reject(path, f"no number: {text[:SHOWN]!r}")
        return None

    def amount(self, path: str) -> int | None:
        """A file's whole number of something that cannot be less than none."""
        found = self.count(path)
        if found is not None and found < 0:
            self.reject(path, f"{found} is less than none")
            return None
        return found

    def reject(self, path: str, why: str) -> None:
        """A value that cannot be true, or not be read, counts as a failure."""
        self.failed[path] = why

    def lines(self, path: str) -> list[str]:
        """A file's lines; none where it has none to give."""
        return (self.text(path) or "").splitlines()

    def fields(self, path: str) -> dict[str, int]:
        """The lines of a file that name a whole number, `Name: 12 kB` or `name 12`; kilobytes as bytes."""
        text = self.text(path)
        found = {}
        for line in (text or "").splitlines():
            name, *rest = line.replace(":", " ").split() or [""]
            if rest and rest[0].isdecimal() and len(rest[0]) <= DIGITS:
                found[name] = int(rest[0]) * (1024 if rest[1:] == ["kB"] else 1)
        if text is not None and not found:
            self.reject(path, f"names no number: {text[:SHOWN]!r}")
        return found

    def names(self, folder: str, pattern: str = "*") -> list[str]:
        """Paths below the root that match, in the order in which people count: zone 2 before zone 10."""
        first, _, rest = pattern.partition("/")
        try:
            with os.scandir(self.root / folder) as entries:
                listed = [entry.name for entry in entries if fnmatchcase(entry.name, first)]
        except OSError as error:
            self._note(folder, error)
            return []
        found = [f"{folder}/{name}" for name in sorted(listed, key=_as_people_count)]
        return [each for path in found for each in self.names(path, rest)] if rest else found

    def leads_to(self, path: str) -> str | None:
        """The last part of what a symbolic link leads to; None where it is none. Not whether there is such a thing."""
        try:
            return (self.root / path).readlink().name
        except OSError:  # no link, too, is EINVAL
            return None

    def _note(self, path: str, error: OSError) -> None:
        if error.errno in DENIED:
            self.denied[path] = "permission denied"
        elif error.errno not in ABSENT:
            self.failed[path] = f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror or error}"


def _as_people_count(name: str) -> list[str | int]:
    """A key that has `zone2` before `zone10`."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]
