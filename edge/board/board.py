"""Which board this is: its name, what it is to us, and for how long it has run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from edge.board.files import Absent, Files

KINDS = {  # what the device tree calls a board, or what it is made around, in the order in which they are tried
    r"raspberry pi (5|500|compute module 5)\b": "raspberry-pi-5",
    r"raspberry pi (4|400|compute module 4)\b": "raspberry-pi-4",
    r"raspberry pi (3|zero 2|compute module 3)\b": "raspberry-pi-3",
    r"jetson agx thor|nvidia,p3834-": "jetson-agx-thor",
    r"jetson agx orin|nvidia,p3701-": "jetson-agx-orin",
    r"jetson orin nx|nvidia,p3767-000[012]\b": "jetson-orin-nx",
    r"jetson orin nano|nvidia,p3767-000[3-5]\b": "jetson-orin-nano",
    r"rockchip,rk3588": "rk3588",
}
"""Presets are kept by these names. Modules of an Orin as mainline's dts/nvidia/tegra234-p3767.dtsi and its users have
them; Jetsons are called by the carrier, which may be anybody's, but list the module under `compatible`."""
ANDROID = {"system": "build.prop", "system/bin": "app_process*"}
"""What Android has, and nothing else; every app may list the first of these folders."""


class Board:
    """What does not change is read once."""

    name = "board"
    period_seconds = 0.0

    def __init__(self) -> None:
        self._model: str | None = None
        self._kind: str | None = None

    def read(self, files: Files) -> Mapping[str, Any]:
        """Model, kind and uptime, None for what nobody tells; Absent where it tells nothing at all."""
        self._model = self._model or model(files)
        self._kind = self._kind or kind(files)
        uptime = _uptime_seconds(files)
        if self._model is None and self._kind is None and uptime is None:
            raise Absent
        return {"model": self._model, "kind": self._kind, "uptime_seconds": uptime}


def model(files: Files) -> str | None:
    """The device tree's name of a board, else the firmware's (DMI), the maker's first."""
    named = files.text("proc/device-tree/model")
    if named:
        return named
    parts = [files.text(f"sys/class/dmi/id/{part}") for part in ("sys_vendor", "product_name")]
    return " ".join(part for part in parts if part) or None


def kind(files: Files) -> str | None:
    """What a board is to us, such as raspberry-pi-5; None for one that we do not know."""
    if is_phone(files):
        return "phone"
    told = [files.text(f"proc/device-tree/{name}") or "" for name in ("model", "compatible")]
    names = "\n".join(told).replace("\0", "\n").lower()
    found = (slug for pattern, slug in KINDS.items() if re.search(pattern, names))
    return next(found, "x86" if _is_x86(files) else None)


def is_phone(files: Files) -> bool:
    """Whether this is Android."""
    return any(files.names(folder, file) for folder, file in ANDROID.items())


def _is_x86(files: Files) -> bool:
    """Whether the processor is one of Intel's or AMD's kind, who alone have such flags."""
    return any(re.match(r"flags\s*:.*\bfpu\b", line) for line in files.lines("proc/cpuinfo")[:64])


def _uptime_seconds(files: Files) -> float | None:
    """The first number of /proc/uptime (proc_uptime(5))."""
    text = files.text("proc/uptime")
    if text is None:
        return None
    found = re.match(r"\d{1,12}\.\d+", text)
    if found is None:
        files.reject("proc/uptime", f"no uptime: {text[:40]!r}")
        return None
    return float(found[0])
