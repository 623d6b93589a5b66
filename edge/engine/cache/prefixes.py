"""Beginnings of texts whose keys and values are kept, so that the next text that begins alike need not be read again.

A text is cut into blocks of tokens; a block is known by the hash of itself and of all before it, so that texts
share what they have in common and nothing else. A picture's end is a cut, too: its last block would else have words of
the question in it, and the next question would look at the picture again. Blocks lie in memory, least recently used
ones going first. What comes a second time goes onto the disk, whether memory still has it or not.

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
ONCE_MAX = 1 << 16
"""Blocks of which it is remembered that they came; two million tokens."""
Block = NDArray[Any]
"""Keys and values of a block's tokens, `[layers, 2, kv_heads, tokens, head_size]`: BLOCK_TOKENS, or fewer where a
picture ends."""
Key = bytes
SAID = b"said"
"""Before the name of a block that was said, or read behind one that was."""


class Store(Protocol):
    """Where blocks outlive the process; edge.engine.cache.prefix_files.PrefixFiles is the real one."""

    def load(self, key: Key) -> Block | None:
        """A block, None where it is not there or damaged."""
        ...

    def load_all(self, keys: Sequence[Key]) -> dict[Key, Block]:
        """The blocks that are there one behind the other."""
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

    @property
    def takes(self) -> bool:
        """Whether there is room for another block to wait to be written."""
        ...

    def used(self, keys: Sequence[Key]) -> None:
        """Take note that these were of use, wherever they were found."""

    def forget(self, salt: str) -> None:
        """Let go of all that is a salt's."""

    damaged: int
    """Blocks that could not be used."""
    written_bytes: int
    """Since the process began."""


def cuts_of(tokens: Sequence[int]) -> list[int]:
    """Where a text is cut into blocks, its beginning among them; a picture's places are below zero."""
    ends = [place for place in range(1, len(tokens)) if tokens[place - 1] < 0 <= tokens[place]]
    cuts = [0]
    for end in ends:
        cuts += [*range(cuts[-1] + BLOCK_TOKENS, end, BLOCK_TOKENS), end]
    return [*cuts, *range(cuts[-1] + BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS)]


def keys_of(tokens: Sequence[int], is_long: bool, salt: str = "", adapter: str = "") -> Iterator[Key]:
    """The name of each block of a text. is_long: whether it has the long rotary factors. salt: whose it is.

    adapter: what it was read with, empty for the bundle alone.
    """
    key, tag = (b"long" if is_long else b"short") + salt.encode(), tag_of(salt)
    key += b"\0" + adapter.encode() if adapter else b""
    for start, stop in pairwise(cuts_of(tokens)):
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
        self._once: OrderedDict[Key, None] = OrderedDict()
        self.bytes = 0

    def find(
        self, tokens: Sequence[int], is_long: bool, salt: str = "", is_kept: bool = True, adapter: str = ""
    ) -> list[Block]:
        """The blocks that a text begins with, as reading leaves them. is_kept: whether they may go to disk for it.

        Its last token is never among them, since its logits are wanted.
        """
        keys = list(keys_of(tokens[:-1], is_long, salt, adapter))
        plain = dict(zip(keys, keys_of(tokens[:-1], is_long, "", adapter), strict=True))
        missing = [key for key in keys if key not in self._blocks] if self._limit else []
        on_disk = self._store.load_all(missing) if self._store is not None else {}
        return self._found(
            keys, lambda key: on_disk.get(key) if key in on_disk else self._known(key, plain[key], is_kept)
        )

    def find_said(
        self, tokens: Sequence[int], is_long: bool, count: int, salt: str = "", adapter: str = ""
    ) -> list[Block]:
        """Those that come after the first so many, some of which were said."""
        keys = list(keys_of(tokens[:-1], is_long, salt, adapter))
        return self._found(keys[count:], self._known_or_said)

    def _found(self, keys: Sequence[Key], known: Callable[[Key], Block | None]) -> list[Block]:
        """As far as one is there behind the other."""
        blocks: list[Block] = []
        room = self._limit
        for key in keys if room else ():
            block = known(key)
            if block is None:
                break
            blocks.append(block)
            room -= block.nbytes
            if room >= 0 and key not in self._blocks and block is not self._blocks.get(SAID + key):
                self._put(key, block)
        self._freshen(keys[: len(blocks)])
        if self._store is not None:
            self._store.used(keys[: len(blocks)])
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
                return block
        return None

    def _known_or_said(self, key: Key) -> Block | None:
        said = self._blocks.get(SAID + key)
        return self._blocks.get(key) if said is None else said

    def counters(self) -> dict[str, int]:
        """Bytes in memory; blocks on disk that could not be used; bytes written there since the process began."""
        stores = [store for store in (self._shipped, self._store) if store is not None]
        return {
            "prefix_bytes": self.bytes,
            "prefix_damaged": sum(store.damaged for store in stores),
            "prefix_written_bytes": sum(store.written_bytes for store in stores),
        }

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
        """Take in the blocks of a text, its beginning first where it is larger than the limit.

        read: keys and values of its tokens from one to another. count: how many of the tokens were read, all of them
        where it is None; what comes after them was said. is_kept: whether they may go to disk.
        """
        if not self._limit:
            return
        keys, room = list(keys_of(tokens, is_long, salt, adapter)), self._limit
        for key, (start, stop) in zip(keys, pairwise(cuts_of(tokens)), strict=True):
            is_said = count is not None and stop > count
            comes_again = is_kept and not is_said and self._comes_again(key)
            name = SAID + key if is_said else key
            block = self._blocks.get(key, self._blocks.get(name))
            if block is None and (room > 0 or comes_again):
                block = read(start, stop)
                self._take(name, block, room, comes_again)
            room = max(0, room - block.nbytes) if block is not None else 0
        self._freshen(keys)

    def _take(self, name: Key, block: Block, room: int, comes_again: bool) -> None:
        """A block that is new here, into memory where there is room for it, and onto the disk."""
        if comes_again and self._store is not None:
            self._store.save(name, block)
        if block.nbytes <= room:
            self._drop(SAID + name)
            self._put(name, block)

    def _comes_again(self, key: Key) -> bool:
        """Whether a block should go onto the disk, since it came before, or was there; that it came is remembered."""
        if self._store is None:
            return False
        came = key in self._once
        self._once[key] = None
        self._once.move_to_end(key)
        if len(self._once) > ONCE_MAX:
            self._once.popitem(last=False)
        return self._store.takes and (self._store.wants(key) or (came and not self._store.has(key)))

    def _drop(self, key: Key) -> None:
        if (block := self._blocks.pop(key, None)) is not None:
            self.bytes -= block.nbytes

    def forget(self, salt: str) -> None:
        """Let go of all that one salt has left, here and where it outlives the process."""
        for key in [key for key in self._blocks if is_of(key, salt) or is_of(key.removeprefix(SAID), salt)]:
            self._drop(key)
        for key in [key for key in self._once if is_of(key, salt)]:
            del self._once[key]
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
