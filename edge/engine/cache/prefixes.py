"""Beginnings of texts whose keys and values are kept, so that the next text that begins alike need not be read again.

A text is cut into blocks of tokens; a block is known by the hash of itself and of all before it, so that texts
share what they have in common and nothing else. Blocks lie in memory, least recently used ones going first, and
those that were of use once lie on disk, too, for the next start.

Keys and values of what was *read* are the same to the bit whoever reads it, in whatever slices. Those of what was
*said*, a token at a time, are not those of reading it (decision 30). They are kept under names of their own, in memory,
for who does not ask for the same answer again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.engine.cache.whose import HASH_BYTES, is_of, tag_of

BLOCK_TOKENS = 32
"""What is left over of a text beyond its last whole block is read again."""
Block = NDArray[Any]
"""Keys and values of a block's tokens, `[layers, 2, kv_heads, BLOCK_TOKENS, head_size]`."""
Key = bytes
SAID = b"said"
"""Before the name of a block that was said, or read behind one that was."""


class Store(Protocol):
    """Where blocks outlive the process; edge.engine.cache.prefix_files.PrefixFiles is the real one."""

    def load(self, key: Key) -> Block | None:
        """A block, None where it is not there or damaged."""
        ...

    def save(self, key: Key, block: Block) -> None:
        """Keep a block at the next flush, if there is room."""

    def flush(self) -> None:
        """Begin to write what was saved."""

    def settle(self) -> None:
        """Return when it is written."""

    def has(self, key: Key) -> bool:
        """Whether a block is there."""
        ...

    def wants(self, key: Key) -> bool:
        """Whether a block should be saved though it was of no use yet."""
        ...

    def forget(self, salt: str) -> None:
        """Let go of all that is a salt's."""

    damaged: int
    """Blocks that could not be used."""


def keys_of(tokens: Sequence[int], is_long: bool, salt: str = "", adapter: str = "") -> Iterator[Key]:
    """The name of each whole block of a text. is_long: whether it has the long rotary factors. salt: whose it is.

    adapter: what it was read with, empty for the bundle alone.
    """
    key, tag = (b"long" if is_long else b"short") + salt.encode(), tag_of(salt)
    key += b"\0" + adapter.encode() if adapter else b""
    cuts = range(0, len(tokens) + 1, BLOCK_TOKENS)
    for start, stop in pairwise(cuts):
        text = np.array(tokens[start:stop], np.int64).tobytes()
        key = hashlib.blake2b(key + text, digest_size=HASH_BYTES).digest()
        yield tag + key


class Prefixes:
    """The blocks in memory. limit_bytes: what they may take together; 0 for none at all.

    shipped: blocks that came with the bundle; store: where those go that were of use.
    What one salt leaves behind another does not find, or its speed would tell who has asked what (decision 31); what
    came with the bundle is everybody's.
    """

    def __init__(self, limit_bytes: int, store: Store | None = None, shipped: Store | None = None) -> None:
        self._limit, self._store = limit_bytes, store
        self._shipped = shipped
        self._blocks: OrderedDict[Key, Block] = OrderedDict()
        self.bytes = 0

    def find(
        self, tokens: Sequence[int], is_long: bool, salt: str = "", is_kept: bool = True, adapter: str = ""
    ) -> list[Block]:
        """The blocks that a text begins with, as reading leaves them. is_kept: whether they may go to disk for it.

        Its last token is never among them, since its logits are wanted.
        """
        keys = list(keys_of(tokens[:-1], is_long, salt, adapter))
        plain = dict(zip(keys, keys_of(tokens[:-1], is_long, "", adapter), strict=True))
        return self._found(keys, lambda key: self._known(key, plain[key], is_kept))

    def find_said(
        self, tokens: Sequence[int], is_long: bool, count: int, salt: str = "", adapter: str = ""
    ) -> list[Block]:
        """Those that come after the first so many, some of which were said."""
        keys = list(keys_of(tokens[:-1], is_long, salt, adapter))
        return self._found(keys[count:], self._known_or_said)

    def _found(self, keys: Sequence[Key], known: Callable[[Key], Block | None]) -> list[Block]:
        """As far as one is there behind the other."""
        blocks: list[Block] = []
        for key in keys if self._limit else ():
            block = known(key)
            if block is None:
                break
            blocks.append(block)
        self._freshen(keys[: len(blocks)])
        return blocks

    def _freshen(self, keys: Sequence[Key]) -> None:
        """The first block last, so that a text's end goes before its beginning."""
        for key in reversed(keys):
            for name in (key, SAID + key):
                if name in self._blocks:
                    self._blocks.move_to_end(name)

    def _known(self, key: Key, plain: Key, saves: bool) -> Block | None:
        """A block by its name, or as it came with the bundle, by its name without a salt."""
        block = self._blocks.get(key)
        if block is not None:
            is_shipped = self._shipped is not None and self._shipped.has(plain)
            if saves and self._store is not None and not (is_shipped or self._store.has(key)):
                self._store.save(key, block)
            return block
        for store, name in ((self._shipped, plain), (self._store, key)):
            if store is not None and (block := store.load(name)) is not None:
                self._put(key, block)
                return block
        return None

    def _known_or_said(self, key: Key) -> Block | None:
        said = self._blocks.get(SAID + key)
        return self._blocks.get(key) if said is None else said

    @property
    def damaged(self) -> int:
        """Blocks on disk that could not be used."""
        return sum(store.damaged for store in (self._shipped, self._store) if store is not None)

    def keep(
        self,
        tokens: Sequence[int],
        is_long: bool,
        read: Callable[[int, int], Block],
        count: int | None = None,
        salt: str = "",
        is_kept: bool = True,
        adapter: str = "",
    ) -> None:
        """Take in the whole blocks of a text. read: keys and values of its tokens from one to another.

        count: how many of the tokens were read, all of them where it is None; what comes after them was said.
        is_kept: whether they may go to disk.
        """
        if not self._limit:
            return
        keys = list(keys_of(tokens, is_long, salt, adapter))
        for number, key in enumerate(keys):
            start, stop = number * BLOCK_TOKENS, (number + 1) * BLOCK_TOKENS
            if key in self._blocks:
                continue
            if count is not None and stop > count:
                if SAID + key not in self._blocks:
                    self._put(SAID + key, read(start, stop))
                continue
            self._drop(SAID + key)
            self._put(key, read(start, stop))
            if is_kept and self._store is not None and self._store.wants(key):
                self._store.save(key, self._blocks[key])
        self._freshen(keys)

    def _drop(self, key: Key) -> None:
        if (block := self._blocks.pop(key, None)) is not None:
            self.bytes -= block.nbytes

    def forget(self, salt: str) -> None:
        """Let go of all that one salt has left, here and where it outlives the process."""
        for key in [key for key in self._blocks if is_of(key, salt) or is_of(key.removeprefix(SAID), salt)]:
            self._drop(key)
        if self._store is not None:
            self._store.forget(salt)

    def _put(self, key: Key, block: Block) -> None:
        self._blocks[key] = block
        self.bytes += block.nbytes
        self.shrink(self._limit)

    def flush(self) -> None:
        """Nobody waits now: what was of use goes onto the disk."""
        if self._store is not None:
            self._store.flush()

    def settle(self) -> None:
        """Return when all of that is written."""
        if self._store is not None:
            self._store.settle()

    def shrink(self, limit_bytes: int) -> None:
        """Let go of the least recently used until they take no more than this."""
        while self.bytes > limit_bytes:
            _, block = self._blocks.popitem(last=False)
            self.bytes -= block.nbytes
