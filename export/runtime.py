"""The export's only door to onnxruntime: a graph in memory, or in a file, to something that runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.errors import SourceError

Shapes = Mapping[str, list[Any]]
"""A number or a name a dimension."""
Runner = Callable[[list[str], Mapping[str, NDArray[Any]]], list[NDArray[np.float32]]]


def open_graph(model: onnx.ModelProto, folder: Path | None = None, as_written: bool = False) -> Runner:
    """A session over a model on the CPU: output names and feeds in, arrays out. folder: of its external data.

    as_written: what is dequantised is multiplied in floats, where the runtime would round the other factor, too.
    """
    onnxruntime = _imported()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # texts would stay in it: a session keeps what it once took
    if folder:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    if as_written:
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    wanted = {value.name for value in session.get_inputs()}
    return lambda outputs, feeds: session.run(outputs, {name: feeds[name] for name in wanted if name in feeds})


def open_file(path: Path) -> tuple[Runner, Shapes, Shapes]:
    """The same over a graph in a file, and the shapes of its inputs, those with a value too, and outputs by name.

    Raises SourceError where it cannot be loaded.
    """
    onnxruntime = _imported()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    try:
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    except Exception as error:  # a tree of its own that has no common root
        raise SourceError(f"onnxruntime cannot load {path}: {error}") from error
    fed = (*session.get_inputs(), *session.get_overridable_initializers())
    inputs = {value.name: value.shape for value in fed}
    outputs = {value.name: value.shape for value in session.get_outputs()}
    return (lambda names, feeds: session.run(names, {k: v for k, v in feeds.items() if k in inputs})), inputs, outputs


def _imported() -> ModuleType:
    """The runtime. A Ctrl-C while it is being imported comes out of it as an ImportError; here it is itself again."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # must be set before the import: later is too late
    try:
        import onnxruntime
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            raise error.__cause__ from None
        raise
    return onnxruntime  # type: ignore[no-any-return]  # it is published without annotations
