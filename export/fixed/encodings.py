"""Values as whole numbers: what a graph for an NPU computes with in place of floats (QDQ).

Each value of a run gets a step and a zero point for all of it, from the range that it had on calibration texts: 16
bits, but for keys and values, which are 8 as in any cache of ours. Where a value is only moved (cut, turned, laid side
by side), the numbers stay what they are. In the graph, a value's own name is that of its numbers; `.real` behind it is
what they stand for. A value that 16 bits cannot tell stays a float.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from export.fixed.tensors import PARTS
from export.fusing.nodes import node
from export.quantize import Floats

MOVES = {"Reshape", "Transpose", "Slice", "Split", "Concat", "Gather"}
"""Operators that only move values: what comes out has the numbers of what went in."""
TOP = 65535
HIDDEN_NATS = 24.0
"""So far below the least score of a layer is a place that may not be looked at: its share is then less than a step."""
HEADROOM = 1.25
"""How much farther numbers reach than values did on calibration texts: a third of a bit, against what others hold."""
Range = tuple[float, float]
Codes = NDArray[np.generic]


@dataclass(frozen=True)
class Encoding:
    """A value is `(code - zero_point) * scale`. kind: the code's type, a TensorProto.DataType."""

    kind: int
    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> Encoding:
        """16 bits that reach from `low` to `high`; zero is among them, exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = float(np.float32((high - low) / TOP)) or 1.0
        return cls(TensorProto.UINT16, scale, int(np.clip(np.rint(-low / scale), 0, TOP)))

    def codes(self, values: Floats) -> Codes:
        """Values as codes, those beyond the range at its end."""
        info = np.iinfo(helper.tensor_dtype_to_np_dtype(self.kind))
        rounded = np.rint(values / np.float32(self.scale)) + self.zero_point
        codes: Codes = rounded.clip(info.min, info.max).astype(info.dtype)
        return codes

    def values(self, codes: Codes) -> Floats:
        """What codes stand for."""
        made: Floats = (codes.astype(np.float32) - np.float32(self.zero_point)) * np.float32(self.scale)
        return made


CACHED = Encoding(TensorProto.INT8, 1.0, 0)
"""Keys and values, which are in steps already."""
SHARES = Encoding(TensorProto.UINT16, 1 / TOP, 0)
"""What Softmax and Sigmoid make."""
OWN = {"Softmax": SHARES, "Sigmoid": SHARES}
Encodings = Mapping[str, Encoding]


def groups(nodes: Iterable[onnx.NodeProto]) -> dict[str, str]:
    """By each value that is moved, one of those that have its numbers."""
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while first.get(name, name) != name:
            name = first[name]
        return name

    for each in nodes:
        if each.op_type in MOVES:
            reads = list(each.input) if each.op_type == "Concat" else list(each.input)[:1]
            for other in (*list(each.output)[1:], *reads):
                first[root(other)] = root(each.output[0])
    return {name: root(name) for name in {*first, *first.values()}}


def encodings(nodes: list[onnx.NodeProto], ranges: Mapping[str, Range], given: Encodings) -> dict[str, Encoding]:
    """Of values that nodes make or read. given: those that do not come of ranges; what has their numbers, too."""
    of_group = groups(nodes)
    given = {**{each.output[0]: OWN[each.op_type] for each in nodes if each.op_type in OWN}, **given}
    spans: dict[str, Range] = {}
    for name, (low, high) in ranges.items():
        one = of_group.get(name, name)
        least, most = spans.get(one, (low, high))
        spans[one] = min(low, least), max(high, most)
    settled = {one: Encoding.of(low * HEADROOM, high * HEADROOM) for one, (low, high) in spans.items()}
    settled |= {of_group.get(name, name): encoding for name, encoding in given.items()}
    made = {name: settled.get(of_group.get(name, name)) for name in {*ranges, *given, *of_group}}
    return {name: encoding for name, encoding in made.items() if encoding}


def encoded(
    nodes: Iterable[onnx.NodeProto], known: Encodings, given: Iterable[str], matrices: Iterable[str]
) -> Iterator[onnx.NodeProto]:
    """Nodes between whole numbers. known: of values; those without one stay as they are.

    given: those of them that no node makes. matrices: weights, each channel of which has a step.
    """
    real = {*known, *matrices}
    for name in given:
        yield _turned("DequantizeLinear", name, f"{name}.real")
    for name in matrices:
        yield node("DequantizeLinear", [name + part for part in PARTS], [f"{name}.real"], axis=1)
    for each in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(each)
        copy.input[:] = [f"{name}.real" if name in real else name for name in each.input]
        copy.output[:] = [f"{name}.raw" if name in known else name for name in each.output]
        copy.name = copy.output[0]
        yield copy
        for name in each.output:
            if name in known:
                yield _turned("QuantizeLinear", f"{name}.raw", name)
                yield _turned("DequantizeLinear", name, f"{name}.real")


def _turned(op: str, read: str, made: str) -> onnx.NodeProto:
    name = made if op == "QuantizeLinear" else read
    return node(op, [read, f"{name}.step", f"{name}.zero"], [made])


def steps(known: Encodings, names: Iterable[str]) -> Iterator[TensorProto]:
    """The constants that `encoded` reads, for some values."""
    for name in names:
        each = known[name]
        yield helper.make_tensor(f"{name}.step", TensorProto.FLOAT, [], [each.scale])
        yield helper.make_tensor(f"{name}.zero", each.kind, [], [each.zero_point])
