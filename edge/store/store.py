"""The store's folder: bundles named by their digests, and the record of them.

<folder>/bundles/<digest>/   a whole bundle; it appears by one rename, and is never changed
<folder>/bundles/<digest>.index.json   its chunks, as the repository listed them
<folder>/incoming/<digest>/  one that is being fetched; what is in it may be torn
<folder>/tuf/                the repository's metadata, as far as it was verified
<folder>/record.json         replaced by one rename
<folder>/lock                held by who changes the folder, for as long as an installation takes
<folder>/record.lock         held by who changes the record, for a moment
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from edge.errors import StartError
from edge.store.record import Record

RECORD, LOCK, RECORD_LOCK = "record.json", "lock", "record.lock"
INDEX = ".index.json"
HALF_WRITTEN = (".*.partial", "*/.*.partial", "tuf/tmp*")
"""Ours, and python-tuf's."""
GONE = "gone-"
"""What a folder's name in incoming/ begins with that is only to be removed."""


class Store:
    """One folder; it need not be there until something is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bundle(self, digest: str) -> Path:
        """Where a bundle lies once it is whole."""
        return self.folder / "bundles" / digest

    def index(self, digest: str) -> Path:
        """Where its index lies, as far as there is one."""
        return self.folder / "bundles" / f"{digest}{INDEX}"

    def incoming(self, digest: str) -> Path:
        """Where a bundle lies until then."""
        return self.folder / "incoming" / digest

    def has(self, digest: str) -> bool:
        """Whether a bundle is there; what is there is whole."""
        return self.bundle(digest).is_dir()

    def place(self, digest: str | None, own: Path) -> Path:
        """Where a bundle lies; `own`, the operator's, is that of None."""
        return own if digest is None else self.bundle(digest)

    def in_use(self, own: Path) -> Path:
        """Where the bundle lies that the daemon serves, or would. StartError where the record cannot be read."""
        record = self.read()
        last = () if record.verified is None else (record.verified,)
        places = [self.place(digest, own) for digest in (*record.in_order, *last)]
        return next((place for place in places if place.is_dir()), own)

    @property
    def digests(self) -> list[str]:
        """Of all bundles that are there."""
        return sorted(path.name for path in self.folder.glob("bundles/*") if path.is_dir())

    def read(self) -> Record:
        """The record; an empty one where there is none. StartError where it cannot be read."""
        file = self.folder / RECORD
        try:
            return Record.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return Record()
        except PermissionError as error:
            raise StartError(f"{file} is the daemon's: look at it as root") from error
        except OSError as error:
            raise StartError(f"{file} cannot be read: {error.strerror}") from error
        except ValidationError as error:
            why = error.errors()[0]["msg"]
            raise StartError(f"{file} cannot be read ({why}); remove it to serve engine.bundle again") from error

    def write(self, record: Record) -> None:
        """Replace the record: after a power cut it is the old one or this."""
        self.make(self.folder)
        replace_file(self.folder / RECORD, record.model_dump_json(indent=1).encode())

    def change(self, change: Callable[[Record], Record]) -> Record:
        """Read the record, change it and write it, while nobody else does; what it is then."""
        with self._locked(RECORD_LOCK, fcntl.LOCK_EX):
            record = change(self.read())
            self.write(record)
        return record

    @contextmanager
    def changing(self) -> Iterator[None]:
        """The folder is one's own. StartError where it is another's."""
        try:
            with self._locked(LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB):
                yield
        except BlockingIOError as error:
            raise StartError(f"another program installs or removes bundles in {self.folder}: wait for it") from error

    def make(self, folder: Path) -> None:
        """A folder, and those above it."""
        folder.mkdir(parents=True, exist_ok=True)

    def commit(self, digest: str, index: bytes) -> None:
        """A bundle in incoming/ is whole, and its files are on the disk: it appears, with its index.

        One that is there already, and was found to be damaged or is signed anew, goes. There is none between two
        renames; a start in that moment serves what was in use before.
        """
        self.make(self.bundle(digest).parent)
        replace_file(self.index(digest), index)
        gone = self._renamed(digest)
        self.incoming(digest).rename(self.bundle(digest))
        sync(self.folder / "incoming")
        sync(self.folder / "bundles")
        shutil.rmtree(gone, ignore_errors=True)

    def remove(self, digest: str) -> None:
        """A bundle vanishes by one rename; then its files do."""
        gone = self._renamed(digest)
        if gone.is_dir():
            sync(self.folder / "bundles")
        self.index(digest).unlink(missing_ok=True)
        shutil.rmtree(gone, ignore_errors=True)

    def _renamed(self, digest: str) -> Path:
        """A bundle is one no more, as far as there was one; where it is."""
        gone = self.incoming(f"{GONE}{digest}")
        shutil.rmtree(gone, ignore_errors=True)
        self.make(gone.parent)
        with suppress(FileNotFoundError):
            self.bundle(digest).rename(gone)
        return gone

    def prune(self, keep: Collection[str] = ()) -> list[str]:
        """Remove bundles that the record does not mention; their digests. None while another changes the folder."""
        try:
            with self.changing():
                return self.pruned(keep)
        except StartError:
            return []

    def pruned(self, keep: Collection[str] = ()) -> list[str]:
        """The same, by whom the folder is."""
        mentioned = self.read().digests.union(keep)
        useless = [digest for digest in self.digests if digest not in mentioned]
        for digest in useless:
            self.remove(digest)
        return useless

    def clean(self, keep: str) -> None:
        """Remove what was left when the power went: all of incoming/ but one bundle, and files half written."""
        for path in self.folder.glob("incoming/*"):
            if path.name != keep:
                shutil.rmtree(path, ignore_errors=True)
        for path in [found for each in HALF_WRITTEN for found in self.folder.glob(each)]:
            path.unlink(missing_ok=True)
        for path in self.folder.glob(f"bundles/*{INDEX}"):
            if not self.has(path.name.removesuffix(INDEX)):
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[None]:
        self.make(self.folder)
        number = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(number, how)
            yield
        finally:
            os.close(number)


def act_as_owner(folder: Path) -> None:
    """Root becomes, for good, whose the folder is, or any folder above it: the daemon's user.

    So what is written there is the daemon's to read and replace; and where that user was taken over, and has laid links
    in the folder, they lead root nowhere that the user could not write before.
    """
    if os.geteuid() != 0:
        return
    for path in [*reversed(folder.absolute().parents), folder.absolute(), folder.resolve()]:
        found = path.lstat() if os.path.lexists(path) else None
        if found and found.st_uid != 0:
            os.setgroups([])
            os.setgid(found.st_gid)
            os.setuid(found.st_uid)
            return


def replace_file(file: Path, content: bytes) -> None:
    """After a power cut it is the old one or this."""
    number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".partial")
    with os.fdopen(number, "wb") as opened:
        os.fchmod(number, 0o644)
        opened.write(content)
        opened.flush()
        os.fsync(number)
    Path(name).replace(file)
    sync(file.parent)


def sync(path: Path) -> None:
    """What a folder lists, or a file holds, is on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
