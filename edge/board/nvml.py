"""NVIDIA's cards, by their own library (extra `nvml`: nvidia-ml-py). On a Jetson it answers NotSupported to all.

Asking wakes a card that sleeps, so that on a laptop the extra is better left out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.board.files import Files

CARDS_MAX = 16


class Cards:
    """The cards of this machine. library: pynvml, or what speaks like it; None looks for it."""

    def __init__(self, library: Any = None) -> None:
        self._library, self._is_ready = library, False

    def __call__(self, files: Files) -> dict[str, dict[str, Any]]:
        """Each by number and name, as `0 NVIDIA RTX A2000`; none where there is no library or no driver."""
        if self._library is None:
            if files.root != Path("/"):
                return {}
            try:
                import pynvml
            except ImportError:
                return {}
            self._library = pynvml
        nvml = self._library
        try:
            if not self._is_ready:
                nvml.nvmlInit()
                self._is_ready = True
            handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(min(nvml.nvmlDeviceGetCount(), CARDS_MAX))]
            return {f"{i} {_text(nvml.nvmlDeviceGetName(one))}": self._card(one) for i, one in enumerate(handles)}
        except nvml.NVMLError as error:
            if not isinstance(error, nvml.NVMLError_LibraryNotFound | nvml.NVMLError_DriverNotLoaded):
                files.reject("nvml", str(error))
            return {}

    def _card(self, card: Any) -> dict[str, Any]:
        """What is known of one; each thing may be unknown by itself."""
        nvml = self._library
        clock = nvml.NVML_CLOCK_SM
        used = self._known(lambda: nvml.nvmlDeviceGetUtilizationRates(card).gpu)
        memory = self._known(lambda: nvml.nvmlDeviceGetMemoryInfo(card))
        milliwatts = self._known(lambda: nvml.nvmlDeviceGetPowerUsage(card))
        megahertz = self._known(lambda: nvml.nvmlDeviceGetClockInfo(card, clock))
        megahertz_max = self._known(lambda: nvml.nvmlDeviceGetMaxClockInfo(card, clock))
        celsius = self._known(lambda: nvml.nvmlDeviceGetTemperature(card, nvml.NVML_TEMPERATURE_GPU))
        return {
            "used_percent": None if used is None else float(used),
            "clock_hertz": None if megahertz is None else megahertz * 1_000_000,
            "clock_max_hertz": None if megahertz_max is None else megahertz_max * 1_000_000,
            "memory_total_bytes": memory.total if memory else None,
            "memory_used_bytes": memory.used if memory else None,
            "celsius": None if celsius is None else float(celsius),
            "watts": None if milliwatts is None else milliwatts / 1000,
        }

    def _known(self, ask: Callable[[], Any]) -> Any:
        """An answer; None where the card has none."""
        try:
            return ask()
        except self._library.NVMLError:
            return None


def _text(name: str | bytes) -> str:
    """Older libraries give bytes."""
    return name.decode(errors="replace") if isinstance(name, bytes) else name
