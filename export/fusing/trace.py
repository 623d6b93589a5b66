"""A traced graph, looked at by module: what lies in a module must be what the family promises.

The exporter names every node after the module it comes from (`/model/layers.0/self_attn/q_proj/MatMul`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

from export.errors import FuseError

NORM = Counter({"Pow": 1, "ReduceMean": 1, "Add": 1, "Sqrt": 1, "Div": 1, "Mul": 2})
ATTENTION = Counter({"Softmax": 1, "MatMul": 2, "Neg": 2})
IGNORED = {"Cast", "Constant", "Identity"}


class Trace:
    """A traced graph, looked at by module."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.nodes = list(graph.node)
        self.producer = {out: node for node in self.nodes for out in node.output}

    def scope(self, module: str) -> list[onnx.NodeProto]:
        """The nodes of a module and all that lies in it, in the graph's order."""
        return [node for node in self.nodes if node.name.startswith(f"/{module}/")]

    def projection(self, module: str) -> onnx.NodeProto:
        """The one MatMul that is a Linear module without bias."""
        nodes = self.scope(module)
        if [node.op_type for node in nodes] != ["MatMul"]:
            found = ", ".join(node.op_type for node in nodes) or "nothing"
            raise FuseError(f"/{module} should be one MatMul without bias, but the trace has {found}")
        return nodes[0]

    def norm_input(self, module: str) -> str:
        """What an RMSNorm module reads, after its operators are checked."""
        self._expect(module, NORM, self.scope(module))
        return self._root(self._first(module, "Pow").input[0])

    def norm_output(self, module: str) -> str:
        """What an RMSNorm module makes, after its operators are checked."""
        self._expect(module, NORM, self.scope(module))
        return str(self.scope(module)[-1].output[0])

    def attention(self, module: str, linear: Iterable[str]) -> None:
        """Check that what lies between the projections is a rotary softmax attention."""
        skip = tuple(f"/{name}/" for name in linear)
        nodes = [node for node in self.scope(module) if not node.name.startswith(skip)]
        counts = Counter(node.op_type for node in nodes)
        for op, count in ATTENTION.items():
            if counts[op] != count:
                raise FuseError(f"/{module} should have {count} {op}, but the trace has {counts[op]}")

    def residual(self, value: str, module: str) -> list[str]:
        """The two inputs of the residual Add that makes a value."""
        node = self.producer.get(self._root(value))
        if node is None or node.op_type != "Add" or not node.name.startswith(f"/{module}/"):
            raise FuseError(f"{value} should come from a residual Add of /{module}")
        return [self._root(name) for name in node.input]

    def check_scopes(self, layers: int) -> None:
        """Every node must lie in a module that is known; the mask's own nodes are dropped with the mask."""
        known = ["/model/embed_tokens/", "/model/rotary_emb/", "/model/rotary_emb_local/", "/model/norm/", "/lm_head/"]
        known += [f"/model/layers.{index}/" for index in range(layers)]
        for node in self.nodes:
            top_level = node.name.startswith("/model/") and node.name.count("/") == 2
            if not (top_level or node.op_type in IGNORED or node.name.startswith(tuple(known))):
                raise FuseError(f"the node {node.name} ({node.op_type}) lies in no module the family knows")

    def _root(self, value: str) -> str:
        """A value's origin behind casts to the type it already has."""
        while (node := self.producer.get(value)) is not None and node.op_type in ("Cast", "Identity"):
            value = node.input[0]
        return value

    def _first(self, module: str, op: str) -> onnx.NodeProto:
        return next(node for node in self.scope(module) if node.op_type == op)

    @staticmethod
    def _expect(module: str, wanted: Counter[str], nodes: list[onnx.NodeProto]) -> None:
        found = Counter(node.op_type for node in nodes if node.op_type not in IGNORED)
        if found != wanted:
            odd = next((n.name for n in nodes if n.op_type in (found - wanted)), f"/{module}")
            raise FuseError(f"/{module} should be {dict(wanted)}, but is {dict(found)}; see {odd}")
