"""Blocks of remembered beginnings as files, which outlive the process.

A file is named by its block's key and holds a checksum over key and contents, then the contents, which are mapped
and not read, so that what they take is the kernel's to give back. It is written beside its name and renamed, on a
thread of its own, and is on the disk before it has its name. A disk that is full, short or failing ends the
writing and nothing else.

What is in use from memory counts as used on the disk, too, so that others do not take its place there. As many bytes
as the limit has may be written in a day: what comes and goes in a circle stops being written, and wears nothing out.
"""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from edge.board.disk import free_bytes
from edge.bundle import Bundle
from edge.engine import Options, budget
from edge.engine.cache.allowance import Allowance
from edge.engine.cache.caches import Caches
from edge.engine.cache.prefixes import BLOCK_TOKENS, Block, Key, Prefixes
from edge.engine.cache.whose import FILE_SUFFIX, PARTIAL, PREFIXES, forget_files, is_of
from edge.engine.graph.packed import name_of

log = logging.getLogger(__name__)

CHECKSUM_BYTES = 16
WAITING_BYTES_MAX = 512 << 20
"""Of blocks that wait to be written; more are not written this time. Most of them lie in memory anyway."""
TELL_SECONDS = 3600
"""Until files are told again that they are in use."""
FREE_BYTES_MIN = 512 << 20
"""Of the disk, which others need more."""


class PrefixFiles:
    """The files of one bundle and engine.

    folder: whose subfolder `name` they lie in; limit_bytes: of all files below the folder, 0 for reading alone.
    shape, dtype: of a block, which may have fewer tokens. waiting_bytes: that may wait to be written.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        limit_bytes: int,
        waiting_bytes: int = WAITING_BYTES_MAX,
    ) -> None:
        self._root, self._folder, self._limit = folder, folder / name, limit_bytes
        self._shape, self._dtype, self._waiting_most = shape, dtype, waiting_bytes
        self._token_bytes = int(np.prod(shape)) * dtype.itemsize // shape[3]
        self._wanted: set[Key] = set()
        self._pending: dict[Key, Block] = {}
        self._waiting_bytes, self._lock = 0, threading.Lock()
        self._in_use: dict[Key, float] = {}
        self._told = time.monotonic()
        self._allowance = Allowance(limit_bytes)
        self.written_bytes = 0
        self._work: queue.Queue[Callable[[], None]] = queue.Queue()
        self.damaged = 0
        self.is_writing = limit_bytes > 0
        if self.is_writing:
            threading.Thread(target=self._do_all, name="prefixes", daemon=True).start()

    def load(self, key: Key) -> Block | None:
        """A block, None where it is not there; one that is damaged is removed, and written anew when it is known."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                tokens = self._tokens(os.fstat(file.fileno()).st_size)
                mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if tokens else None
        except OSError:  # it is not there
            return None
        if mapped is not None:
            view = memoryview(mapped)
            if checksum(key, view[CHECKSUM_BYTES:]) == bytes(view[:CHECKSUM_BYTES]):
                shape = (*self._shape[:3], tokens, *self._shape[4:])
                return np.frombuffer(mapped, self._dtype, offset=CHECKSUM_BYTES).reshape(shape)
        self._note_damage(key, path)
        return None

    def load_all(self, keys: Sequence[Key]) -> dict[Key, Block]:
        """The blocks that are there one behind the other, on every core: what takes time is their checksums."""
        there = list(takewhile(self.has, keys))
        if not there:
            return {}
        with ThreadPoolExecutor(min(len(there), os.cpu_count() or 1)) as threads:
            return {
                key: block for key, block in zip(there, threads.map(self.load, there), strict=True) if block is not None
            }

    def _tokens(self, file_bytes: int) -> int:
        """Of a block in a file of that size; 0 where none has it."""
        tokens, rest = divmod(file_bytes - CHECKSUM_BYTES, self._token_bytes)
        return tokens if not rest and 0 < tokens <= self._shape[3] else 0

    def used(self, keys: Sequence[Key]) -> None:
        """Take note that these were of use; their files are told within the hour."""
        if self._limit:
            self._in_use |= dict.fromkeys(keys, time.time())

    def _note_damage(self, key: Key, path: Path) -> None:
        self.damaged += 1
        self._wanted.add(key)
        if self._limit:
            path.unlink(missing_ok=True)
        log.warning("%s is damaged and is not used", path)

    def has(self, key: Key) -> bool:
        """Whether a block is there, damaged or not."""
        return self._path(key).exists()

    def wants(self, key: Key) -> bool:
        """Whether a block is missing that was there."""
        return key in self._wanted

    @property
    def takes(self) -> bool:
        """Whether another block may wait to be written."""
        return self.is_writing and self._waiting_bytes < self._waiting_most

    def save(self, key: Key, block: Block) -> None:
        """Have a block written at the next flush, unless too many wait already; then it may come once more."""
        self._wanted.discard(key)
        is_room = block.nbytes <= self._waiting_most - self._waiting_bytes
        if self.is_writing and is_room and key not in self._pending:
            self._pending[key] = block
            self._wait(block.nbytes)

    def _wait(self, more_bytes: int) -> None:
        """So many bytes more wait to be written, or fewer."""
        with self._lock:
            self._waiting_bytes += more_bytes

    def flush(self) -> None:
        """Begin to write what was saved; for a moment in which nobody waits for the processor."""
        is_time = time.monotonic() - self._told >= TELL_SECONDS
        if self.is_writing and (self._pending or is_time):
            self._hand_over()

    def _hand_over(self) -> None:
        self._work.put(partial(self._write, self._pending, self._in_use))
        self._pending, self._in_use, self._told = {}, {}, time.monotonic()

    def settle(self) -> None:
        """Return when everything saved so far was written or given up."""
        if self.is_writing:
            self._hand_over()
        self._work.join()

    def forget(self, salt: str) -> None:
        """Remove the files of a salt, of other bundles too; those that wait to be written are not."""
        for gone in [key for key in self._pending if is_of(key, salt)]:
            self._wait(-self._pending.pop(gone).nbytes)
        self._wanted = {key for key in self._wanted if not is_of(key, salt)}
        self._in_use = {key: when for key, when in self._in_use.items() if not is_of(key, salt)}
        if self._limit:
            self._work.put(partial(forget_files, self._root, salt))  # behind what is being written
        else:
            forget_files(self._root, salt)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key.hex()}{FILE_SUFFIX}"

    def _do_all(self) -> None:
        while True:
            work = self._work.get()
            try:
                work()
            except OSError as error:
                self.is_writing = False
                log.warning("beginnings of texts are no longer kept on disk: %s", error)
            finally:
                self._work.task_done()

    def _write(self, blocks: dict[Key, Block], in_use: dict[Key, float]) -> None:
        """As many as the limit and the day allow, in their order, so that a text's beginning goes first."""
        try:
            if self.is_writing:
                self._tell(in_use)
                self._write_fitting(blocks)
        finally:
            self._wait(-sum(block.nbytes for block in blocks.values()))

    def _write_fitting(self, blocks: dict[Key, Block]) -> None:
        fitting: dict[Key, Block] = {}
        room = self._limit
        for key, block in blocks.items():
            size = CHECKSUM_BYTES + block.nbytes
            room -= size
            if room < 0 or not self._allowance.take(size):
                break
            fitting[key] = block
        self._make_room(sum(CHECKSUM_BYTES + block.nbytes for block in fitting.values()))
        for key, block in fitting.items():
            self._write_one(key, block)

    def _tell(self, in_use: dict[Key, float]) -> None:
        """Files when they were of use."""
        for key, when in in_use.items():
            with suppress(FileNotFoundError):  # memory alone has it
                os.utime(self._path(key), (when, when))

    def _write_one(self, key: Key, block: Block) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # what people asked can be read out of it
        if free_bytes(self._folder) < FREE_BYTES_MIN + block.nbytes:
            raise OSError(f"the disk of {self._root} is short")
        contents = np.ascontiguousarray(block).data.cast("B")
        path = self._path(key)
        begun = path.with_suffix(PARTIAL)
        with begun.open("wb") as file:
            file.write(checksum(key, contents))
            file.write(contents)
            file.flush()
            os.fdatasync(file.fileno())  # before it has its name, so that a power cut leaves none that is torn
        begun.rename(path)
        self.written_bytes += CHECKSUM_BYTES + block.nbytes

    def _make_room(self, wanted_bytes: int) -> None:
        """Remove the files that were of no use for longest, of other bundles too, until so much fits the limit."""
        files = sorted(self._files(), key=lambda each: each[1].st_mtime)
        total = wanted_bytes + sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self._limit:
                return
            path.unlink(missing_ok=True)
            total -= status.st_size

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for path in self._root.glob(f"*/*{FILE_SUFFIX}"):
            try:
                yield path, path.stat()
            except OSError:  # removed meanwhile, by another daemon of this board
                continue


def checksum(key: Key, contents: memoryview) -> bytes:
    """Of a block under its key, so that no file can stand for another."""
    return hashlib.blake2b(contents, key=key, digest_size=CHECKSUM_BYTES).digest()


def opened_prefixes(bundle: Bundle, options: Options, caches: Caches, runtime_version: str) -> Prefixes:
    """Known beginnings of texts: in memory, over what the bundle ships and what earlier processes left."""
    limit = budget.prefix_bytes(options.prefix_bytes)
    if not limit:
        return Prefixes(0)
    layers, parts, _, heads, _, head_size = caches.array.shape
    form = (layers, parts, heads, BLOCK_TOKENS, head_size), caches.array.dtype
    shipped = PrefixFiles(bundle.path, PREFIXES, *form, 0)
    if not options.cache_folder:
        return Prefixes(limit, shipped=shipped)
    folder = Path(options.cache_folder) / PREFIXES
    name = name_of(bundle.digest, runtime_version)  # sums come out otherwise on another processor
    on_disk = budget.prefix_disk_bytes(folder, options.prefix_disk_bytes)
    store = PrefixFiles(folder, name, *form, on_disk, min(limit, WAITING_BYTES_MAX))
    return Prefixes(limit, store, shipped)
