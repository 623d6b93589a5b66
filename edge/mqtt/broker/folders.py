"""Which file of which folder a path means, and its bytes: nothing outside the folder, and nothing but files.

A path is cut into names before anything of it touches the disk, and each name is looked up in the folder that the one
before has opened, so that neither `..` nor a link nor somebody who swaps folders meanwhile leads elsewhere.
Source: RFC 3986, 2.1 (percent-encoding) and 3.3 (paths).
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

from edge.errors import UsageError

INDEX = "index.html"
DOCUMENTS = "documents"
"""Folders below this prefix hold what others wrote: their pages run nothing, whatever stands in them."""
NAMES_MAX = 32
"""Names in a path: folders in folders, and the file."""
NOT_A_NAME = re.compile(r"[/\\\x00-\x1f\x7f]")
ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Unserved(Exception):
    """A request that no file answers; the text is for whoever asked.

    status: of HTTP. location: where to ask instead.
    """

    def __init__(self, status: int, text: str, location: str | None = None) -> None:
        super().__init__(text)
        self.status, self.location = status, location


@dataclass(frozen=True)
class Route:
    """A folder, and the names that paths to it begin with; no names is the page itself."""

    prefix: tuple[str, ...]
    folder: Path

    @property
    def is_of_documents(self) -> bool:
        """Whether what lies there is shown and never run."""
        return self.prefix[:1] == (DOCUMENTS,)

    def leads(self, names: Sequence[str]) -> bool:
        """Whether a path begins with the prefix, name by name."""
        return tuple(names[: len(self.prefix)]) == self.prefix


def read_route(text: str) -> Route:
    """PREFIX=FOLDER, as `--serve` takes it; UsageError where it is none or there is no such folder."""
    prefix, equals, folder = text.partition("=")
    try:
        names = names_of(prefix if prefix.endswith("/") else f"{prefix}/")[:-1]
    except Unserved:
        names = [""]
    if not equals or not folder or "" in names or set("%?") & set(prefix):
        raise UsageError(f"--serve {text!r} is not PREFIX=FOLDER, such as /=deploy/kiosk/dist or /documents/x=/srv/x")
    if not Path(folder).is_dir():
        raise UsageError(f"--serve {text}: {folder} is no folder that can be read")
    return Route(tuple(names), Path(folder))


def names_of(target: str) -> list[str]:
    """The names in a request's target, decoded once; the last is "" for a folder. Unserved where it is no plain path.

    A name that begins with a dot is nobody's to see, `.` and `..` among them.
    """
    path = target.partition("?")[0]
    if not path.startswith("/"):
        raise Unserved(400, "That is not a path.")
    parts = path[1:].split("/")
    if len(parts) > NAMES_MAX:
        raise Unserved(404, "There is nothing so deep.")
    with contextlib.suppress(UnicodeError):
        names = [unquote_to_bytes(part).decode() for part in parts]
        if all(names[:-1]) and not any(name.startswith(".") or NOT_A_NAME.search(name) for name in names):
            return names
    raise Unserved(404, "There is no such file here.")


class Opened:
    """A file that is open; its methods wait for the disk, so that threads call them. None of them runs beside another.

    size: bytes, when it was opened. tag: equal for equal contents, as far as the disk tells.
    """

    def __init__(self, handle: int, found: os.stat_result) -> None:
        self._handle, self._found = handle, found
        self._lock = threading.Lock()
        self._is_closed = False
        self.size = found.st_size
        self.inode = found.st_ino
        times = f"{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"  # packages may set the first as they like
        self.tag = f"{found.st_dev:x}-{found.st_ino:x}-{found.st_size:x}-{times}"

    def read(self, start: int, count: int) -> bytes:
        """So many bytes from there; OSError where the file has become shorter, or was written to meanwhile."""
        with self._lock:
            if self._is_closed:
                raise OSError("closed")
            data = os.pread(self._handle, count, start)
            now = os.fstat(self._handle)
        if len(data) < count or (now.st_size, now.st_mtime_ns) != (self.size, self._found.st_mtime_ns):
            raise OSError("the file has changed while it was read")
        return data

    def close(self) -> None:
        """Once, and after what is being read."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                os.close(self._handle)


class Folders:
    """All folders that are handed out."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = sorted(routes, key=lambda route: -len(route.prefix))  # of equals the first stays the first

    def find(self, target: str) -> tuple[list[Route], list[str]]:
        """The folders that may hold what is asked for, the first one first, and its names there; Unserved for none."""
        names = names_of(target)
        best = next((route.prefix for route in self._routes if route.leads(names)), None)
        if best is None:
            raise Unserved(404, "There is no such file here.")
        rest = names[len(best) :]
        if not rest:
            raise Unserved(308, "That is a folder.", f"/{quote('/'.join(best))}/")
        return [route for route in self._routes if route.prefix == best], [*rest[:-1], rest[-1] or INDEX]

    @staticmethod
    def open(routes: Sequence[Route], names: Sequence[str]) -> Opened:
        """The first folder's file of these names; Unserved where none has it, OSError where it cannot be read."""
        for route in routes:
            try:
                if (opened := _open(route.folder, [name.encode() for name in names])) is not None:
                    return opened
            except OSError as error:
                if error.errno not in ABSENT:
                    raise
        raise Unserved(404, "There is no such file here.")


def _open(folder: Path, names: Sequence[bytes]) -> Opened | None:
    """A file in a folder; None where it is a link, a folder, a pipe or a device, which are not opened at all."""
    at = os.open(folder, FOLDER & ~os.O_NOFOLLOW)
    try:
        for name in names[:-1]:
            if not stat.S_ISDIR(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode):
                return None
            at, above = os.open(name, FOLDER, dir_fd=at), at
            os.close(above)
        if not stat.S_ISREG(os.stat(names[-1], dir_fd=at, follow_symlinks=False).st_mode):
            return None
        return _held(os.open(names[-1], FILE, dir_fd=at))
    finally:
        os.close(at)


def _held(handle: int) -> Opened | None:
    """What is open now, which may be another thing than was looked at."""
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode):
        return Opened(handle, found)
    os.close(handle)
    return None
