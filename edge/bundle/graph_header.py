"""What an ONNX file says of itself: what it reads and gives, its operators, the files of its weights.

Read field by field (onnx.proto3 of onnx 1.23), since a board has no onnx; weights within the file are passed over.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import BundleError

GRAPH_BYTES_MAX = 2 << 30
"""protobuf's own limit."""
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 16: "bfloat16"}
"""onnx.TensorProto.DataType, those that decoders have."""
EXTERNAL = 1
"""onnx.TensorProto.DataLocation: the values are in another file."""
DEPTH_MAX = 4
"""Graphs within graphs; a decoder has two."""

Fields = Iterator[tuple[int, "int | memoryview"]]


@dataclass(frozen=True)
class Value:
    """Something that a graph reads or gives. kind: its type. shape: a number or a name a dimension."""

    name: str
    kind: str
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Tensor:
    """Weights. file: where they are, empty where in the graph itself. number: the value of a single whole one."""

    name: str
    kind: str
    shape: tuple[int, ...]
    file: str
    number: int | None = None


@dataclass(frozen=True)
class Node:
    """An operator. numbers: its whole-number attributes by name."""

    domain: str
    kind: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[str, int]


@dataclass
class Header:
    """A graph. tensors: by name, constants of nodes among them under what these give. files: of weights beside it."""

    inputs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)


def read_header(path: Path) -> Header:
    """A graph's header. Raises BundleError where the file is too large, or no graph, or has what no decoder has."""
    try:
        opened = path.open("rb")
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}; copy it again") from error
    with opened as file:
        size = path.stat().st_size
        if not 0 < size <= GRAPH_BYTES_MAX:
            raise BundleError(f"{path} has {size} bytes; a graph has {GRAPH_BYTES_MAX} at most, and some")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            try:
                return _model(view)
            except (ValueError, RecursionError) as error:
                text = f"{path} cannot be read as an ONNX graph: {error}; copy it again"
            raise BundleError(text)


def _model(view: memoryview) -> Header:
    header = Header()
    graphs = []
    for number, value in _fields(view):
        if number == 7:
            graphs.append(value)
        elif number in (20, 25):
            raise ValueError("it has functions of its own, or is for training, which no decoder here is")
    if len(graphs) != 1:
        raise ValueError("it holds no graph")
    _graph(_bytes(graphs[0]), header, 0)
    return header


def _graph(view: memoryview, into: Header, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise ValueError("its graphs lie too deep within each other")
    for number, value in _fields(view):
        if number == 1:
            into.nodes.append(_node(_bytes(value), into, depth))
        elif number == 5:
            _keep(into, _tensor(_bytes(value)))
        elif number in (11, 12) and depth == 0:
            each = _value(_bytes(value))
            (into.inputs if number == 11 else into.outputs)[each.name] = each
        elif number == 15:
            raise ValueError("it has sparse weights, which no decoder here has")


def _keep(into: Header, tensor: Tensor) -> None:
    into.tensors[tensor.name] = tensor
    if tensor.file:
        into.files.add(tensor.file)


def _node(view: memoryview, into: Header, depth: int) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 4: [""], 7: [""]}
    numbers: dict[str, int] = {}
    held: list[Tensor] = []
    for number, value in _fields(view):
        if number in texts:
            texts[number].append(_text(value))
        elif number == 5:
            _attribute(_bytes(value), numbers, held, into, depth)
    node = Node(texts[7][-1], texts[4][-1], texts[1], texts[2], numbers)
    for each in held:
        _keep(into, Tensor(node.outputs[0] if node.outputs else "", each.kind, each.shape, each.file, each.number))
    return node


def _attribute(view: memoryview, numbers: dict[str, int], held: list[Tensor], into: Header, depth: int) -> None:
    """An attribute's number, or what is within it."""
    name = ""
    for number, value in _fields(view):
        if number == 1:
            name = _text(value)
        elif number == 3 and isinstance(value, int):
            numbers[name] = value
        elif number in (5, 10):
            held.append(_tensor(_bytes(value)))
        elif number in (6, 11):
            _graph(_bytes(value), into, depth + 1)


def _tensor(view: memoryview) -> Tensor:
    name, file, kind, location = "", "", 0, 0
    shape: list[int] = []
    values = memoryview(b"")
    for number, value in _fields(view):
        if number == 1:
            shape += [value] if isinstance(value, int) else _numbers(value)
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8:
            name = _text(value)
        elif number in (7, 9) and not isinstance(value, int):
            values = value
        elif number == 13:
            key, said = _pair(_bytes(value))
            file = said if key == "location" else file
        elif number == 14 and isinstance(value, int):
            location = value
    if location == EXTERNAL and not file:
        raise ValueError(f"it does not say which file has {name!r}")
    return Tensor(name, TYPES.get(kind, f"type {kind}"), tuple(shape), file, _single(kind, values))


def _single(kind: int, values: memoryview) -> int | None:
    """A tensor's only whole number, whichever way it is written; None for all else."""
    wide = {6: 4, 7: 8}.get(kind)
    if wide and len(values) == wide:
        return int.from_bytes(values, "little", signed=True)
    if wide and 0 < len(values) < wide and len(numbers := _numbers(values)) == 1:
        return numbers[0]
    return None


def _value(view: memoryview) -> Value:
    name, kind = "", ""
    shape: list[int | str] = []
    for number, value in _fields(view):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for inner, of_tensor in _fields(_bytes(value)):
                if inner == 1:
                    kind, shape = _type(_bytes(of_tensor))
    return Value(name, kind, tuple(shape))


def _type(view: memoryview) -> tuple[str, list[int | str]]:
    kind = ""
    shape: list[int | str] = []
    for number, value in _fields(view):
        if number == 1 and isinstance(value, int):
            kind = TYPES.get(value, f"type {value}")
        elif number == 2:
            shape = [_dimension(_bytes(each)) for inner, each in _fields(_bytes(value)) if inner == 1]
    return kind, shape


def _dimension(view: memoryview) -> int | str:
    for number, value in _fields(view):
        if number in (1, 2):
            return value if isinstance(value, int) else _text(value)
    return ""


def _pair(view: memoryview) -> tuple[str, str]:
    found = {number: _text(value) for number, value in _fields(view) if number in (1, 2)}
    return found.get(1, ""), found.get(2, "")


def _numbers(view: memoryview) -> list[int]:
    found: list[int] = []
    at = 0
    while at < len(view):
        value, at = _varint(view, at)
        found.append(value)
    return found


def _fields(view: memoryview) -> Fields:
    """The fields of a message: number and value, in their order. ValueError where one goes beyond its end."""
    at = 0
    while at < len(view):
        key, at = _varint(view, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(view, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(view, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if not 0 <= size <= len(view) - at:
            raise ValueError("it ends in the middle")
        yield key >> 3, view[at : at + size]
        at += size


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(view):
            raise ValueError("it ends in the middle")
        value |= (view[at] & 127) << shift
        at += 1
        if view[at - 1] < 128:
            return value if value < 1 << 63 else value - (1 << 64), at
    raise ValueError("a number of more than 64 bits")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where there should be a message")
    return value


def _text(value: int | memoryview) -> str:
    return str(_bytes(value), "utf-8")
