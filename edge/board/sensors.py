"""Every source, each on a thread of its own while it is read: none delays another, none fails another."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from edge.board.files import Absent, Files, contents
from edge.board.source import Sample, Source

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 0.2
"""How long a look waits for a source; of one that takes longer it has the last reading."""
START_SECONDS = 0.02
"""Before the next is begun beside it."""
HELD_SECONDS = 30.0
"""After so long without an answer a source counts as failed, until it has one."""
SHOWN = 3
"""Files of a source whose trouble is told."""


@dataclass(frozen=True)
class Reading:
    """What a source said, or why it did not. taken: when it was begun, by the monotonic clock."""

    taken: float
    body: Mapping[str, Any] | None = None
    is_absent: bool = False
    denied: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def reading(source: Source, files: Files) -> Reading:
    """One reading; whatever becomes of it."""
    taken, body, is_absent = time.monotonic(), None, False
    try:
        body = source.read(files)
    except Absent:
        is_absent = not files.denied and not files.failed  # else something is there
    except Exception as error:  # of a driver's text that nobody foresaw
        log.debug("%s cannot be read", source.name, exc_info=error)
        files.reject(source.name, f"{type(error).__name__}: {error}")
    return Reading(taken, body, is_absent, files.denied, files.failed)


@dataclass
class Post:
    """One source, and what it said last. busy: the reading under way, begun at `begun`; is_held: for too long."""

    source: Source
    last: Reading | None = None
    errors: int = 0
    busy: asyncio.Future[None] | None = None
    begun: float = 0.0
    is_held: bool = False

    def keep(self, found: Reading) -> None:
        """A reading that has come."""
        self.last, self.is_held = found, False
        self.errors += len(found.failed)

    def is_due(self, now: float) -> bool:
        """Whether a reading is to be begun: one at a time."""
        return self.busy is None and (self.last is None or now - self.last.taken >= self.source.period_seconds)

    def silence(self, now: float) -> str:
        """Why there is nothing new; empty where nothing is wrong with that yet. To be held counts as one failure."""
        seconds = now - self.begun if self.busy else 0.0
        if seconds < HELD_SECONDS:
            return ""
        self.errors += not self.is_held
        self.is_held = True
        return f"no answer for {seconds:.0f} s"


class Threads(Executor):
    """A thread for each call. One that a driver holds does not hold up the end of the program, as a pool's would."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Begin at once."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody can call it off

        def work() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        threading.Thread(target=work, name="sensor", daemon=True).start()
        return future


class Sensors:
    """What a board can be asked. read: what reads a file, threads: what a source is read on, where it is another."""

    def __init__(
        self,
        sources: Iterable[Source],
        root: Path = Path("/"),
        read: Callable[[Path], bytes] = contents,
        threads: Executor | None = None,
    ) -> None:
        self._posts = {source.name: Post(source) for source in sources}
        self._root, self._read, self._threads = root, read, threads or Threads()

    async def look(self, names: Collection[str] | None = None) -> Sample:
        """A reading of every source, or of those that are named; the last one of those that are slow.

        A source that did not answer an earlier look is not waited for. Each has a start before the next, since threads
        that read side by side wait for each other's interpreter lock far longer than for files.
        """
        posts = [post for name, post in self._posts.items() if names is None or name in names]
        waited = []
        for post in posts:
            if post.is_due(time.monotonic()):
                is_slow, busy = self._is_slow(post), self._begin(post)
                if not is_slow:
                    waited.append(busy)
                    await asyncio.wait([busy], timeout=START_SECONDS)
        if waited:
            await asyncio.wait(waited, timeout=PATIENCE_SECONDS)
        return sample(posts, time.monotonic())

    def _is_slow(self, post: Post) -> bool:
        """Whether a look does without: but for its first reading, a source with a tempo of its own."""
        return bool(post.source.period_seconds and post.last)

    def _begin(self, post: Post) -> asyncio.Future[None]:
        post.begun = time.monotonic()
        post.busy = asyncio.ensure_future(self._read_one(post))
        return post.busy

    async def _read_one(self, post: Post) -> None:
        files, begun = Files(self._root, self._read), time.monotonic()
        try:
            post.keep(await asyncio.get_running_loop().run_in_executor(self._threads, reading, post.source, files))
        except RuntimeError as error:  # there is no thread to be had, of a board that is short of memory or of tasks
            post.keep(Reading(begun, failed={post.source.name: str(error)}))
        finally:
            post.busy = None


def read_all(sources: Iterable[Source], root: Path, read: Callable[[Path], bytes] = contents) -> Sample:
    """One reading of every source, one after the other, each waited for."""
    posts = [Post(source) for source in sources]
    for post in posts:
        post.keep(reading(post.source, Files(root, read)))
    return sample(posts, time.monotonic())


def sample(posts: Iterable[Post], now: float) -> Sample:
    """What was said last, with its age where that is not of this look."""
    found = Sample()
    for post in posts:
        name, silence = post.source.name, post.silence(now)
        if post.last is not None:
            _tell(found, post, post.last, now)
        if silence:
            found.failed[name] = silence
        if post.errors:
            found.errors[name] = post.errors
    return found


def _tell(found: Sample, post: Post, last: Reading, now: float) -> None:
    name, is_old = post.source.name, post.source.period_seconds or post.busy
    if last.body is not None:
        found.readings[name] = {**last.body, **({"age_seconds": round(now - last.taken, 3)} if is_old else {})}
    if last.is_absent:
        found.absent.append(name)
    for told, kept in ((found.denied, last.denied), (found.failed, last.failed)):
        if kept:
            told[name] = _told(kept)


def _told(kept: Mapping[str, str]) -> str:
    """The first few of them in a line."""
    parts = [f"{path}: {why}" for path, why in list(kept.items())[:SHOWN]]
    return "; ".join([*parts, f"and {len(kept) - SHOWN} more"] if len(kept) > SHOWN else parts)
