"""Bytes of a repository: a folder, as of a NAS or a USB stick, or an address of http:// or https://.

Nothing is read without a bound, in bytes and in time. Over HTTP there is no connection but to the repository's own
host: no proxy from the environment, and no redirect to another one. `https://` trusts the system's authorities, as
OpenSSL finds them (`SSL_CERT_FILE`).
"""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urljoin

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from edge import __version__
from edge.errors import BundleError

TIMEOUT = Timeout(connect=10, read=30)
"""Seconds until a connection is there, and between two pieces of an answer."""
PAUSES_SECONDS = (0.5, 2.0, 5.0)
"""Before an answer that did not come is asked for again."""
FIRST_SECONDS, SLOWEST_BYTES_PER_SECOND = 60, 1024
"""How long an answer may take in all: less than that is not slow, but held up."""
REDIRECTS_MAX = 3
PIECE_BYTES = 64 << 10
NOT_THERE = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
"""A server that lists nothing says that what is not there is forbidden."""
PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}


class Missing(BundleError):
    """The repository has no such file."""


class TooLong(BundleError):
    """A file of the repository goes on after its bound."""


class Repository(Protocol):
    """Where files come from."""

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A file by its path in the repository, percent-encoded as in an address.

        Raises Missing, TooLong, or BundleError, which passes where the repository cannot be reached now.
        """
        ...


def repository_at(place: str) -> Repository:
    """The repository in a folder or at an address (`store.repository`)."""
    return Web(place) if place.startswith(("http://", "https://")) else Folder(Path(place))


class Folder:
    """A repository that lies on a disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __str__(self) -> str:
        return str(self._folder)

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A regular file; anything else, as a FIFO, might be waited for for ever."""
        file = self._folder / unquote(path)
        try:
            number = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(number, "rb") as opened:
                if not stat.S_ISREG(os.fstat(number).st_mode):
                    raise BundleError(f"{file} is not a regular file: copy the repository again")
                return _bounded(opened.read(limit_bytes + 1), limit_bytes, str(file))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise Missing(f"{file} is not there") from error
        except OSError as error:
            raise BundleError(f"{file} cannot be read: {error.strerror}") from error


class Web:
    """A repository behind a web server, over one connection that is kept."""

    def __init__(
        self, address: str, pauses_seconds: tuple[float, ...] = PAUSES_SECONDS, first_seconds: float = FIRST_SECONDS
    ) -> None:
        self._address = address.rstrip("/")
        self._pauses_seconds, self._first_seconds = pauses_seconds, first_seconds
        try:
            self._pool = urllib3.connectionpool.connection_from_url(self._address, timeout=TIMEOUT, retries=False)
        except HTTPError as error:
            raise BundleError(f"{address} is no address: correct store.repository") from error

    def __str__(self) -> str:
        return self._address

    def read(self, path: str, limit_bytes: int) -> bytes:
        """Asked for again where no answer comes, or a server says that it will have one later."""
        for pause_seconds in (*self._pauses_seconds, None):
            try:
                return self._read(path, limit_bytes)
            except (HTTPError, ValueError) as error:  # urllib's at an address that is none, http.client's at a length
                if pause_seconds is None:
                    text = f"{self} cannot be reached now ({_reason(error)})"
                    raise BundleError(f"{text}; it is asked again later", passes=True) from error
                time.sleep(pause_seconds)
        raise AssertionError  # the last pause is None

    def _read(self, path: str, limit_bytes: int) -> bytes:
        with _within(self._first_seconds + limit_bytes / SLOWEST_BYTES_PER_SECOND):
            place = f"{self._address}/{path}"
            for _ in range(1 + REDIRECTS_MAX):
                answer = self._answer(place)
                try:
                    if location := answer.get_redirect_location():
                        place = self._leads_to(urljoin(place, location), path)
                        answer.close()  # what it says beside that is not read: it need not end
                        continue
                    self._check(answer.status, path)
                    data = _collected(answer.read, limit_bytes)
                    return _bounded(data, limit_bytes, f"{self}/{path}")
                except BaseException:
                    answer.close()  # what is left of it is not read
                    raise
                finally:
                    answer.release_conn()
        raise HTTPError("too many redirects")

    def _answer(self, place: str) -> BaseHTTPResponse:
        """Status and headers. urllib3 asks again, or elsewhere, only once it has read all of an answer: it may not."""
        return self._pool.urlopen(
            "GET",
            urllib3.util.parse_url(place).request_uri,
            headers={"User-Agent": f"edge-slm/{__version__}", "Accept-Encoding": "identity"},
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )

    def _leads_to(self, place: str, path: str) -> str:
        if not self._pool.is_same_host(place):
            raise BundleError(f"{self}/{path} leads to another host, which is not followed")
        return place

    def _check(self, status: int, path: str) -> None:
        if status in NOT_THERE:
            raise Missing(f"{self}/{path} is not there (HTTP status {status})")
        if status in PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise HTTPError(f"HTTP status {status}")
        if status != HTTPStatus.OK:
            raise BundleError(f"{self}/{path} is refused with the HTTP status {status}: look at the server")


def _collected(read: Callable[[int], bytes], limit_bytes: int) -> bytes:
    """An answer's bytes, one more than there may be at most."""
    found = bytearray()
    while len(found) <= limit_bytes and (piece := read(min(PIECE_BYTES, limit_bytes + 1 - len(found)))):
        found += piece
    return bytes(found)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raises HTTPError once they are over, whatever is waited for: a socket's time-out begins anew at each byte.

    By the system's alarm, which only the main thread may set; the installer has no other thread.
    """

    def over(_signal: int, _frame: object) -> None:
        raise HTTPError(f"not all of the answer has come in {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, over)
    others = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *others)


def _bounded(data: bytes, limit_bytes: int, place: str) -> bytes:
    if len(data) > limit_bytes:
        raise TooLong(f"{place} has more than the {limit_bytes} bytes that it may have at most")
    return data


def _reason(error: BaseException) -> str:
    """The innermost words, without the objects that urllib3 names before them."""
    return str(getattr(error, "reason", None) or error).rpartition(">: ")[2].rpartition("object at ")[2] or "no answer"
