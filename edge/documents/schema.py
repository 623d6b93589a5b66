"""What an index file holds: one SQLite database, the same tables in each of this version.

An index may come with a bundle, from somebody else. `opened` therefore reads one as data: nothing that is not the
schema below is accepted, so that no trigger, view or function of a stranger's runs, and every size has a bound.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from edge.errors import DocumentsError

VERSION = "1"
SUFFIX = ".index"
FILE_BYTES_MAX = 2 << 30
PIECES_MAX = 200_000
TEXT_CHARS_MAX = 8_000
"""Of a piece; of a title, heading or path, NAME_CHARS_MAX."""
NAME_CHARS_MAX = 400
DIMENSIONS_MAX = 4096
ROWS = 2048
"""Vectors in a blob."""
SECONDS_MAX = 5.0
"""For one search, or one opening: a damaged file may have SQLite go round in circles."""
STEPS = 20_000
"""Of SQLite's machine, between two looks at the clock."""

TABLES = (
    "CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE documents (number INTEGER PRIMARY KEY, path TEXT NOT NULL, title TEXT NOT NULL)",
    "CREATE TABLE pieces (number INTEGER PRIMARY KEY, document INTEGER NOT NULL, heading TEXT NOT NULL, page INTEGER,"
    " text TEXT NOT NULL)",
    "CREATE TABLE vectors (first INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE VIRTUAL TABLE words USING fts5 (title, heading, text, content='',"
    " tokenize=\"unicode61 remove_diacritics 0 categories 'L* M* N* Co'\")",
    "CREATE VIRTUAL TABLE counts USING fts5vocab (words, row)",
)
"""about: settings by name. vectors: rows of int8, each as long as the embedder has dimensions. words: what BM25 ranks,
without the texts. counts: in how many pieces a word is."""


def create(database: sqlite3.Connection) -> None:
    """The tables, empty."""
    for table in TABLES:
        database.execute(table)


def opened(path: Path) -> sqlite3.Connection:
    """A database to read from, of this version; DocumentsError where it is none. It stays the same for who opened it.

    A newer one takes its place by a rename, and an open file stays what it was.
    """
    try:
        size = path.stat().st_size
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        database = sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise DocumentsError(f"{path}: cannot be opened: {error}") from error
    try:
        if size > FILE_BYTES_MAX:
            raise DocumentsError(f"{path}: {size / 1e9:.1f} GB; an index has {FILE_BYTES_MAX / 1e9:.1f} at most")
        _confine(database)
        _check(path, database)
    except (sqlite3.Error, UnicodeDecodeError, MemoryError) as error:
        database.close()
        raise DocumentsError(f"{path}: no index, or a damaged one ({error}); add the folder again") from error
    except BaseException:
        database.close()
        raise
    return database


def _confine(database: sqlite3.Connection) -> None:
    for limit, most in (
        (sqlite3.SQLITE_LIMIT_LENGTH, DIMENSIONS_MAX * ROWS + 4096),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 1 << 16),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0),
    ):
        database.setlimit(limit, most)
    for setting in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON", "mmap_size = 0"):
        database.execute(f"PRAGMA {setting}")


def _check(path: Path, database: sqlite3.Connection) -> None:
    with bounded(database):
        found = set(database.execute("SELECT type, name, sql FROM sqlite_schema LIMIT 100"))
        if not any(name == "about" for _, name, _ in found):
            raise DocumentsError(f"{path}: no index of documents")
        version = database.execute("SELECT value FROM about WHERE name = 'version'").fetchone()
        if version != (VERSION,):
            raise DocumentsError(f"{path}: an index of another version than {VERSION}; add the folder again")
        if found != _expected():
            raise DocumentsError(f"{path}: holds what an index of this version does not; add the folder again")


def _expected() -> set[tuple[str, str, str | None]]:
    with sqlite3.connect(":memory:") as empty:
        create(empty)
        return set(empty.execute("SELECT type, name, sql FROM sqlite_schema"))


class bounded:  # noqa: N801 - used as a verb
    """`with bounded(database):` whatever runs takes SECONDS_MAX at most, or sqlite3.OperationalError is raised."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        ends = time.monotonic() + SECONDS_MAX
        self._database.set_progress_handler(lambda: int(time.monotonic() > ends), STEPS)

    def __exit__(self, *_: object) -> None:
        self._database.set_progress_handler(None, 0)
