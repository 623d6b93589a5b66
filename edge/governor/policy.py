"""What the operator may set: `[governor]` of edge.toml, by the same names and with the same defaults."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """enabled: False is a governor that never does anything. limit_celsius: instead of the board's own.

    margin_celsius: how far below the limit it is kept, instead of the preset's. duty_min: it never works less of the
    time than that for its heat. A `power` is the share, from 0 to 1, of what work at full speed adds to an idle board's
    power: under_voltage_power while the supply is too low, battery_low_power while the battery has less than
    battery_low_percent and is not charged, throttled_power while the board throttles itself and no temperature tells
    why. Below battery_refuse_percent nobody is let in. memory: whether a shortage of memory is acted upon.
    """

    enabled: bool = True
    limit_celsius: float | None = None
    margin_celsius: float | None = None
    duty_min: float = 0.1
    under_voltage_power: float = 0.5
    throttled_power: float = 0.75
    battery_low_percent: float = 20
    battery_low_power: float = 0.5
    battery_refuse_percent: float = 10
    memory: bool = True
