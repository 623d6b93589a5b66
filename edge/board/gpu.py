"""GPUs and NPUs: how busy, and at which clock. A board's own by devfreq, NVIDIA's cards by their library.

A Jetson's load is in `device/load`, tenths of a percent (nvgpu); Rockchip's in `load`, as `9@200000000Hz`; its NPU's in
debugfs, which is root's (`NPU load:  Core0: 63%, Core1: 65%, Core2: 64%,`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from edge.board.files import DIGITS, SHOWN, Absent, Files
from edge.board.nvml import Cards
from edge.board.tegrastats import PERIOD_SECONDS, Tegrastats

DEVICE = re.compile(r"(?:^|[.,-])(gpu|ga10b|gv11b|gp10b|npu|kgsl|gb10b)|^(gpu|npu)", re.IGNORECASE)
NPU_LOAD = "sys/kernel/debug/rknpu/load"
UNKNOWN: dict[str, Any] = dict.fromkeys(
    ("used_percent", "clock_hertz", "clock_max_hertz", "memory_total_bytes", "memory_used_bytes", "celsius", "watts")
)


class Gpu:
    """All of them by name, `gpu` and `npu` where the board has one of each. others: cards that no file tells of."""

    name = "gpu"

    def __init__(
        self,
        others: Callable[[Files], dict[str, dict[str, Any]]] | None = None,
        tegrastats: Tegrastats | None = None,
    ) -> None:
        self._others, self._tegrastats = others or Cards(), tegrastats or Tegrastats()
        self.period_seconds = 5.0

    def read(self, files: Files) -> Mapping[str, Any]:
        """`{"each": {"gpu": {...}}}`; Absent."""
        each = {**self._own(files), **self._others(files)}
        if not each and not files.has_trouble:
            raise Absent
        return {"each": each}

    def _own(self, files: Files) -> dict[str, dict[str, Any]]:
        each: dict[str, dict[str, Any]] = {}
        for path in files.names("sys/class/devfreq", "*"):
            kind = kind_of(files, path)
            if kind is not None:
                name = kind if kind not in each else f"{kind}-{sum(known.startswith(kind) for known in each) + 1}"
                each[name] = {**UNKNOWN, "used_percent": used_percent(files, path, kind), **clocks(files, path)}
        if all(gpu["used_percent"] is None for gpu in each.values()) and self._tegrastats.is_there(files):
            self.period_seconds = PERIOD_SECONDS
            if line := self._tegrastats.read(files):
                gpu = each.setdefault("gpu", dict(UNKNOWN))
                gpu["used_percent"] = line.gpu_used_percent
                gpu["clock_hertz"] = gpu["clock_hertz"] or line.gpu_hertz
        return each


def kind_of(files: Files, path: str) -> str | None:
    """`gpu` or `npu`, by the device tree's name or the folder's; None of memory controllers, disks and the like."""
    name = path.rpartition("/")[2]
    found = DEVICE.search(files.text(f"{path}/device/of_node/name") or "") or DEVICE.search(name)
    if found is None:
        return None
    return "npu" if found[0].lower().endswith("npu") else "gpu"


def used_percent(files: Files, path: str, kind: str) -> float | None:
    """As the driver has it; None where it does not say, or says what cannot be."""
    if (tenths := files.number(f"{path}/device/load", 10)) is not None:
        return _percent(files, f"{path}/device/load", tenths)
    if (text := files.text(f"{path}/load")) is not None:
        number = text.partition("@")[0]
        return _percent(files, f"{path}/load", float(number) if number.isdecimal() and len(number) < DIGITS else -1)
    if kind == "npu" and files.names(NPU_LOAD.rpartition("/")[0], "load"):
        cores = [float(each) for each in re.findall(r"Core[0-9]: +([0-9]{1,9})%", files.text(NPU_LOAD) or "")]
        return _percent(files, NPU_LOAD, sum(cores) / len(cores)) if cores else None
    return None


def _percent(files: Files, path: str, percent: float) -> float | None:
    if 0 <= percent <= 100:
        return round(percent, 1)
    files.reject(path, f"no load: {percent:g}"[:SHOWN])
    return None


def clocks(files: Files, path: str) -> dict[str, int | None]:
    """Now, and the highest that the hardware has (Documentation/ABI/testing/sysfs-class-devfreq)."""
    words = (files.text(f"{path}/available_frequencies") or "").split()
    steps = [int(word) for word in words if word.isdecimal() and len(word) < DIGITS]
    return {
        "clock_hertz": files.amount(f"{path}/cur_freq"),
        "clock_max_hertz": max(steps) if steps else files.amount(f"{path}/max_freq"),
    }
