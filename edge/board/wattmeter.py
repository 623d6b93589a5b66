"""The thread that samples the board's power for the energy of answers: fast while one runs, rarely while none does.

It reads what the telemetry's `power` reads, apart from it: a Pi 5's chip twice a second (a dump is 23 ms, mostly
waiting for the firmware), a Jetson's monitors and a PC's counters five times. A battery's gauge is too slow for it, and
so is tegrastats.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edge.board.energy import Energy, EnergyMeter
from edge.board.files import Files, contents
from edge.board.mailbox import Mailbox
from edge.board.power import Counters, Meter, Monitors, Pmic, Taken

log = logging.getLogger(__name__)

QUIET_SECONDS = 5.0
"""Between two samples while nothing runs."""
ABSENT_SECONDS = 60.0
"""Between two attempts on a board that has measured nothing so far."""


def fast_meters(mailbox: Mailbox, clock: Callable[[], float] = time.monotonic) -> list[Meter]:
    """Those that can keep up, in the order in which they are asked."""
    return [Pmic(mailbox), Monitors(), Counters(clock)]


class Wattmeter:
    """Joules of each answer; None of all of them on a board that cannot tell."""

    def __init__(
        self,
        meters: Sequence[Meter],
        root: Path = Path("/"),
        read: Callable[[Path], bytes] = contents,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._meters, self._root, self._read, self._clock = list(meters), root, read, clock
        self._guard, self._wanted = threading.Lock(), threading.Event()
        self._meter: EnergyMeter | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="watts", daemon=True)

    def start(self) -> None:
        """Begin to measure."""
        self._thread.start()

    def settle(self) -> bool:
        """Wait for the first sample, three seconds at most; whether there is one."""
        for _ in range(60):
            if self.is_ready or not self._thread.is_alive():
                break
            time.sleep(0.05)
        return self.is_ready

    @property
    def is_ready(self) -> bool:
        """Whether it has a first sample; of an answer that began before nothing is told."""
        return self._meter is not None

    def close(self) -> None:
        """Measure no more; a reading that a driver holds is not waited for."""
        self._is_open = False
        self._wanted.set()

    def began(self, number: int) -> None:
        """An answer begins: its prompt is about to be read."""
        with self._guard:
            if self._meter:
                self._meter.began(number, self._clock())
        self._wanted.set()

    def gained(self, number: int, tokens: int = 1) -> None:
        """A running answer has grown."""
        with self._guard:
            if self._meter:
                self._meter.gained(number, tokens)

    def ended(self, number: int, tokens: int | None = None) -> Energy | None:
        """What it took; None where that is not known."""
        with self._guard:
            return self._meter.ended(number, self._clock(), tokens) if self._meter else None

    def _run(self) -> None:
        while self._is_open:
            self._wanted.clear()
            began = time.monotonic()
            try:
                self._sample()
            except Exception as error:  # of a driver's text that nobody foresaw: what it costs is not known for a while
                log.debug("the board's power cannot be read", exc_info=error)
            if self._meter is None or not self._meter.is_running:
                self._wanted.wait(QUIET_SECONDS if self._meter else ABSENT_SECONDS)
            else:
                time.sleep(max(0.0, began + self._meters[0].period_seconds - time.monotonic()))

    def _sample(self) -> None:
        """One reading of the meter that answered first; of the others nothing is asked again."""
        files, before = Files(self._root, self._read), self._clock()
        for meter in self._meters:
            taken = meter.take(files)
            if taken is not None and taken.scope is not None:
                self._meters = [meter]  # two scopes are not to be mixed
                with self._guard:
                    self._meter = self._meter or EnergyMeter(taken.scope)
                    self._keep(self._meter, (before + self._clock()) / 2, taken)
                return

    @staticmethod
    def _keep(meter: EnergyMeter, seconds: float, taken: Taken) -> None:
        if taken.joules is not None:
            meter.count(seconds, taken.joules)
        elif taken.watts is not None:
            meter.sample(seconds, taken.watts)
