"""Pictures to what the decoder reads in their place: one crop at a time, so that others are answered meanwhile.

The bundle's tower takes a picture with all its crops (docs of onnxruntime-genai, "phi3v"). It is fed each crop as if
it were a picture of no crops, which gives that crop's tokens and both separators, and these are put together here:
an answer that is cancelled stops between two crops, and memory is that of one crop.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.bundle import Pictures
from edge.engine import Job
from edge.engine.pictures.crops import crops_of, size_of
from edge.errors import BadRequest
from edge.wire.pictures import Picture, layout, tokens_of

KNOWN_TOKENS_MAX = 6144
"""Of pictures that were looked at lately: eight of four crops, 75 MB of them at Phi-3.5's width."""
WORDS = 4
"""Numbers that a picture's places take turns with; 248 bits of its digest, which any block of a text has all of."""
Encode = Callable[[list[dict[str, str]], Mapping[str, list[int]]], list[int]]
Features = NDArray[np.float32]
"""What the decoder reads in the place of tokens, `[tokens, width]`."""


class Tower(Protocol):
    """Runs the bundle's tower; edge.engine.graph.session.Tower is the real one."""

    def run(self, crop: Features, halt: Any = None) -> Features:
        """`[3, size, size]` to a line's separator, a part's separator and the tokens between, as the graph says."""
        ...

    def release(self) -> None:
        """Give the tower's memory back."""


class Seen:
    """A picture in a prompt.

    tokens: how many places it takes. digest: of its content, its cut and whose it is. places: what stands for these in
    a prompt, numbers below zero that are made of the digest, so that the same picture is the same text, for the same
    salt, in whatever process.
    """

    def __init__(self, data: bytes, crops_max: int, pictures: Pictures, salt: str = "") -> None:
        self._data, self._crops_max, self._pictures = data, crops_max, pictures
        self.rows, self.columns = layout(*size_of(data), crops_max, pictures.crop_size)
        self.tokens = tokens_of(self.rows, self.columns, pictures.side_tokens)
        cut = f"{self.rows}x{self.columns}".encode()
        whose = hashlib.blake2b(salt.encode(), digest_size=16).digest() if salt else b""
        self.digest = hashlib.blake2b(data, digest_size=8 * WORDS, person=cut, salt=whose).digest()
        words = [-1 - (word >> 2) for word in struct.unpack(f">{WORDS}Q", self.digest)]
        self.places = [words[place % WORDS] for place in range(self.tokens)]
        self.start = 0
        """Where its first place is in the prompt."""
        self.features: Features | None = None
        self._crops: Features | None = None
        self._decoding: Future[Features] | None = None
        self._parts: list[Features] = []

    @property
    def end(self) -> int:
        """Behind its last place."""
        return self.start + self.tokens

    def part(self, start: int, stop: int) -> Features:
        """What stands in those of its places that lie between two of the prompt's."""
        assert self.features is not None
        return self.features[max(0, start - self.start) : max(0, stop - self.start)]

    def crops(self) -> Features:
        """`[1 + rows * columns, 3, size, size]`; BadRequest where the picture is damaged."""
        crops = crops_of(self._data, self._crops_max, self._pictures)
        if len(crops) != 1 + self.rows * self.columns:
            raise BadRequest("a picture is not what its header says", "image_url")
        return crops

    def is_decoded(self, thread: Executor, seconds: float) -> bool:
        """Whether its crops are there, which another thread sees to; after so long a wait at the most."""
        if self._crops is not None:
            return True
        self._decoding = self._decoding or thread.submit(self.crops)
        return bool(wait((self._decoding,), seconds).done)

    def look(self, run: Callable[[Features], Features]) -> None:
        """One crop further; `features` are there when all are seen."""
        if self._crops is None:
            self._crops = self._decoding.result() if self._decoding else self.crops()
        self._parts.append(run(self._crops[len(self._parts)]))
        if len(self._parts) == len(self._crops):
            side = self._pictures.side_tokens
            self.features = arranged(self._parts, self.rows, self.columns, side)
            self._data, self._crops, self._decoding, self._parts = b"", None, None, []


def arranged(parts: list[Features], rows: int, columns: int, side: int) -> Features:
    """The crops' tokens line by line, each line closed by a separator; one between them and the whole picture's.

    parts: of the whole picture and of each crop, `[1 + side * (side + 1), width]`: a part's separator, then the
    crop's lines, closed.
    """
    width = parts[0].shape[1]
    whole, *crops = (part[1:].reshape(side, side + 1, width) for part in parts)
    line_end = whole[0, side]
    grid = np.stack([crop[:, :side] for crop in crops]).reshape(rows, columns, side, side, width)
    lines = grid.transpose(0, 2, 1, 3, 4).reshape(rows * side, columns * side, width)
    closed = np.concatenate([lines, np.broadcast_to(line_end, (rows * side, 1, width))], axis=1)
    return np.concatenate([closed.reshape(-1, width), parts[0]])


def prompt_with_pictures(job: Job, encode: Encode, pictures: Pictures) -> tuple[list[int], list[Seen]]:
    """The tokens of a job with pictures, and these in the order of their places.

    encode: `Tokenizer.encode`. Raises BadRequest and TooLarge where a picture is none that can be.
    """
    seen = {each.place: seen_of(each, pictures, job.cache_salt) for each in job.pictures}
    tokens = encode(job.messages, {place: each.places for place, each in seen.items()})
    find_places(tokens, seen.values())
    return tokens, list(seen.values())


def seen_of(picture: Picture, pictures: Pictures, salt: str = "") -> Seen:
    """A job's picture, its header read; BadRequest and TooLarge where it is none that can be."""
    try:
        data = base64.b64decode(picture.data, validate=True)
    except ValueError as error:
        raise BadRequest(f"a picture is not base64: {error}", "image_url") from error
    return Seen(data, min(picture.crops_max, pictures.crops_max), pictures, salt)


def find_places(tokens: list[int], pictures: Iterable[Seen]) -> None:
    """Tell each picture where it is in a prompt; BadRequest where the chat template left it out."""
    place = 0
    for seen in pictures:
        try:
            seen.start = tokens.index(seen.places[0], place)
        except ValueError:
            raise BadRequest("the model's chat template leaves a picture out", "messages") from None
        place = seen.end


class Vision:
    """The pictures that an engine looks at, and those that it has looked at lately."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._thread = ThreadPoolExecutor(1, "pictures")
        self._known: OrderedDict[bytes, Features] = OrderedDict()
        self.looked = 0
        """Crops that went through the tower."""

    def is_decoded(self, seen: Seen, seconds: float) -> bool:
        """Whether a picture can be looked at; a large one takes a second to decode, in which others are answered."""
        return seen.digest in self._known or seen.is_decoded(self._thread, seconds)

    def look(self, seen: Seen, halt: Any) -> None:
        """One crop of a picture, or all of it where it was looked at lately."""
        if (known := self._known.get(seen.digest)) is not None:
            seen.features = known
            self._known.move_to_end(seen.digest)
            return
        seen.look(lambda crop: self._tower.run(crop, halt))
        self.looked += 1
        if seen.features is not None:
            self._keep(seen.digest, seen.features)

    def _keep(self, digest: bytes, features: Features) -> None:
        self._known[digest] = features
        while sum(map(len, self._known.values())) > KNOWN_TOKENS_MAX:
            self._known.popitem(last=False)

    def release(self) -> None:
        """Nobody waits for a picture: the tower's memory goes back."""
        self._tower.release()

    def forget(self) -> None:
        """Let go of what is known of pictures; the board needs the memory."""
        self._known.clear()
