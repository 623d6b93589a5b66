"""What the daemon has of its board: its sensors, what measures the energy of answers, and the clock that it may cap."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge.board.clock import Clock
from edge.board.sensors import Sensors
from edge.board.wattmeter import Wattmeter


@dataclass(frozen=True)
class Instruments:
    """As it stands, of a board that has nothing to tell."""

    sensors: Sensors = field(default_factory=lambda: Sensors([]))
    wattmeter: Wattmeter = field(default_factory=lambda: Wattmeter([]))
    clock: Clock = field(default_factory=Clock)

    def close(self) -> None:
        """Measure no more."""
        self.wattmeter.close()
