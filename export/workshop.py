"""Where a bundle is made: a folder beside its place, ours alone, known by a mark, and gone afterwards.

A bundle comes into its place by one exchange of names. Where the file system has none, the old one waits in the
workshop meanwhile, and goes back should the new one not follow.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from export.errors import ExportError, SourceError, TargetError
from export.stopping import undisturbed

MARK, WORDS = ".edge-export", "edge-export made this folder and will remove it.\n"
BUNDLE, REHEARSAL, OLD = "bundle", "rehearsal", "old"
"""What lies in a workshop: the bundle in the making, a rehearsal's, and a bundle that is about to be replaced."""
ONLY_NEW, EXCHANGED = 1, 2
"""Flags of Linux's renameat2(2): RENAME_NOREPLACE, RENAME_EXCHANGE."""
AT_FDCWD = -100
LACKING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM, errno.EXDEV)
"""What a kernel or a file system says that does not know them; the last, an overlay of what its lower layer holds."""


@contextmanager
def staging(target: Path, waits: bool = False) -> Iterator[Path]:
    """A workshop beside the target that is gone afterwards, whatever happens.

    waits: for another export of the same target, as long as it takes; else, and where nothing can be written there,
    TargetError. SourceError for a file elsewhere that the system does not give us.
    """
    workshop = target.with_name(f".{target.name}.partial")
    own = _Workshop(workshop, target)
    try:
        missing = [folder for folder in target.parents if not folder.exists()]
        try:
            own.take(waits)
            yield workshop
        finally:
            with undisturbed():
                own.leave()
                _remove_empty(missing)
    except OSError as error:
        raise _refusal(error, target.parent, workshop) from error


def _refusal(error: OSError, folder: Path, workshop: Path) -> ExportError:
    """What an error of the system's says of the folder that a workshop is in, or of a file elsewhere that we read."""
    why, file = error.strerror or error, Path(os.fsdecode(error.filename or workshop))
    if file.is_relative_to(workshop) or file in (folder, *folder.parents):
        return TargetError(f"{folder} cannot be written: {why}; name another place with -o")
    return SourceError(f"{file} cannot be used: {why}")


def _remove_empty(folders: Sequence[Path]) -> None:
    """What was made for a bundle that has not come into it; the innermost first."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


class _Workshop:
    """A folder that is ours from `take` on, until we leave it or this process ends.

    The one who had it has removed it by then, so that it is made anew and locked anew. What an export that was killed
    left is cleared away.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self._folder, self._target = folder, target
        self._lock: int | None = None
        self._is_ours = False

    def take(self, waits: bool) -> None:
        """Empty, marked and locked; TargetError where another has it and is not waited for, or it is no workshop."""
        while not self._is_ours:
            with undisturbed():
                self._try()
            if not self._is_ours and self._lock is not None:
                self._wait(self._lock, waits)

    def _try(self) -> None:
        """Ours where nobody has it; not where it went away between two looks at it, or another has it."""
        self._close()
        self._lock = _opened(self._folder)
        if self._lock is None or not _is_locked_at_once(self._lock):
            return
        if not _is_open(self._folder, self._lock):
            self._close()
            return
        if any(self._folder.iterdir()) and not is_marked(self._folder):
            raise TargetError(f"{self._folder} is in the way, and no export has made it; move it elsewhere")
        self._is_ours = True
        _empty(self._folder, self._target)
        (self._folder / MARK).write_text(WORDS, encoding="utf-8")

    def _wait(self, lock: int, waits: bool) -> None:
        if not waits:
            raise TargetError(f"another export is making {self._target}; wait for it, or stop it")
        print(f"waiting for another export, which is making {self._target}", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)

    def leave(self) -> None:
        """Remove it where it is ours."""
        if self._is_ours:
            _clear(self._folder, self._target)
        self._close()

    def _close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _opened(workshop: Path) -> int | None:
    """A descriptor of the folder, made where it is missing; None where the one who had it has just removed it."""
    workshop.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        workshop.mkdir()
    try:
        return os.open(workshop, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise TargetError(f"{workshop} is in the way, and no folder; move it elsewhere") from error
        raise


def _is_locked_at_once(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_open(folder: Path, descriptor: int) -> bool:
    """Whether a path still leads to the folder that was opened."""
    try:
        return os.path.samestat(folder.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_marked(workshop: Path) -> bool:
    """Whether an export made a folder."""
    mark = workshop / MARK
    try:
        return not mark.is_symlink() and mark.read_text(encoding="utf-8") == WORDS
    except (OSError, UnicodeDecodeError):
        return False


def _empty(workshop: Path, target: Path) -> None:
    """Everything but the mark goes, and a bundle that was being replaced goes back."""
    if (workshop / OLD).exists() and not os.path.lexists(target):
        (workshop / OLD).rename(target)
    for path in workshop.iterdir():
        if path.name != MARK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _clear(workshop: Path, target: Path) -> None:
    """The workshop goes, its mark last: what is left by a kill in the midst is known as ours or empty."""
    with suppress(OSError):
        _empty(workshop, target)
        (workshop / MARK).unlink(missing_ok=True)
        workshop.rmdir()


def put(made: Path, target: Path, replaces: bool) -> None:
    """A bundle from its workshop into its place, at once, and on disk; what it replaces is in the workshop then.

    Raises TargetError where something has come into the place meanwhile.
    """
    for path in [*made.rglob("*"), made]:
        _on_disk(path)
    try:
        with undisturbed():
            _exchange(made, target) if replaces and os.path.lexists(target) else _move(made, target)
    except FileExistsError as error:
        raise TargetError(f"{target} was made by somebody else meanwhile; remove it, and export again") from error
    _on_disk(target.parent)


def _on_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _move(made: Path, target: Path) -> None:
    """To where nothing is."""
    if not _renamed(made, target, ONLY_NEW):
        if os.path.lexists(target):
            raise FileExistsError(target)
        made.rename(target)


def _exchange(made: Path, target: Path) -> None:
    """With what is there; in two steps where the file system cannot do it in one."""
    if not _renamed(made, target, EXCHANGED):
        shutil.move(target, made.with_name(OLD))  # copied where it cannot be renamed, in an overlay
        made.rename(target)


def _renamed(source: Path, target: Path, flags: int) -> bool:
    """Linux's renameat2(2); False where kernel, C library or file system lack it. Raises OSError."""
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    if call(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in LACKING:
        return False
    raise OSError(number, os.strerror(number), str(target))
