"""A GGUF file's header, read within its bounds: every count is held to the bytes that are left before it is believed.

gguf's own reader is not used for it: it follows whatever count a file names, and it has no word for what is wrong.
Layout: ggml's docs/gguf.md, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError, UnsupportedError

MAGIC = b"GGUF"
VERSIONS = (2, 3)
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
DIMENSIONS_MAX = 4
LIST_MAX = 4_000_000
"""Entries of one list: more than any vocabulary or list of merges has."""
TEXT_MAX = 1 << 28
"""Bytes of one text: more than any template, or a tokenizer in JSON, has."""
ALIGNMENT = 32
PLAIN = {"F32": np.float32, "F16": np.float16, "F64": np.float64}


@dataclass(frozen=True)
class Stored:
    """A tensor as the file has it.

    kind: ggml's name of its type. shape: in Transformers' order, `[out, in]` of a matrix. data: its rows,
    memory-mapped; bytes where it is in blocks.
    """

    kind: str
    shape: tuple[int, ...]
    data: NDArray[Any]


@dataclass(frozen=True)
class Header:
    """What a file says: its keys as Python values (numbers, texts, lists of them), its tensors by ggml's names."""

    path: Path
    keys: dict[str, Any]
    tensors: dict[str, Stored]


class Cursor:
    """A place in a file's bytes that moves on as they are read. Raises SourceError where they end too early."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path, self._data, self.place = path, data, 0

    def take(self, size: int, what: str) -> bytes:
        """The next bytes."""
        if size > len(self._data) - self.place:
            raise self.broken(f"it ends within {what}")
        self.place += size
        return self._data[self.place - size : self.place]

    def number(self, code: str, what: str) -> Any:
        """The next number; code: struct's."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}"), what))[0]

    def text(self, what: str) -> str:
        """The next string: its length, then so many bytes of UTF-8."""
        size = self.number("Q", what)
        if size > TEXT_MAX:
            raise self.broken(f"{what} has {size} bytes, more than any model's")
        try:
            return self.take(size, what).decode()
        except UnicodeDecodeError as error:
            raise self.broken(f"{what} is no UTF-8: {error}") from error

    def count(self, least: int, what: str) -> int:
        """The next count of things that take at least so many bytes each."""
        count: int = self.number("Q", what)
        if count > (len(self._data) - self.place) // least:
            raise self.broken(f"{what} names {count} entries, more than the file has room for")
        return count

    def broken(self, why: str) -> SourceError:
        """What is wrong with the file."""
        return SourceError(f"{self._path} is not a whole GGUF file: {why}")


def read_header(path: Path) -> Header:
    """A file's header. Raises SourceError where it is broken, UnsupportedError where it is of a kind not read."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise SourceError(f"{path} is not a whole GGUF file: {error}") from error
    cursor = Cursor(path, data)
    _check_version(path, cursor)
    tensors, keys = cursor.count(1, "its number of tensors"), cursor.count(1, "its number of keys")
    values = dict(_once(cursor, "key", _keys(cursor, keys)))
    infos = dict(_once(cursor, "tensor", _infos(cursor, tensors)))
    start = _padded(cursor.place, _alignment(cursor, values))
    stored = {name: _stored(cursor, name, info, start, data) for name, info in infos.items()}
    return Header(path, values, stored)


def _check_version(path: Path, cursor: Cursor) -> None:
    if cursor.take(4, "its first four bytes") != MAGIC:
        raise cursor.broken("it does not begin with GGUF")
    version = cursor.number("I", "its version")
    if version in VERSIONS:
        return
    if version & 0xFFFF == 0:
        raise UnsupportedError(f"{path} is big-endian; turn it round with `gguf-convert-endian {path.name} little`")
    raise UnsupportedError(f"{path} is GGUF version {version}; versions 2 and 3 are read, so convert the model again")


def _once(cursor: Cursor, kind: str, pairs: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The pairs; SourceError where a name comes twice."""
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            raise cursor.broken(f"it has the {kind} {name} twice")
        seen.add(name)
        yield name, value


def _keys(cursor: Cursor, count: int) -> Iterator[tuple[str, Any]]:
    for _ in range(count):
        name = cursor.text("a key's name")
        yield name, _value(cursor, name, cursor.number("I", f"the key {name}"))


def _value(cursor: Cursor, name: str, kind: int) -> Any:
    what = f"the key {name}"
    if kind == STRING:
        return cursor.text(what)
    if kind == ARRAY:
        return _list(cursor, what, cursor.number("I", what))
    return cursor.number(_code(cursor, what, kind), what)


def _code(cursor: Cursor, what: str, kind: int) -> str:
    if kind not in SCALARS:
        raise cursor.broken(f"{what} is of the type {kind}, which GGUF does not have here")
    return SCALARS[kind]


def _list(cursor: Cursor, what: str, kind: int) -> list[Any]:
    form = None if kind == STRING else np.dtype(f"<{_code(cursor, what, kind)}")
    count = cursor.count(8 if form is None else form.itemsize, what)
    if count > LIST_MAX:
        raise cursor.broken(f"{what} names {count} entries, more than any model has")
    if form is None:
        return [cursor.text(what) for _ in range(count)]
    values: list[Any] = np.frombuffer(cursor.take(count * form.itemsize, what), form).tolist()
    return values


Info = tuple[tuple[int, ...], int, int]
"""A tensor's sizes, the fastest first, its type's number, and where it begins after the header."""


def _infos(cursor: Cursor, count: int) -> Iterator[tuple[str, Info]]:
    for _ in range(count):
        name = cursor.text("a tensor's name")
        what = f"the tensor {name}"
        dimensions = cursor.number("I", what)
        if not 1 <= dimensions <= DIMENSIONS_MAX:
            raise cursor.broken(f"{what} has {dimensions} dimensions")
        sizes = tuple(cursor.number("Q", what) for _ in range(dimensions))
        yield name, (sizes, cursor.number("I", what), cursor.number("Q", what))


def _alignment(cursor: Cursor, keys: dict[str, Any]) -> int:
    """Where tensors may begin: at multiples of it; 32 where the file names none."""
    value = keys.get("general.alignment", ALIGNMENT)
    if not isinstance(value, int) or not 0 < value <= 1 << 20 or value & (value - 1):
        raise cursor.broken(f"general.alignment is {value!r}, no power of two")
    return value


def _padded(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment


def _stored(cursor: Cursor, name: str, info: Info, start: int, data: mmap.mmap) -> Stored:
    sizes, number, offset = info
    kind, block, width = _type(name, number)
    if min(sizes) == 0 or sizes[0] % block:
        raise cursor.broken(f"the tensor {name} has the sizes {list(sizes)}, which cannot be in {kind}")
    length = math.prod(sizes) // block * width
    if start + offset + length > len(data):
        raise cursor.broken(f"it ends within the tensor {name}")
    shape = tuple(reversed(sizes))
    form = np.dtype(PLAIN.get(kind, np.uint8))
    rows = np.frombuffer(data, form, length // form.itemsize, start + offset)
    return Stored(kind, shape, rows.reshape(*shape[:-1], -1))


def _type(name: str, number: int) -> tuple[str, int, int]:
    """A type's name, the values of its block and the bytes of it."""
    import gguf

    try:
        kind = gguf.GGMLQuantizationType(number)
    except ValueError as error:
        raise UnsupportedError(f"{name} is stored as ggml's type {number}, which is not read") from error
    return (kind.name, *gguf.GGML_QUANT_SIZES[kind])
