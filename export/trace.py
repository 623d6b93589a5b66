"""Optimum's trace of a family at two layers, and the skeleton made of it.

Needs torch, as only `vision_trace.py` does beside it.

`python -m export.trace` (or `make skeletons`, in the `trace` extra) writes `export/skeletons/*.onnxtxt`;
`--check` makes them again and compares instead.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import onnx.printer

from export.families import FAMILIES
from export.families.base import Family
from export.fusing import decoder, gemma, mixture, small, vision
from export.fusing.nodes import OPSET
from export.graphs import SKELETONS
from export.vision import SKELETON as VISION

TINY = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "vocab_size": 64,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
    "attn_implementation": "eager",
}
FUSED = {"gemma3": gemma.fuse}
"""By their skeletons, families whose layer is another than a Llama's."""


WRITTEN = {"phimoe": mixture.functions, "phi3small": small.functions}
"""By their skeletons, families whose layer no trace can show."""


def main() -> int:
    """Write every family's skeleton, or with --check say which differs from a new trace."""
    parser = argparse.ArgumentParser(description=main.__doc__, allow_abbrev=False)
    parser.add_argument("--check", action="store_true", help="compare with the committed skeletons, write nothing")
    check = parser.parse_args().check
    stale = [name for name, text in skeletons().items() if not _settle(name, text(), check)]
    if stale:
        print(f"skeletons that a new trace does not reproduce: {', '.join(stale)}", file=sys.stderr)
    return 1 if stale else 0


def skeletons() -> dict[str, Callable[[], str]]:
    """What makes the text of each skeleton, by the skeleton's name."""
    texts = {family.skeleton: family for family in FAMILIES if family.skeleton == family.name}
    return {**{name: partial(skeleton_text, family) for name, family in texts.items()}, VISION: vision_text}


def _settle(name: str, text: str, check: bool) -> bool:
    path = SKELETONS / f"{name}.onnxtxt"
    if check:
        return path.read_text(encoding="utf-8") == text
    path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {len(text)} bytes")
    return True


def skeleton_text(family: Family) -> str:
    """The family's head, layer and tail in ONNX's text form."""
    if family.skeleton in WRITTEN:
        return _text(WRITTEN[family.skeleton](family))
    with tempfile.TemporaryDirectory() as folder:
        graph = onnx.load(trace(tiny_model(family), Path(folder) / "model.onnx")).graph
    return _text(FUSED.get(family.skeleton, decoder.fuse)(graph, family))


def vision_text() -> str:
    """The head, layer and tail of the picture tower."""
    from export import vision_trace

    with tempfile.TemporaryDirectory() as folder:
        graph = onnx.load(vision_trace.trace(vision_trace.tiny_tower(), Path(folder) / "vision.onnx")).graph
    return _text(vision.fuse(graph))


def _text(functions: Iterable[onnx.FunctionProto]) -> str:
    return "\n\n".join(onnx.printer.to_text(function) for function in functions) + "\n"


def tiny_model(family: Family, **sizes: Any) -> Any:
    """A random model of the family in Transformers, two layers unless told otherwise, seed 0."""
    import torch
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, family.trace_config)(**{**TINY, **sizes})
    return getattr(transformers, family.trace_class)(config).eval()


def trace(model: Any, path: Path) -> Path:
    """Write the model's graph with key-value cache through Optimum's ONNX exporter."""
    import optimum.exporters.onnx.model_configs  # noqa: F401 - importing it registers the architectures
    from optimum.exporters.onnx import export
    from optimum.exporters.tasks import TasksManager

    configure = TasksManager.get_exporter_config_constructor(
        model=model, exporter="onnx", task="text-generation-with-past", library_name="transformers"
    )
    export(model, configure(model.config), path, opset=OPSET)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
