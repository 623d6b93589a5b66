"""An index as it is written: beside its place, and moved there when it is whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.documents import Piece
from edge.documents.schema import ROWS, VERSION, create
from edge.documents.words import words
from edge.errors import DocumentsError

BOUNDARY_BYTES = 4
_JOINED = "FROM pieces JOIN documents ON documents.number = document"
TEXTS = f"SELECT pieces.number, substr(title, 1, 60) || char(10) || substr(heading, -60) || char(10) || text {_JOINED}"
"""As they are embedded: with the beginning of their title and the end of their headings, so that both leave room."""
HAS = f"SELECT 1 {_JOINED} WHERE instr(lower(text || heading || title || path), ?) LIMIT 1"


class Writing:
    """An index that grows; `with Writing(path) as index:` puts it into its place at the end, or leaves nothing.

    Whatever ends this before, a power cut too, leaves the older index as it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun = path.with_name(f".{path.name}.new")
        self._paths: list[str] = []
        self._digest = hashlib.sha256(VERSION.encode())
        self._count = 0

    def __enter__(self) -> Writing:
        with _told(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self._locked()
            self._database = sqlite3.connect(self._begun, isolation_level=None)
        try:
            with _told(self.path):
                for setting in ("journal_mode = OFF", "synchronous = OFF", "temp_store = MEMORY"):
                    self._database.execute(f"PRAGMA {setting}")
                self._database.execute("BEGIN")
                create(self._database)
        except BaseException as error:
            self.__exit__(type(error))
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                with _told(self.path):
                    self._put_in_place()
        finally:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            with contextlib.suppress(FileNotFoundError):
                self._begun.unlink()
            os.close(self._lock)

    def _locked(self) -> int:
        """The begun file, emptied and ours alone; what a killed one has left goes."""
        lock = os.open(self._begun, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_ino != self._begun.stat().st_ino:
                raise FileNotFoundError
        except (BlockingIOError, FileNotFoundError):
            os.close(lock)
            raise DocumentsError(
                f"{self.path}: is being written by another `edge documents add`", passes=True
            ) from None
        os.ftruncate(lock, 0)
        return lock

    def put(self, pieces: Iterable[Piece]) -> None:
        """More pieces; their numbers go on where the last ended."""
        with _told(self.path):
            for piece in pieces:
                if not self._paths or self._paths[-1] != piece.path:
                    self._paths.append(piece.path)
                    row = (len(self._paths) - 1, piece.path, piece.title)
                    self._database.execute("INSERT INTO documents VALUES (?, ?, ?)", row)
                self._put(piece)

    def _put(self, piece: Piece) -> None:
        assert piece.number == self._count
        document = len(self._paths) - 1
        row = (piece.number, document, piece.heading, piece.page, piece.text)
        self._database.execute("INSERT INTO pieces VALUES (?, ?, ?, ?, ?)", row)
        found = (" ".join(words(text)) for text in (f"{piece.path} {piece.title}", piece.heading, piece.text))
        self._database.execute(
            "INSERT INTO words (rowid, title, heading, text) VALUES (?, ?, ?, ?)", (piece.number, *found)
        )
        told = (piece.path, piece.title, piece.heading, str(piece.page), piece.text)
        self._digest.update("\0".join((*told, "")).encode(errors="surrogatepass"))
        self._count += 1

    def put_vectors(self, embedder: str, vectors: NDArray[np.int8]) -> None:
        """`[pieces, dimensions]` of all pieces, in order. embedder: the digest of the model that made them."""
        if len(vectors) != self._count:
            raise DocumentsError(f"{len(vectors)} vectors for {self._count} pieces")
        with _told(self.path):
            for first in range(0, len(vectors), ROWS):
                data = vectors[first : first + ROWS].tobytes()
                self._database.execute("INSERT INTO vectors VALUES (?, ?)", (first, data))
                self._digest.update(data)
        self._digest.update(embedder.encode())
        self.tell(embedder=embedder, dimensions=str(vectors.shape[1]))

    def tell(self, **about: str) -> None:
        """Settings to keep with it."""
        with _told(self.path):
            self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())

    def texts(self) -> Iterator[tuple[int, str]]:
        """Number and text of each piece as it is embedded: below its title and headings."""
        yield from self._database.execute(TEXTS + " ORDER BY pieces.number")

    def texts_of(self, numbers: Sequence[int]) -> list[str]:
        """The same of some pieces."""
        return [
            self._database.execute(f"{TEXTS} WHERE pieces.number = ?", (number,)).fetchone()[1] for number in numbers
        ]

    def _put_in_place(self) -> None:
        self.tell(version=VERSION, pieces=str(self._count), digest=self._digest.hexdigest(), boundary=self._boundary())
        self._database.execute("INSERT INTO words (words) VALUES ('optimize')")
        self._database.execute("COMMIT")
        self._database.close()
        os.fsync(self._lock)
        self._begun.rename(self.path)
        _sync_folder(self.path.parent)

    def _boundary(self) -> str:
        """Hex digits that are in no piece, whatever its case."""
        while True:
            digits = secrets.token_hex(BOUNDARY_BYTES)
            if self._database.execute(HAS, (digits,)).fetchone() is None:
                return digits


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the disk or SQLite says, with the file's name."""
    try:
        yield
    except sqlite3.Error as error:
        full = "full" in str(error)
        raise DocumentsError(f"{path}: {'the disk is full' if full else error}", passes=True) from error
    except OSError as error:
        raise DocumentsError(f"{path}: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
