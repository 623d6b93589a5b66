"""Sessions over graphs of fixed shapes: on the processor, or compiled by a provider's plugin, whole or not at all."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.engine import budget
from edge.engine.graph.session import runtime
from edge.engine.providers import Row
from edge.errors import BundleError

CONTEXT = ".compiled.onnx"
"""Behind a graph's name, what a provider has made of it (onnxruntime's EP context)."""


class Sessions:
    """Opens them for one provider. threads: of what runs on the processor. soc: what to compile for, empty for this."""

    def __init__(self, row: Row, threads: int, soc: str = "") -> None:
        self._ort, self._row, self._threads, self._soc = runtime(), row, budget.threads(threads), soc

    @property
    def version(self) -> str:
        """Of onnxruntime, and what it runs on: sums come out otherwise elsewhere."""
        return f"{self._ort.__version__} {self._row.name}"

    def halt(self) -> Any:
        """A handle for one run; setting its `terminate`, from any thread, ends that run."""
        return self._ort.RunOptions()

    def on_processor(self, graph: Path) -> Any:
        """As it is written: no Q and DQ is left out or drawn together, so that it can be held to what others make."""
        options = self._options()
        options.intra_op_num_threads = self._threads
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        return self._ort.InferenceSession(str(graph), options, ["CPUExecutionProvider"])

    def opened(self, graph: Path, kept: Path | None = None) -> Any:
        """On the provider. kept: where what it has compiled is, or is to be. BundleError where it does not take it all."""
        if not self._row.module:
            return self.on_processor(graph)
        options = self._options()
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if kept is not None and not kept.is_file():
            options.add_session_config_entry("ep.context_enable", "1")
            options.add_session_config_entry("ep.context_file_path", str(kept))
            options.add_session_config_entry("ep.context_embed_mode", "1")
        options.add_provider_for_devices(_devices(self._ort, self._row), self._told())
        is_compiled = kept is not None and kept.is_file()
        return self._ort.InferenceSession(str(kept if is_compiled else graph), options)

    def _told(self) -> dict[str, str]:
        return {**self._row.told(), **({"soc_model": self._soc} if self._soc else {})}

    def _options(self) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = 4 if self._row.module else 3
        return options


@cache
def _devices(ort: ModuleType, row: Row) -> list[Any]:
    """What the provider's plugin offers, which is registered once a process; BundleError where that is nothing."""
    ort.register_execution_provider_library(row.runtime_name, row.library())
    found = [each for each in ort.get_ep_devices() if each.ep_name == row.runtime_name]
    if not found:
        raise BundleError(f"{row.distribution} finds no device of its kind here; `edge doctor` says what there is")
    return found[:1]
