"""Blocks of remembered beginnings as files, which outlive the process.

A file is named by its block's key and holds a checksum over key and contents, then the contents, which are mapped
and not read, so that what they take is the kernel's to give back. It is written beside its name and renamed, on a
thread of its own; what a power cut leaves of it fails its checksum. A disk that is full, short or failing ends the
writing and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edge.engine.prefix import Block, Key

log = logging.getLogger(__name__)

CHECKSUM_BYTES = 16
PENDING_MAX = 256
"""Blocks that may wait to be written; more are not written this time."""
FREE_BYTES_MIN = 512 << 20
"""Of the disk, which others need more."""
SUFFIX = ".kv"


class PrefixFiles:
    """The files of one bundle and engine.

    folder: whose subfolder `name` they lie in; limit_bytes: of all files below the folder, 0 for reading alone.
    shape, dtype: of a block.
    """

    def __init__(self, folder: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], limit_bytes: int) -> None:
        self._root, self._folder, self._limit = folder, folder / name, limit_bytes
        self._shape, self._dtype = shape, dtype
        self._size = int(np.prod(shape)) * dtype.itemsize
        self._wanted: set[Key] = set()
        self._pending: dict[Key, Block] = {}
        self._writes: queue.Queue[tuple[Key, Block]] = queue.Queue()
        self.damaged = self.written = 0
        self.is_writing = limit_bytes > 0
        if self.is_writing:
            threading.Thread(target=self._write_all, name="prefixes", daemon=True).start()

    def load(self, key: Key) -> Block | None:
        """A block, None where it is not there; one that is damaged is removed, and written anew when it is known."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            os.utime(path)
        except (OSError, ValueError):  # not there, or empty, which cannot be mapped
            return None
        view = memoryview(mapped)
        is_whole = len(view) == CHECKSUM_BYTES + self._size
        if is_whole and checksum(key, view[CHECKSUM_BYTES:]) == bytes(view[:CHECKSUM_BYTES]):
            return np.frombuffer(mapped, self._dtype, offset=CHECKSUM_BYTES).reshape(self._shape)
        self.damaged += 1
        self._wanted.add(key)
        if self._limit:
            path.unlink(missing_ok=True)
        log.warning("%s is damaged and is not used", path)
        return None

    def wants(self, key: Key) -> bool:
        """Whether a block is missing that was there."""
        return key in self._wanted

    def save(self, key: Key, block: Block) -> None:
        """Have a block written at the next flush, unless too many wait already."""
        self._wanted.discard(key)
        if self.is_writing and len(self._pending) < PENDING_MAX:
            self._pending[key] = block

    def flush(self) -> None:
        """Begin to write what was saved; for a moment in which nobody waits for the processor."""
        pending, self._pending = self._pending, {}
        for item in pending.items():
            self._writes.put(item)

    def settle(self) -> None:
        """Return when everything saved so far was written or given up."""
        self.flush()
        self._writes.join()

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key.hex()}{SUFFIX}"

    def _write_all(self) -> None:
        while True:
            key, block = self._writes.get()
            try:
                if self.is_writing:
                    self._write(key, block)
            except OSError as error:
                self.is_writing = False
                log.warning("beginnings of texts are no longer kept on disk: %s", error)
            finally:
                self._writes.task_done()

    def _write(self, key: Key, block: Block) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # what people asked can be read out of it
        if shutil.disk_usage(self._folder).free < FREE_BYTES_MIN + self._size:
            raise OSError(f"the disk of {self._root} is short")
        contents = np.ascontiguousarray(block).data.cast("B")
        path = self._path(key)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            file.write(checksum(key, contents))
            file.write(contents)
        partial.rename(path)
        self.written += 1
        self._make_room()

    def _make_room(self) -> None:
        """Remove the files that were of no use for longest, of other bundles too, down to the limit."""
        files = sorted(self._files(), key=lambda each: each[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.glob(f"*/*{SUFFIX}"):
            try:
                yield path, path.stat()
            except OSError:  # removed meanwhile, by another daemon of this board
                continue


def checksum(key: Key, contents: memoryview) -> bytes:
    """Of a block under its key, so that no file can stand for another."""
    return hashlib.blake2b(contents, key=key, digest_size=CHECKSUM_BYTES).digest()


def is_on_sd_card(folder: Path, root: Path = Path("/")) -> bool:
    """Whether a folder lies on an SD card, which writing wears out (Linux, `Documentation/mmc/mmc-dev-attrs.rst`)."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    number = existing.stat().st_dev
    device = root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    try:
        resolved = device.resolve(strict=True)
    except OSError:  # a file system without a device of its own
        return False
    kinds = [disk / "device/type" for disk in (resolved, resolved.parent)]
    return any(kind.read_text().strip() == "SD" for kind in kinds if kind.is_file())
