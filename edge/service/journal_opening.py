"""The journal's file, opened: what may be in the way, and what of that may pass."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
from pathlib import Path

from edge.errors import ConfigError
from edge.service.journal_schema import SCHEMA_VERSION, upgrade

log = logging.getLogger(__name__)

PAGE_BYTES = 4096
OURS = 0o600
"""What people ask is for nobody else; SQLite gives the files beside it the same mode."""
SECURE_SINCE = 3
"""The schema's version whose files have no bytes of what was dropped."""
CACHE_KIB = 512
"""Of pages in memory: what is open is little, what was answered is looked up by its name."""


def opened(path: Path | None, max_bytes: int) -> sqlite3.Connection:
    """The database, new where there is none; one that is damaged is put aside, since a board must come up by itself.

    ConfigError where it cannot be; it passes where a disk is full, failing or not writable, or another has the file.
    """
    try:
        if path is not None:
            _touch(path)
        return _connected(path, max_bytes)
    except OSError as error:
        text = f"the journal {path} cannot be opened: {error.strerror}; is journal.folder right, has its disk room?"
        raise ConfigError(text) from error
    except sqlite3.OperationalError as error:
        text = f"the journal {path} cannot be opened: {error}; does another daemon use it, has its disk room?"
        raise ConfigError(text, passes=True) from error
    except sqlite3.DatabaseError as error:
        assert path is not None
        return _begun_anew(path, max_bytes, error)


def _touch(path: Path) -> None:
    """What SQLite would do, for the system's own word for what is wrong, and no waiting for a FIFO."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, OURS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"the journal {path} cannot be opened: it is not a regular file; move it away")
    finally:
        os.close(descriptor)
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        _keep_to_ourselves(each)


def _keep_to_ourselves(path: Path) -> None:
    """As older daemons did not, outside systemd."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        if path.stat().st_mode & ~OURS & 0o777:
            path.chmod(OURS)


def _begun_anew(path: Path, max_bytes: int, error: sqlite3.DatabaseError) -> sqlite3.Connection:
    """A new journal; what is there is kept beside it."""
    aside = path.with_name(f"{path.name}.damaged")
    log.error("the journal %s is damaged (%s); it is kept as %s, and a new one begun", path, error, aside.name)
    try:
        path.replace(aside)
        for rest in ("-wal", "-shm"):
            path.with_name(path.name + rest).unlink(missing_ok=True)
        return _connected(path, max_bytes)
    except (OSError, sqlite3.Error) as again:
        text = f"the journal {path} is damaged and cannot be begun anew: {again}; has its disk room?"
        raise ConfigError(text, passes=True) from again


def _connected(path: Path | None, max_bytes: int) -> sqlite3.Connection:
    database = sqlite3.connect(path or ":memory:", timeout=1, check_same_thread=False)
    database.execute("pragma locking_mode = exclusive")
    database.execute("pragma journal_mode = wal")
    database.execute("pragma synchronous = full")
    database.execute("pragma secure_delete = on")  # what was dropped is not to be read in the file any more
    database.execute(f"pragma cache_size = -{CACHE_KIB}")
    database.execute(f"pragma max_page_count = {max_bytes // PAGE_BYTES}")
    version = database.execute("pragma user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ConfigError(f"the journal {path} has schema version {version}, but this daemon reads {SCHEMA_VERSION}")
    if (state := database.execute("pragma quick_check(1)").fetchone()[0]) != "ok":
        raise sqlite3.DatabaseError(state)
    with database:
        upgrade(database, version)
        database.execute("delete from name where number not in (select number from request)")
    if 0 < version < SECURE_SINCE:
        with contextlib.suppress(sqlite3.OperationalError):  # no room for a copy: it is written over little by little
            database.execute("vacuum")
    database.execute("pragma wal_checkpoint(truncate)").fetchone()  # what a crash left of what was to be dropped
    return database
