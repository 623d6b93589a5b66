"""Requests that come in chunks, put together: in order, bounded, all or nothing.

One client's messages on one topic arrive in the order in which they were sent (MQTT 5, section 4.6), so that a gap is
a loss, and is told at once. A chunk that comes again, as with QoS 1 any may, is not taken twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.errors import BadRequest, DeadlineExceeded, Fault, TooLarge, Unavailable
from edge.wire.chunks import Chunk
from edge.wire.message import Message

SILENT_SECONDS = 30.0
"""Without a further chunk an upload is given up."""
REMEMBERED = 64
"""Uploads that ended lately, complete or refused, of which chunks may still come."""
Key = tuple[str | None, str]
Refuse = Callable[[Message, Fault], None]


@dataclass
class Upload:
    """What there is of a request."""

    first: Chunk
    data: bytearray
    next_index: int
    given_up: asyncio.TimerHandle | None = None


class Uploads:
    """Those that are on their way. bytes_max: of one of them; all together may have twice as many."""

    def __init__(self, bytes_max: int, refuse: Refuse) -> None:
        self._bytes_max, self._refuse = bytes_max, refuse
        self._open: dict[Key, Upload] = {}
        self._over: deque[Key] = deque(maxlen=REMEMBERED)

    def add(self, chunk: Chunk) -> Message | None:
        """The whole request where this was its last chunk. A fault is told to its asker, once, and ends the upload."""
        try:
            return self._add(chunk)
        except Fault as fault:
            upload = self._end(chunk.key)
            self._over.append(chunk.key)
            self._refuse(upload.first.asker if upload else chunk.asker, fault)
            return None

    def _add(self, chunk: Chunk) -> Message | None:
        upload = self._open.get(chunk.key)
        if upload is None:
            if chunk.index and chunk.key in self._over:
                return None
            upload = self._begin(chunk)
        elif chunk.index < upload.next_index:
            return None
        self._check(upload, chunk)
        upload.data += chunk.data
        upload.next_index += 1
        self._wait(chunk.key, upload)
        return self._finish(chunk.key) if upload.next_index == chunk.count else None

    def _begin(self, chunk: Chunk) -> Upload:
        if chunk.total > self._bytes_max:
            raise TooLarge(f"the upload has {chunk.total} bytes, but {self._bytes_max} are allowed", "total")
        promised = sum(upload.first.total for upload in self._open.values())
        if promised + chunk.total > 2 * self._bytes_max:
            raise Unavailable(f"{len(self._open)} other uploads are on their way", retry_after=int(SILENT_SECONDS))
        upload = self._open[chunk.key] = Upload(chunk, bytearray(), 0)
        return upload

    @staticmethod
    def _check(upload: Upload, chunk: Chunk) -> None:
        first = upload.first
        if chunk.index != upload.next_index:
            raise BadRequest(f"chunk {upload.next_index} of {first.count} is missing", "index")
        if (chunk.count, chunk.total, chunk.sha256) != (first.count, first.total, first.sha256):
            raise BadRequest("the chunks of an upload do not say the same of it", "count")
        if len(upload.data) + len(chunk.data) > first.total:
            raise BadRequest(f"the chunks have more than the {first.total} bytes that they promise", "total")

    def _finish(self, key: Key) -> Message:
        upload = self._open[key]
        if len(upload.data) != upload.first.total:
            raise BadRequest(f"the chunks have {len(upload.data)} bytes, but promise {upload.first.total}", "total")
        if hashlib.sha256(upload.data).hexdigest() != upload.first.sha256:
            raise BadRequest("the upload's sha256 is not what its chunks say", "sha256")
        self._end(key)
        self._over.append(key)
        return replace(upload.first.request, payload=bytes(upload.data))

    def _wait(self, key: Key, upload: Upload) -> None:
        if upload.given_up:
            upload.given_up.cancel()
        upload.given_up = asyncio.get_running_loop().call_later(SILENT_SECONDS, self._give_up, key)

    def _give_up(self, key: Key) -> None:
        upload = self._end(key)
        self._over.append(key)
        if upload:
            missing = f"chunk {upload.next_index} of {upload.first.count} did not come within {SILENT_SECONDS:g} s"
            self._refuse(upload.first.asker, DeadlineExceeded(missing))

    def _end(self, key: Key) -> Upload | None:
        upload = self._open.pop(key, None)
        if upload and upload.given_up:
            upload.given_up.cancel()
        return upload

    def close(self) -> None:
        """Forget what is not complete; nothing of it was promised."""
        for key in list(self._open):
            self._end(key)
