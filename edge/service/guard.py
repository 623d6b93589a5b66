"""The board looked at every few seconds, and what its governor decides done: pace, clock, who is let in.

The governor itself knows readings alone (edge/governor); here they are taken, and its decision is carried out. Whatever
fails here leaves the engine at full speed and everybody let in, and is told: the firmware still protects the board.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from edge.board.calibration import kept
from edge.board.clock import steps_hertz
from edge.board.files import Files
from edge.board.heap import give_back
from edge.board.instruments import Instruments
from edge.board.source import Sample
from edge.config import Governor as GovernorSettings
from edge.config import Settings
from edge.governor import PRESETS, Decision, Governor, Inputs, Levers, Policy, Preset, ThreadCount, preset_for
from edge.service.admission import Admission
from edge.service.answering import Answering
from edge.service.clock import now
from edge.service.happenings import Happenings
from edge.service.looks import Readings, Room, fresh, heat, is_supplied
from edge.service.queue import Queue
from edge.service.seat import Seat

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
"""Between two looks; a forecast of heat needs no more (ADPF's getThermalHeadroom allows one a second, too)."""
IDLE_SECONDS = 5.0
"""Between two looks while nothing runs, and nothing is held back."""
LOOKS = ("board", "thermal", "memory", "throttling", "battery")
KNOWS_BOARD = ("board", "thermal")
"""Which board it is, and whether it has a fan."""
KNOWN_SECONDS = 30.0
"""For so long the board may take to say; a start has much to read."""
EASE_SECONDS = 10.0
"""Between two wishes that the engine give back what it keeps, while memory is short."""
DEAF = "the clock's helper cannot be told"


class Guard:
    """One board's. What it does holds until its next look."""

    def __init__(
        self,
        settings: Settings,
        instruments: Instruments,
        seat: Seat,
        queue: Queue,
        admission: Admission,
        answering: Answering,
        happenings: Happenings,
        governed: Callable[[Decision], None],
    ) -> None:
        """governed: told of each other state of the governor's."""
        self._settings, self._sensors, self._clock = settings, instruments.sensors, instruments.clock
        self._engine, self._queue, self._admission, self._answering = seat, queue, admission, answering
        self._happenings, self._governed = happenings, governed
        self._governor: Governor | None = None
        self._room = Room()
        self._began, self._eased, self._failed, self._is_capped = now(), -math.inf, "", False
        self.decision = Decision(state="free" if settings.governor.enabled else "off")
        self.limits_reached = 0
        """Looks at which the board was as hot as it gets before it slows itself down."""

    def changed(self) -> None:
        """Another bundle is in use: what its calibration found, and what memory is usual beside it, is its own."""
        self._governor, self._room = None, Room()

    def moved(self) -> None:
        """A bundle beside the one in use has come or gone: what memory is usual is another."""
        self._room = Room()

    async def run(self) -> None:
        """For ever, whatever fails."""
        while True:
            try:
                await self._look()
            except Exception as error:  # which would end the daemon, or leave the engine as it was slowed last
                self._let_go(error)
            else:
                self._failed = ""
            await asyncio.sleep(IDLE_SECONDS if self._is_idle else PERIOD_SECONDS)

    @property
    def _is_idle(self) -> bool:
        """Whether the next look has time: nothing runs, and nothing is held back."""
        return self._governor is not None and not self._queue.running and self.decision.is_neutral

    async def _look(self) -> None:
        """Once: readings, a decision, what comes of it."""
        taken = await self._sensors.look(LOOKS)
        if self._governor is None and self._knows(taken):
            self._governor = await asyncio.to_thread(self._chosen, taken.readings)
        if self._governor is not None:
            readings, preset = fresh(taken.readings), self._governor.preset
            inputs = self._inputs(readings, preset)
            self.limits_reached += self._governor.is_at_limit(inputs)
            self._do(self._governor.step(inputs), preset.period_seconds)
            self._tell(readings)

    def _knows(self, taken: Sample) -> bool:
        """Whether the board has said what it is, or has had its time to."""
        said = {*taken.readings, *taken.absent}
        return said.issuperset(KNOWS_BOARD) or now() - self._began >= KNOWN_SECONDS

    def _let_go(self, error: Exception) -> None:
        """The governor has failed: everything as without one, and an alarm."""
        why = f"the governor has failed: {error!r}"
        if why != self._failed:
            log.exception("the governor has failed, and slows nothing down until it is well again", exc_info=error)
        self._failed, self.decision = why, Decision(state="blind", reason=why)
        for undo in (
            lambda: self._engine.pace(1.0, PERIOD_SECONDS),
            lambda: self._cap(self.decision),
            lambda: self._answering.use_threads(self._settings.engine.threads),
            lambda: self._let_in(self.decision),
        ):
            with suppress(Exception):  # what fails here is what has failed before, maybe
                undo()
        if self._happenings.governed("blind", why, is_alarm=True):
            self._governed(self.decision)

    def reading(self) -> Mapping[str, Any]:
        """For telemetry."""
        return self.decision.body()

    def slowed(self) -> dict[str, Any] | None:
        """What an answer is told that is slowed now; None where none is."""
        held = self.decision
        if held.duty == 1 and held.clock_cap_hertz is None and held.threads is None:
            return None
        return {
            "duty": held.duty,
            "clock_cap_hertz": held.clock_cap_hertz,
            "threads": held.threads,
            "reason": held.reason,
        }

    def _chosen(self, readings: Mapping[str, Any]) -> Governor:
        """The governor for the board that the first look shows, and for what can be moved on it."""
        wanted = self._settings.governor
        name = preset_name(wanted, readings)
        clocks = steps_hertz(Files(self._settings.telemetry.root)) if self._clock.is_there else []
        log.info("the governor takes the board for %s; clocks that it may set: %d", name, len(clocks))
        return Governor(PRESETS[name], policy_of(wanted), Levers(tuple(clocks), self._calibrated()))

    def _calibrated(self) -> dict[int, ThreadCount]:
        """What `edge bench --energy` has found of fewer threads with this model; nothing where it was not run."""
        engine = self._settings.engine
        found = kept(engine.cache_folder, f"{self._engine.manifest.name}@{self._engine.manifest.version}")
        usual = engine.threads or os.cpu_count() or 1
        return {count: ThreadCount(*its) for count, its in found.beside(usual).items()} if found else {}

    def _inputs(self, readings: Readings, preset: Preset) -> Inputs:
        """The readings of one look, as the governor wants them."""
        thermal, memory, battery = (readings.get(name, {}) for name in ("thermal", "memory", "battery"))
        flags = readings.get("throttling", {}).get("now", {})
        pressure = (memory.get("pressure") or {}).get("memory") or {}
        is_changing = self._answering.is_changing or self._engine.is_changing
        is_up = None if is_changing or not self._admission.is_ready else self._engine.alive
        is_one = preset.is_firm or self._settings.governor.limit_celsius is not None
        celsius, trip = heat(thermal, None if is_one else preset.limit_celsius)
        return Inputs(
            seconds=now(),
            temperature_celsius=battery.get("celsius") if preset.watches == "battery" else celsius,
            trip_celsius=trip,
            is_working=bool(self._queue.running),
            is_asked=bool(self._queue.running or len(self._queue)),
            under_voltage=flags.get("under_voltage"),
            throttled=flags.get("throttled"),
            memory_some_percent=pressure.get("some_percent"),
            memory_full_percent=pressure.get("full_percent"),
            memory_available_ratio=self._room.available(memory, is_up),
            memory_usual_ratio=self._room.usual,
            battery_percent=battery.get("level_percent"),
            is_charging=is_supplied(battery.get("status")),
        )

    def _do(self, decision: Decision, period_seconds: float) -> None:
        """Carry a decision out; where it is the neutral one nothing is touched that was not.

        period_seconds: of a duty cycle, which the die hardly follows.
        """
        before, capped = self.decision, self._cap(decision)
        if decision.duty != before.duty:
            self._engine.pace(decision.duty, period_seconds)
        if decision.threads != before.threads:
            self._answering.use_threads(decision.threads or self._settings.engine.threads)
        self.decision = capped
        if slowed := self.slowed():
            for waiting in self._queue.running:
                waiting.note_slowed(slowed)
        self._let_in(decision)
        self._relieve(decision)

    def _cap(self, decision: Decision) -> Decision:
        """Cap the clock, or no more; the decision, without a cap that nobody takes."""
        wanted = decision.clock_cap_hertz
        if not (wanted or self._is_capped):
            return decision
        self._is_capped = wanted is not None
        if self._clock.cap(wanted, now()) or wanted is None:
            return decision
        return replace(decision, clock_cap_hertz=None, reason=f"{decision.reason}; {DEAF}")

    def _let_in(self, decision: Decision) -> None:
        self._admission.memory, self._admission.refuses = decision.memory, decision.refuses

    def _relieve(self, decision: Decision) -> None:
        """Give memory back, where it is short."""
        if decision.memory == "enough":
            return
        if now() - self._eased >= EASE_SECONDS:
            self._eased = now()
            self._engine.ease()
            give_back()
        if decision.memory == "unload":
            self._answering.unload()

    def _tell(self, readings: Readings) -> None:
        flags, held = readings.get("throttling", {}).get("now", {}), self.decision
        self._happenings.lasts("throttled", flags.get("throttled"))
        self._happenings.lasts("under_voltage", flags.get("under_voltage"))
        self._happenings.lasts("low_memory", held.memory != "enough", held.reason)
        if self._happenings.governed(held.state, held.reason):
            self._governed(held)


def preset_name(wanted: GovernorSettings, readings: Mapping[str, Any]) -> str:
    """The operator's preset, else that of the board which the readings show."""
    board, thermal = (readings.get(name) or {} for name in ("board", "thermal"))
    return wanted.preset or preset_for(board.get("kind"), bool(thermal.get("fans")))


def policy_of(wanted: GovernorSettings) -> Policy:
    """What the operator has set, but for the preset."""
    return Policy(**wanted.model_dump(exclude={"preset"}))
