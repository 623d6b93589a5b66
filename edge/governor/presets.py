"""What is known of boards, a row each: how they heat up under an engine that works, and what they may have.

The rows follow the two-pole fits in `docs/decisions/0039-the-governor.md`; a row that is marked as assumed has
no published step response behind it. They need not be right: the forecast corrects them by what it sees, and the tests
bend them by a quarter and more. Limits: a Raspberry Pi's firmware lowers the clock from 80 °C on (raspberrypi.com,
Computers, "Frequency management and thermal control"); other boards' are the kernel's trips
(Documentation/driver-api/thermal/sysfs-api.rst), which the caller reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Preset:
    """One board in one case.

    fast_celsius, slow_celsius: what the die and all around it get warmer by when an idle board works at full speed for
    ever; fast_seconds, slow_seconds: their time constants. limit_celsius: where the board slows itself down, of which
    is_firm says whether it goes over the kernel's trips. margin_celsius: what is kept free below it. window_seconds:
    of readings that the slope is taken over; longer where the sensor's steps are coarse. watches: whose temperature it
    is about.
    """

    fast_celsius: float
    fast_seconds: float
    slow_celsius: float
    slow_seconds: float
    limit_celsius: float = 85
    is_firm: bool = False
    margin_celsius: float = 5
    window_seconds: float = 30
    watches: Literal["hottest zone", "battery"] = "hottest zone"

    @property
    def period_seconds(self) -> float:
        """How long a turn of work and pause may be, so that the die hardly notices it."""
        return self.fast_seconds / 2

    def limit(self, trip_celsius: float | None) -> float:
        """The limit, given the kernel's lowest passive or hot trip where there is one."""
        return self.limit_celsius if self.is_firm or trip_celsius is None else trip_celsius


def _pi(fast_celsius: float, fast_seconds: float, slow_celsius: float, slow_seconds: float) -> Preset:
    return Preset(fast_celsius, fast_seconds, slow_celsius, slow_seconds, 80, is_firm=True, margin_celsius=3)


PRESETS = {
    "raspberry-pi-5": _pi(7.5, 4, 37.5, 240),  # a guess between reports: idle about 50 °C, 80 within minutes
    "raspberry-pi-5-cooler": _pi(4.4, 2, 14, 40),  # sbc-bench 8-NK, stressberry#139; the fan's third step
    "raspberry-pi-5-passive": _pi(5, 5, 21.5, 540),  # stressberry#138 and #48, sbc-bench Au3jaA
    "raspberry-pi-4": _pi(5, 4, 30, 240),  # assumed: a bare Pi 5's with three quarters of its power
    "jetson-orin-nano": Preset(3.3, 5, 26, 70, limit_celsius=95),  # sbc-bench 4vy7; trips of tegra234-p3767.dtsi
    "jetson-orin-nano-no-fan": Preset(3.3, 5, 44, 300, limit_celsius=95),  # an Orin NX's idle, stretched
    "rk3588": Preset(4, 4, 25, 100, window_seconds=45),  # assumed; its zones step by 0.92 °C (sbc-bench 4D0a)
    "phone": Preset(0, 5, 37.5, 400, 43, is_firm=True, margin_celsius=2, window_seconds=120, watches="battery"),
    "x86": Preset(15, 3, 25, 60, limit_celsius=90),  # assumed: a laptop with a fan
    "unknown": Preset(4, 4, 25, 120),  # assumed
}
"""By name. Of a phone it is the skin that counts, at whose place its battery's sensor stands, read once a minute."""


def preset_for(kind: str | None, has_fan: bool = False) -> str:
    """The name of the row for a board's kind as telemetry has it (`board.kind`); "unknown" where there is none.

    has_fan: of a Raspberry Pi 5 it tells the Active Cooler from a bare board. A passive case cannot be told from none,
    which heats up faster and is what is taken.
    """
    name = kind or "unknown"
    if has_fan and f"{name}-cooler" in PRESETS:
        return f"{name}-cooler"
    families = {"jetson": "jetson-orin-nano", "raspberry-pi": "raspberry-pi-4", "rk35": "rk3588"}
    like = next((row for family, row in families.items() if name.startswith(family)), "unknown")
    return name if name in PRESETS else like
