"""The Update Framework: which index of a bundle is the repository's own, the newest, and not mixed with others.

All trust begins with the root metadata that the operator laid on the board (`store.root`). What was verified is kept in
<store>/tuf, so that nothing older is believed later (TUF specification 1.0.33, section 5; python-tuf does it).

A board without a clock of its own may think that it is 1970, when nothing has expired yet. So the newest time at which
metadata was good is written down, as is when this program was installed; expiry is judged by the later of it and the
clock, and a clock that is a day and more behind is not believed at all. A clock that is ahead refuses everything, and
leaves no trace.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tuf.api import exceptions
from tuf.api.metadata import Metadata
from tuf.ngclient.fetcher import FetcherInterface
from tuf.ngclient.updater import Updater

import edge
from edge.errors import BundleError, ConfigError, EdgeError
from edge.store.fetch import Missing, Repository, TooLong
from edge.store.index import INDEX_BYTES_MAX, target
from edge.store.store import replace_file, sync

NEWEST_TIME = "newest-time"
"""The file that holds it, in seconds since 1970."""
BEHIND_SECONDS = 86400.0
"""How far the clock may be behind what it has been: boards that save their clock do so once an hour or a day."""
LATEST_SECONDS = 253_402_300_800.0
"""The end of the year 9999, where dates end."""
TOP_LEVEL = ("root", "timestamp", "snapshot", "targets")


class Trust:
    """What one repository's metadata says, verified. folder: where it is kept; it must be there.

    root: the file with the first root metadata. clock: seconds since 1970.
    """

    def __init__(
        self, repository: Repository, folder: Path, root: Path, clock: Callable[[], float] = time.time
    ) -> None:
        self._repository, self._folder, self._root, self._clock = repository, folder, root, clock

    def index(self, channel: str, name: str, version: str) -> bytes:
        """The signed bytes of a bundle's index. Raises as `find` does, and where there is none, which passes."""
        payload = self.find(channel, name, version)
        if payload is None:
            text = f"channel {channel} of {self._repository} has no bundle {name}, version {version}"
            raise BundleError(f"{text}: is it published there, and is it spelled like that?", passes=True)
        return payload

    def find(self, channel: str, name: str, version: str) -> bytes | None:
        """The signed bytes of a bundle's index; None where the repository, with which all is well, has no such bundle.

        Raises BundleError saying what is wrong with the repository; it passes where it cannot be reached, has expired,
        and where the clock is wrong. ConfigError where the root cannot be used.
        """
        now_seconds = self._now_seconds()
        try:
            updater = self._updater()
            payload = self._payload(updater, target(channel, name, version))
            self._refuse_expired(now_seconds, [*TOP_LEVEL, channel])
        except (exceptions.RepositoryError, exceptions.DownloadError) as error:
            raise self._explained(error) from error
        self._remember(now_seconds)
        return payload

    def _updater(self) -> Updater:
        try:
            root = self._root.read_bytes()
        except OSError as error:
            text = f"{self._root} cannot be read ({error.strerror})"
            raise ConfigError(f"{text}: copy the repository's metadata/1.root.json there (store.root)") from error
        fetcher = _Fetcher(self._repository)
        try:
            return Updater(str(self._folder), "metadata/", None, "targets/", fetcher, bootstrap=root)
        except exceptions.RepositoryError as error:
            raise ConfigError(f"{self._root} is no root metadata that can be used (store.root): {error}") from error

    def _payload(self, updater: Updater, path: str) -> bytes | None:
        found = updater.get_targetinfo(path)
        if found is None:
            return None
        if found.length > INDEX_BYTES_MAX:
            raise BundleError(f"an index has {INDEX_BYTES_MAX} bytes at most, this one {found.length}")
        return Path(updater.download_target(found, str(self._folder / "index"))).read_bytes()

    def _now_seconds(self) -> float:
        """By which expiry is judged. BundleError where the clock cannot be right."""
        clock_seconds, least_seconds = self._clock(), max(self._newest_seconds(), _installed_seconds())
        if clock_seconds < least_seconds - BEHIND_SECONDS:
            text = f"this board's clock says {_date(clock_seconds)}, but it has been {_date(least_seconds)} before"
            raise BundleError(f"{text}: set it (`timedatectl`); until then nobody can tell what expired", passes=True)
        return max(clock_seconds, least_seconds)

    def _newest_seconds(self) -> float:
        try:
            seconds = float((self._folder / NEWEST_TIME).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0.0
        return seconds if 0 <= seconds < LATEST_SECONDS else 0.0  # a damaged file is none

    def _remember(self, seconds: float) -> None:
        """What was verified is on the disk, with the time at which it was good."""
        for folder in (self._folder, self._folder / "root_history"):
            for file in folder.iterdir():
                sync(file)
            sync(folder)
        replace_file(self._folder / NEWEST_TIME, f"{seconds:.0f}\n".encode())

    def _refuse_expired(self, seconds: float, roles: list[str]) -> None:
        """python-tuf asks the clock alone."""
        now = datetime.fromtimestamp(seconds, UTC)
        for role in roles:
            file = self._folder / f"{role}.json"
            if file.is_file() and Metadata.from_bytes(file.read_bytes()).signed.is_expired(now):
                raise exceptions.ExpiredMetadataError(f"{role}.json is expired")

    def _explained(self, error: Exception) -> EdgeError:
        """What happened, and what to do."""
        cause = error.__cause__
        if isinstance(cause, EdgeError):
            return cause
        if isinstance(error, exceptions.DownloadHTTPError):
            text = f"{self._repository} holds no whole repository ({error})"
            return BundleError(f"{text}: is its disk mounted, is store.repository right?", passes=True)
        if isinstance(error, exceptions.ExpiredMetadataError):
            text = f"{self._repository} has expired: {error}. It is frozen at an old state, or nobody has signed it"
            text = f"{text} anew (`edge-channel refresh`), or this board's clock, {_date(self._clock())}, is ahead"
            return BundleError(text, passes=True)
        return BundleError(f"{self._repository} {_happened(error)} ({error}); nothing of it is used")


def _happened(error: Exception) -> str:
    if isinstance(error, exceptions.BadVersionNumberError) and "must be >=" in str(error):
        return "is older than what this board has seen of it: a rollback, or a copy that was not brought up to date"
    if isinstance(error, exceptions.BadVersionNumberError):
        return "is mixed of several states: copy it again, metadata last"
    if isinstance(error, exceptions.LengthOrHashMismatchError):
        return "is altered, or mixed of several states: copy it again"
    if isinstance(error, exceptions.UnsignedMetadataError):
        return "is not signed with the keys that store.root stands for: is it the right repository?"
    if isinstance(error, exceptions.DownloadLengthMismatchError):
        return "sends more than it may"
    return "has metadata that cannot be used"


class _Fetcher(FetcherInterface):
    """python-tuf's way to the repository's files, by their paths."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            return iter([self._repository.read(url, INDEX_BYTES_MAX)])
        except Missing as error:
            raise exceptions.DownloadHTTPError(str(error), 404) from None
        except TooLong as error:
            raise exceptions.DownloadLengthMismatchError(str(error)) from None


def _installed_seconds() -> float:
    return Path(edge.__file__).stat().st_mtime


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
