"""What a run of the graph reads and writes, bound to memory of ours, and bound anew only where a shape changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

LOGITS_FROM, MORE_LOGITS = "logits_from", "more_logits"
"""The graph's input for the first position, counted from the end, whose logits are wanted, and their output; bundles
of before the two have `logits` of the last position alone."""

IS_PREFILL = "is_prefill"
"""The graph's input for whether tokens are a slice of a prompt, whose attention is reckoned in floats then; what is
`present` is what the slice adds to the cache. Bundles of before it, and those with a cache in floats, do without."""

EMBEDS = "inputs_embeds"
"""What the decoder of a bundle that sees pictures reads in place of ids."""

PLACES = "position_ids"
"""What graphs of others may want beside ids: where in its text each token is."""

Logits = NDArray[np.float32]
Given = Literal["last", "wanted", "every"]


@dataclass(frozen=True)
class Ports:
    """What a decoder reads and gives beside its cache.

    gives: logits of the last position, of those that are wanted, or of every one, as graphs of others do.
    width: of the embeddings that it reads, 0 where it reads ids. reads_places: whether it reads PLACES. is_half:
    whether its logits are in float16.
    """

    gives: Given
    width: int
    reads_places: bool
    is_half: bool

    @classmethod
    def of(cls, session: Any) -> Ports:
        """Those of a session's graph."""
        inputs = {each.name: each for each in session.get_inputs()}
        outputs = {each.name: each for each in session.get_outputs()}
        gives: Given = "last" if outputs["logits"].shape[1] == 1 else "every"
        if LOGITS_FROM in {each.name for each in session.get_overridable_initializers()}:
            gives = "wanted"
        width, is_half = int(inputs[EMBEDS].shape[2]) if EMBEDS in inputs else 0, "float16" in outputs["logits"].type
        return cls(gives, width, PLACES in inputs, is_half)


class Room:
    """Where logits go: one place for all runs, each of which writes over what the one before has left."""

    def __init__(self, rows: int, vocabulary: int) -> None:
        self._array = np.zeros((rows, vocabulary), np.float32)

    def of(self, rows: int, positions: int) -> Logits:
        """`[rows, positions, vocabulary]` of it, which grows where it has to."""
        if rows * positions > len(self._array):
            self._array = np.zeros((rows * positions, self._array.shape[1]), np.float32)
        return self._array[: rows * positions].reshape(rows, positions, self._array.shape[1])


class Binding:
    """What some slots' runs read and write, bound anew only where a shape changes."""

    def __init__(self, io: Any, slots: NDArray[Any], room: Room, ports: Ports) -> None:
        self.io, self._rows, self._room, self._ports = io, slots.shape[2], room, ports
        self.tokens: NDArray[Any] = np.empty((0, 0), np.int64)
        self.mask = np.empty((0, 0), np.int64)
        self.places = np.empty((0, 0), np.int64)
        self._first = np.zeros(1, np.int64)
        self._wanted = room.of(0, 0)
        self._halves = np.empty((0, 0, 0), np.float16)
        self._bind_caches(io.bind_input, "past_key_values", slots)
        self._begin(slots)

    def feed(self, feeds: Mapping[str, NDArray[Any]]) -> None:
        """Bind an adapter's matrices, and which rows they are for, for every run of this binding."""
        for name, values in feeds.items():
            _bind(self.io.bind_input, name, values)

    def _begin(self, slots: NDArray[Any]) -> None:
        """The cache is written where it is read."""
        self._bind_caches(self.io.bind_output, "present", slots)

    def settle(self, seen: int) -> None:  # noqa: ARG002 - that of a prompt's slice needs it
        """What is left to do after a run: the operator has written into the cache. seen: tokens before it."""
        if self._ports.is_half:
            self._wanted[:] = self._halves[:, -self._wanted.shape[1] :]

    def _bind_caches(self, bind: Any, name: str, parts: NDArray[Any]) -> None:
        """Keys and values of every layer, `[layers, 2, rows, kv_heads, tokens, head_size]`."""
        for layer, (keys, values) in enumerate(parts):
            _bind(bind, f"{name}.{layer}.key", keys)
            _bind(bind, f"{name}.{layer}.value", values)

    def shaped(self, count: int, width: int, positions: int) -> Logits:
        """Tokens `[rows, count]` and mask `[rows, width]`, bound; where logits `[rows, positions, vocabulary]` will be.

        Tokens are ids, or embeddings `[rows, count, width of these]`.
        """
        if self.tokens.shape[1] != count:
            self.tokens = self._empty_tokens(count)
            _bind(self.io.bind_input, EMBEDS if self._ports.width else "input_ids", self.tokens)
            if self._ports.reads_places:
                self.places = np.empty((self._rows, count), np.int64)
                _bind(self.io.bind_input, PLACES, self.places)
        if self.mask.shape[1] != width:
            self.mask = np.empty((self._rows, width), np.int64)
            _bind(self.io.bind_input, "attention_mask", self.mask)
        if self._ports.is_half:
            return self._last_of_halves(count, positions)
        if self._ports.gives == "every":
            return self._last_of_every(count, positions)
        if self._first[0] != -positions:
            self._first[0] = -positions
            can_tell_more = self._ports.gives == "wanted"
            if can_tell_more:
                _bind(self.io.bind_input, LOGITS_FROM, self._first)
            self._wanted = self._room.of(self._rows, positions)
            _bind(self.io.bind_output, MORE_LOGITS if can_tell_more else "logits", self._wanted)
        return self._wanted

    def _last_of_every(self, count: int, positions: int) -> Logits:
        """The same where the graph gives more than is wanted; bound each time, since the room may have moved."""
        every = self._room.of(self._rows, count)
        _bind(self.io.bind_output, "logits", every)
        return every[:, -positions:]

    def _last_of_halves(self, count: int, positions: int) -> Logits:
        """The same in float16, from which they are taken after the run."""
        self._wanted = self._room.of(self._rows, positions)
        told = count if self._ports.gives == "every" else 1
        self._halves = np.empty((self._rows, told, self._wanted.shape[2]), np.float16)
        _bind(self.io.bind_output, "logits", self._halves)
        return self._wanted

    def _empty_tokens(self, count: int) -> NDArray[Any]:
        if not self._ports.width:
            return np.empty((self._rows, count), np.int64)
        return np.empty((self._rows, count, self._ports.width), np.float32)


class PrefillBinding(Binding):
    """What reads a slice of one slot's text; what that adds is made apart and then put into the cache."""

    def _begin(self, slots: NDArray[Any]) -> None:
        self._cache = slots[:, :, 0]
        self._added = np.empty(0, slots.dtype)
        self._is_prefill = np.array(True)
        _bind(self.io.bind_input, IS_PREFILL, self._is_prefill)

    def shaped(self, count: int, width: int, positions: int) -> Logits:
        """As for answers; what is added is bound, too."""
        layers, parts, heads, _, size = self._cache.shape
        self._added = np.empty((layers, parts, heads, count, size), self._cache.dtype)
        self._bind_caches(self.io.bind_output, "present", self._added[:, :, None])
        return super().shaped(count, width, positions)

    def settle(self, seen: int) -> None:
        """The slice behind what the cache holds. It is let go of: there is a binding for every slot."""
        self._cache[:, :, :, seen : seen + self._added.shape[3]] = self._added
        self._added = np.empty(0, self._added.dtype)


def _bind(bind: Any, name: str, array: NDArray[Any]) -> None:
    bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)
