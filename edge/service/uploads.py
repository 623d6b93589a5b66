"""Requests that come in chunks, put together: in order, bounded, all or nothing.

One client's messages on one topic arrive in the order in which they were sent (MQTT 5, section 4.6), so that a gap is
a loss, and is told at once. A chunk that comes again, as with QoS 1 any may, is not taken twice.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge.errors import BadRequest, DeadlineExceeded, Fault, TooLarge, Unavailable
from edge.service.clock import now
from edge.wire.chunks import Chunk
from edge.wire.message import Message

SILENT_SECONDS, WHOLE_SECONDS = 30.0, 300.0
"""Without a further chunk, or unfinished for so long, an upload is given up."""
PER_CLIENT_MAX, OPEN_MAX = 2, 32
"""Uploads on their way at once; those without a client's name are one client's."""
REMEMBERED = 64
"""Uploads that ended lately, complete or refused, of which chunks may still come."""
Key = tuple[str | None, str]
Refuse = Callable[[Message, Fault], None]


@dataclass
class Upload:
    """What there is of a request."""

    first: Chunk
    until: float
    data: bytearray = field(default_factory=bytearray)
    next_index: int = 0
    given_up: asyncio.TimerHandle | None = None


class Uploads:
    """Those that are on their way. bytes_max: of one of them; what has arrived of all may be twice as much."""

    def __init__(self, bytes_max: int, refuse: Refuse) -> None:
        self.bytes_max, self._refuse = bytes_max, refuse
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
        self._make_room(chunk)
        upload.data += chunk.data
        upload.next_index += 1
        self._wait(chunk.key, upload)
        return self._finish(chunk.key) if upload.next_index == chunk.count else None

    def _begin(self, chunk: Chunk) -> Upload:
        if chunk.total > self.bytes_max:
            raise TooLarge(f"the upload has {chunk.total} bytes, but {self.bytes_max} are allowed", "total")
        own = sum(upload.first.client == chunk.client for upload in self._open.values())
        if own >= PER_CLIENT_MAX or len(self._open) >= OPEN_MAX:
            others = f"{own} other uploads of this client" if own >= PER_CLIENT_MAX else f"{OPEN_MAX} other uploads"
            raise Unavailable(f"{others} are on their way", retry_after=int(SILENT_SECONDS))
        upload = self._open[chunk.key] = Upload(chunk, now() + WHOLE_SECONDS)
        return upload

    def _make_room(self, chunk: Chunk) -> None:
        """What arrives goes before what has more: the client whose uploads are largest loses one, maybe this one."""
        while sum(len(upload.data) for upload in self._open.values()) + len(chunk.data) > 2 * self.bytes_max:
            largest = max(self._open, key=lambda key: (self._of_client(key[0]), len(self._open[key].data)))
            fault = Unavailable("other uploads need the room", retry_after=int(SILENT_SECONDS))
            if largest == chunk.key:
                raise fault
            self._drop(largest, fault)

    def _of_client(self, client: str | None) -> int:
        """Bytes that have arrived of its uploads."""
        return sum(len(upload.data) for upload in self._open.values() if upload.first.client == client)

    def _drop(self, key: Key, fault: Fault) -> None:
        """End an upload and tell its asker why."""
        upload = self._end(key)
        self._over.append(key)
        if upload:
            self._refuse(upload.first.asker, fault)

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
        wait = min(SILENT_SECONDS, max(0.0, upload.until - now()))
        upload.given_up = asyncio.get_running_loop().call_later(wait, self._give_up, key)

    def _give_up(self, key: Key) -> None:
        upload = self._open[key]
        within = WHOLE_SECONDS if now() >= upload.until else SILENT_SECONDS
        missing = f"chunk {upload.next_index} of {upload.first.count} did not come within {within:g} s"
        self._drop(key, DeadlineExceeded(missing))

    def _end(self, key: Key) -> Upload | None:
        upload = self._open.pop(key, None)
        if upload and upload.given_up:
            upload.given_up.cancel()
        return upload

    def close(self) -> None:
        """Forget what is not complete; nothing of it was promised."""
        for key in list(self._open):
            self._end(key)
