"""What the board takes: watts by the widest line that is measured, and the lines one by one.

A Pi 5 has its power chip, a Jetson its monitors, a PC the processor's counters, what runs on a battery the battery. A
Pi 4 and an RK3588 have none. Sums of lines that lie within each other are nobody's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from edge.board import ina, pmic, rapl
from edge.board.battery import Gauge, drawn_watts
from edge.board.files import Absent, Files
from edge.board.mailbox import Mailbox
from edge.board.pmic import EXTERNAL, Rail
from edge.board.tegrastats import PERIOD_SECONDS, Tegrastats

MODE = re.compile(r"^pmode:([0-9]{1,4})$", re.MULTILINE)


@dataclass(frozen=True)
class Taken:
    """What one kind of meter says. watts: within scope; None is not known, though lines are; joules: of a counter."""

    watts: float | None
    scope: str | None
    rails: dict[str, Rail] = field(default_factory=dict)
    supply_volts: float | None = None
    joules: float | None = None


class Meter(Protocol):
    """One kind of meter. period_seconds: how often it can be asked for the energy of answers."""

    period_seconds: float

    def take(self, files: Files) -> Taken | None:
        """What it says; None on a board that has none, or where it may not be asked."""
        ...


class Power:
    """The first of the meters that the board has. clock: seconds that go on."""

    name = "power"

    def __init__(
        self,
        mailbox: Mailbox,
        clock: Callable[[], float] = time.monotonic,
        tegrastats: Tegrastats | None = None,
    ) -> None:
        self._meters: list[Meter] = [Pmic(mailbox), Monitors(), Counters(clock), Battery(clock)]
        self._tegrastats = tegrastats or Tegrastats()
        self.period_seconds = 5.0

    def read(self, files: Files) -> Mapping[str, Any]:
        """Watts with their scope, volts that come in, each line, and the mode that is set."""
        taken = next((found for meter in self._meters if (found := meter.take(files))), None) or self._said(files)
        mode = power_mode(files)
        if taken is None and mode is None and not files.has_trouble:
            raise Absent
        taken = taken or Taken(None, None)
        return {
            "watts": taken.watts,
            "scope": taken.scope,
            "supply_volts": taken.supply_volts,
            "rails": {name: asdict(rail) for name, rail in taken.rails.items()},
            "mode": mode,
        }

    def _said(self, files: Files) -> Taken | None:
        """By tegrastats, which takes a second: it is asked more rarely, whether it answers or not."""
        if not self._tegrastats.is_there(files):
            return None
        self.period_seconds = PERIOD_SECONDS
        line = self._tegrastats.read(files)
        if line is None or not line.watts:
            return None
        return of_monitors({name: Rail(watts=watts) for name, watts in line.watts.items()})


class Pmic:
    """The power chip of a Pi 5, by its firmware."""

    period_seconds = 0.5

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    def take(self, files: Files) -> Taken | None:
        """None where there is none, or the firmware may not be asked."""
        text = self._mailbox.ask(files, "pmic_read_adc") if pmic.is_there(files) else None
        rails = pmic.read_rails(text or "")
        if not rails:
            return None
        supply = rails.get(EXTERNAL)
        return Taken(pmic.total(rails), pmic.SCOPE, rails, supply.volts if supply else None)


class Monitors:
    """The chips on a Jetson's module or carrier."""

    period_seconds = 0.2

    def take(self, files: Files) -> Taken | None:
        """None where there are none."""
        rails = ina.read_rails(files)
        return of_monitors(rails) if rails else None


def of_monitors(rails: dict[str, Rail]) -> Taken:
    """The line that holds all others, and all of them."""
    found = ina.total(rails)
    if found is None:
        return Taken(None, None, rails)
    watts = found[1].watts
    return Taken(watts if watts is None or watts >= 0 else None, ina.SCOPE, rails, found[1].volts)


class Counters:
    """An x86 processor's; the first reading has no watts yet."""

    period_seconds = 0.2

    def __init__(self, clock: Callable[[], float]) -> None:
        self._rapl, self._clock = rapl.Rapl(), clock

    def take(self, files: Files) -> Taken | None:
        """None where there are none, or they may not be read."""
        rails = self._rapl.read_rails(files, self._clock())
        return Taken(self._rapl.watts, rapl.SCOPE, rails, joules=self._rapl.joules) if rails else None


class Battery:
    """What a battery gives, while it does; its gauge is too slow for the energy of an answer."""

    period_seconds = 10.0

    def __init__(self, clock: Callable[[], float]) -> None:
        self._gauge = Gauge(clock)

    def take(self, files: Files) -> Taken | None:
        """None where there is none, or it is being charged."""
        watts = drawn_watts(files, self._gauge)
        return None if watts is None else Taken(watts, "whole device")


def power_mode(files: Files) -> str | None:
    """The name of a Jetson's mode, as nvpmodel has written its number; the numbers differ from board to board."""
    status = MODE.search(files.text("var/lib/nvpmodel/status") or "")
    if not status:
        return None
    number = int(status[1])
    named = re.search(
        rf"^<\s*POWER_MODEL\s+ID={number}\s+NAME=([\w-]{{1,40}})\s*>",
        files.text("etc/nvpmodel.conf") or "",
        re.MULTILINE,
    )
    return named[1] if named else f"mode {number}"
