"""Sessions over graphs of fixed shapes: on the processor, or compiled by a provider's plugin, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.engine import budget
from edge.engine.graph.session import runtime
from edge.engine.providers import Row
from edge.errors import BundleError


class Sessions:
    """Opens them for one provider. threads: of what runs on the processor. more: options of the provider's own."""

    def __init__(self, row: Row, threads: int, more: Mapping[str, str] | None = None) -> None:
        self._ort, self._row, self._threads = runtime(), row, budget.threads(threads)
        self._more = dict(more or {})

    @property
    def version(self) -> str:
        """Of onnxruntime, and what it runs on: sums come out otherwise elsewhere."""
        return f"{self._ort.__version__} {self._row.name}"

    def halt(self) -> Any:
        """A handle for one run; setting its `terminate`, from any thread, ends that run."""
        return self._ort.RunOptions()

    def on_processor(self, graph: Path) -> Any:
        """As it is written: no Q and DQ is left out or drawn together, so that it can be held to what others make.

        Weights stay in their bits, and are turned into floats in each run: nobody answers this way, but to compare.
        """
        options = self._options()
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        kept = {"disabled_optimizers": ["ConstantFolding"]}
        return self._ort.InferenceSession(str(graph), options, ["CPUExecutionProvider"], **kept)

    @property
    def compiles(self) -> bool:
        """Whether what the provider makes of a graph can be kept."""
        return bool(self._row.module)

    def opened(self, graph: Path, into: Path | None = None) -> Any:
        """On the provider, which takes all of it or fails. into: where to write what it makes of the graph.

        What it has made of one (onnxruntime's EP context) is opened as a graph is; there is a file beside it then.
        """
        if not self._row.module:
            return self.on_processor(graph)
        options = self._options()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if into is not None:
            options.add_session_config_entry("ep.context_enable", "1")
            options.add_session_config_entry("ep.context_file_path", str(into))
            options.add_session_config_entry("ep.context_embed_mode", "0")
        options.add_provider_for_devices(_devices(self._ort, self._row), {**self._row.told(), **self._more})
        return self._ort.InferenceSession(str(graph), options)

    def _options(self) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = 4 if self._row.module else 3
        return options


@cache
def _devices(ort: ModuleType, row: Row) -> list[Any]:
    """What the provider's plugin offers, an NPU if it can; BundleError where that is nothing.

    It is registered once a process.
    """
    ort.register_execution_provider_library(row.runtime_name, row.library())
    found = [each for each in ort.get_ep_devices() if each.ep_name == row.runtime_name]
    if not found:
        raise BundleError(f"{row.distribution} finds no device of its kind here; `edge doctor` says what there is")
    return sorted(found, key=lambda each: each.device.type.name != "NPU")[:1]
