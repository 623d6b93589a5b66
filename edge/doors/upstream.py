"""The way out: another server that speaks OpenAI's chat API answers in the board's place.

No connection but to the address that the operator gave: no proxy from the environment, no redirect. `https://` trusts
the system's authorities, as OpenSSL finds them (`SSL_CERT_FILE`). Each request has a connection and a thread of its own
while it lasts, since urllib3 waits in its thread; what it has read comes to the event loop a piece at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from edge import __version__
from edge.config import Upstream as Settings
from edge.doors.upstream_chunks import Chunks, fault_of
from edge.errors import EngineFailed, Fault, Unavailable
from edge.wire.message import dumps
from edge.wire.passed import Passed

log = logging.getLogger(__name__)

CONNECT_SECONDS = 10
AT_ONCE_MAX = 64
"""As many as an engine can have rows, whose places they take."""
LINE_BYTES_MAX, ANSWER_BYTES_MAX = 1 << 20, 64 << 20
"""Of a line, and of all that comes for one request; a server that says more is not what we think."""
ERROR_BYTES_MAX = 64 << 10
PIECE_BYTES = 16 << 10
RETRY_SECONDS = 10
"""Until it is worth asking again where the server does not say."""

Said = str | Passed | Fault


class Call:
    """One request: read in a thread, heard in the loop."""

    def __init__(self) -> None:
        self.loop, self.said = asyncio.get_running_loop(), asyncio.Queue[Said]()
        self.response: BaseHTTPResponse | None = None
        self.is_over = False

    def tell(self, said: Said) -> None:
        """From the thread. The loop may have ended before it."""
        if not self.is_over:
            self.loop.call_soon_threadsafe(self.said.put_nowait, said)

    def end(self) -> None:
        """From the loop: what is read no more is not to be sent, either."""
        self.is_over = True
        if self.response is not None:
            with contextlib.suppress(OSError, ValueError, RuntimeError):  # it has ended by itself
                self.response.shutdown()


class Upstream:
    """The server of `[upstream]`. sent_bytes, received_bytes: of bodies, since the start."""

    def __init__(self, settings: Settings) -> None:
        assert settings.url
        self._settings, self._path = settings, f"{settings.url}/chat/completions"
        self._pool = urllib3.connectionpool.connection_from_url(settings.url, maxsize=4, retries=False)
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="upstream")
        self._calls: dict[int, Call] = {}
        self.sent_bytes = self.received_bytes = 0

    async def generate(self, number: int, fields: Mapping[str, Any]) -> AsyncGenerator[str | Passed, None]:
        """Pieces of an answer, then how it ended; raises Fault. A server that is silent for too long is given up."""
        call = self._calls[number] = Call()
        body = dumps(fields)
        self.sent_bytes += len(body)
        self._threads.submit(self._read, call, body)
        try:
            while True:
                said = await call.said.get()
                if isinstance(said, Fault):
                    raise said
                yield said
                if isinstance(said, Passed):
                    return
        finally:
            del self._calls[number]
            call.end()

    def cancel(self, number: int) -> None:
        """Have one end now."""
        if (call := self._calls.get(number)) is not None:
            call.said.put_nowait(Passed("cancelled", ""))

    def _read(self, call: Call, body: bytes) -> None:
        """In a thread: an answer from its first byte to its last."""
        try:
            call.response = response = self._sent(body)
            try:
                self._told(call, response)
            finally:
                response.close()
        except (HTTPError, OSError, ValueError) as error:
            if not call.is_over:
                log.warning("%s does not answer: %s", self._settings.name, _reason(error))
            call.tell(self._unreachable(error))
        except Fault as fault:
            call.tell(fault.bare())
        except Exception:  # a call that ends without a word would be waited for for ever
            log.exception("an answer of %s could not be read", self._settings.name)
            call.tell(EngineFailed(f"what {self._settings.name} answered cannot be read; the board's log says why"))

    def _sent(self, body: bytes) -> BaseHTTPResponse:
        headers = {
            "User-Agent": f"edge-slm/{__version__}",
            "Content-Type": "application/json",
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",
        }
        if self._settings.key is not None:
            headers["Authorization"] = f"Bearer {self._settings.key.get_secret_value()}"
        return self._pool.urlopen(
            "POST",
            urllib3.util.parse_url(self._path).request_uri,
            body,
            headers,
            retries=False,
            redirect=False,
            timeout=Timeout(connect=CONNECT_SECONDS, read=self._settings.silent_seconds),
            preload_content=False,
            decode_content=False,
        )

    def _told(self, call: Call, response: BaseHTTPResponse) -> None:
        """Status and headers are there: all that comes then."""
        if response.status != 200:
            words = response.read(ERROR_BYTES_MAX)
            self.received_bytes += len(words)
            raise fault_of(self._settings.name, response.status, response.headers.get("Retry-After"), words)
        chunks = Chunks(self._settings.name, call.tell)
        if response.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json":
            return chunks.take_whole(json.loads(b"".join(self._pieces(response))))
        for line in lines(self._pieces(response)):
            if line.startswith(b"data:") and chunks.take(line[5:].strip()):
                return None
        raise HTTPError("the answer ends in its middle")

    def _pieces(self, response: BaseHTTPResponse) -> Iterator[bytes]:
        """As they come; HTTPError where they are too many."""
        count = 0
        while piece := response.read1(PIECE_BYTES):
            count += len(piece)
            self.received_bytes += len(piece)
            if count > ANSWER_BYTES_MAX:
                raise HTTPError(f"the answer has more than {ANSWER_BYTES_MAX} bytes")
            yield piece

    def _unreachable(self, error: BaseException) -> Fault:
        text = f"{self._settings.name} does not answer ({_reason(error)})"
        return Unavailable(
            f"{text}; is it reachable from here, does the unit's IPAddressAllow= let it?", None, RETRY_SECONDS
        )


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Lines without their ends, which may be any of the three (the HTML standard, server-sent events)."""
    left = b""
    for piece in pieces:
        *whole, left = (left + piece).replace(b"\r", b"\n").split(b"\n")
        yield from whole
        if len(left) > LINE_BYTES_MAX:
            raise HTTPError(f"a line of the answer has more than {LINE_BYTES_MAX} bytes")
    yield left


def _reason(error: BaseException) -> str:
    """The innermost words, without the objects that urllib3 names before them."""
    return str(getattr(error, "reason", None) or error).rpartition(">: ")[2].rpartition("object at ")[2] or "no answer"
