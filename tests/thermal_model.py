"""Boards that heat up, on paper: two poles in series (Foster), a firmware that slows them, tokens that come of clocks.

T = ambient + x1 + x2, dx/dt = (R·P − x)/τ. The constants are fits and sums over published measurements (decision 39
has their sources). **Assumed**, since nobody has published them: the firmware's law between its published ends, the
share of the power that follows f·V² on boards other than a Pi 5, and that tokens go with clock^0.2. Nothing here was
measured on a board of ours; what the governor believes of a board (`edge/governor/presets.py`) is not used to reckon.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product

from edge.governor import PRESETS, Decision, Governor, Inputs, Levers, Policy

TOKENS_EXPONENT = 0.2
"""Decode waits for memory: tokens go with clock to that power. Prompts go with the clock itself."""
POWERS = ((0.625, 0.43), (0.667, 0.51), (0.75, 0.61), (0.833, 0.73), (0.917, 0.86), (1.0, 1.0))
"""f·V² of a Pi 5 over its clock, both of the highest: from its table of operating points. Other boards: the same."""
PI_CLOCKS = tuple(mega * 1_000_000 for mega in range(1500, 2401, 100))
ORIN_CLOCKS = tuple(mega * 1_000_000 for mega in (730, 806, 883, 960, 1036, 1113, 1190, 1267, 1344, 1420, 1510))
Work = Callable[[int], bool]
Control = Callable[[Inputs], Decision]


def power_of(clock_ratio: float) -> float:
    """The share of the work's power at a clock, both of the highest; as the line goes on below the table."""
    for (low, less), (high, more) in pairwise(POWERS):
        if clock_ratio <= high:
            return max(0.05, less + (more - less) * (clock_ratio - low) / (high - low))
    return 1.0


class PiFirmware:
    """Full clock up to 80 °C, from there in a line to 1500 MHz at 85; within, a cap that was set counts for nothing.

    The ends are documented (raspberrypi.com), the line is assumed. linux#5875: a cap is ignored; rpi-eeprom#518: what
    is given is a share of the highest clock.
    """

    def __init__(self) -> None:
        self.clocks = PI_CLOCKS

    def clock(self, celsius: float, cap: float) -> float:
        """What runs."""
        return cap if celsius <= 80 else max(1.5e9, 2.4e9 - 0.9e9 * (celsius - 80) / 5)


class StepWise:
    """The kernel's step_wise governor: a state up a second above the trip, one down below its hysteresis."""

    def __init__(self, clocks: tuple[int, ...], trip: float, hysteresis: float = 2) -> None:
        self.clocks, self._trip, self._hysteresis, self._state = clocks, trip, hysteresis, 0

    def clock(self, celsius: float, cap: float) -> float:
        """What runs."""
        if celsius > self._trip:
            self._state = min(self._state + 1, len(self.clocks) - 1)
        elif celsius < self._trip - self._hysteresis:
            self._state = max(self._state - 1, 0)
        return min(cap, sorted(self.clocks, reverse=True)[self._state])


@dataclass(frozen=True)
class Board:
    """One board in one room. slow: (above °C, K/W), as a fan's steps make it; it steps back 5 °C lower."""

    preset: str
    firmware: Callable[[], PiFirmware | StepWise]
    ambient: float
    idle_watts: float
    work_watts: float
    fast: tuple[float, float]
    slow: tuple[tuple[float, float], ...]
    slow_seconds: float
    step_celsius: float = 0.55
    trip: float | None = None

    def bent(self, resistance: float, seconds: float, ambient: float) -> Board:
        """The same with other constants, in another room."""
        return replace(
            self,
            ambient=ambient,
            fast=(self.fast[0] * resistance, self.fast[1] * seconds),
            slow=tuple((above, each * resistance) for above, each in self.slow),
            slow_seconds=self.slow_seconds * seconds,
        )


def orin() -> StepWise:
    """Mainline tegra234-p3767.dtsi: passive at 95 °C, hysteresis 2, looked at each second."""
    return StepWise(ORIN_CLOCKS, 95)


def phone() -> StepWise:
    """Of a skin node; that it steps in at 45 °C is assumed."""
    return StepWise(PI_CLOCKS, 45)


BARE, PASSIVE, COOLER = "raspberry-pi-5", "raspberry-pi-5-passive", "raspberry-pi-5-cooler"
FAN = ((-99.0, 6.0), (50.0, 4.0), (60.0, 3.5), (67.5, 3.0), (75.0, 2.7))
BOARDS = {
    BARE: Board(BARE, PiFirmware, 22, 3, 8, (1.5, 4), ((-99, 7.5),), 240),
    COOLER: Board(COOLER, PiFirmware, 22, 3, 7, (1.1, 2), FAN, 40),
    PASSIVE: Board(PASSIVE, PiFirmware, 22, 3, 8, (1.0, 5), ((-99, 4.3),), 540),
    "jetson-orin-nano": Board(
        "jetson-orin-nano", orin, 25, 5.2, 11.7, (0.5, 5), ((-99, 4.0), (50, 1.8)), 70, 0.03, trip=95
    ),
    "jetson-orin-nano-no-fan": Board(
        "jetson-orin-nano-no-fan", orin, 25, 5.2, 11.7, (0.5, 5), ((-99, 6.8),), 300, 0.03, trip=95
    ),
    "phone": Board("phone", phone, 25, 1, 6, (0, 5), ((-99, 7.5),), 400, 0.1),
}
"""Which of them have headroom, and which have not, the model says. A phone's is the temperature of its skin."""


@dataclass
class Run:
    """What became of an hour: a value a second. power: share of full work's, as the levers were set."""

    celsius: list[float] = field(default_factory=list)
    clocks: list[float] = field(default_factory=list)
    duties: list[float] = field(default_factory=list)
    power: list[float] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    tokens: float = 0.0

    def seconds_above(self, celsius: float) -> int:
        """How long it was hotter."""
        return sum(each > celsius for each in self.celsius)

    def schedule(self) -> list[tuple[float, float]]:
        """What the engine was given, second by second."""
        return list(zip(self.clocks, self.duties, strict=True))

    def turns(self) -> list[int]:
        """Seconds between each move of the levers and the next in the other direction."""
        moves = [
            (second, after > before) for second, (before, after) in enumerate(pairwise(self.power)) if after != before
        ]
        return [later - sooner for (sooner, was_up), (later, is_up) in pairwise(moves) if was_up != is_up]


class _Body:
    """What is warm of a board."""

    def __init__(self, board: Board) -> None:
        self._board, self._level = board, 0
        self.fast = board.fast[0] * board.idle_watts
        self.slow = board.slow[0][1] * board.idle_watts
        for _ in range(20):  # until the fan has found its step
            self.slow = self._resistance() * board.idle_watts

    @property
    def celsius(self) -> float:
        return self._board.ambient + self.fast + self.slow

    def _resistance(self) -> float:
        steps = self._board.slow
        while self._level + 1 < len(steps) and self.celsius >= steps[self._level + 1][0]:
            self._level += 1
        while self._level and self.celsius < steps[self._level][0] - 5:
            self._level -= 1
        return steps[self._level][1]

    def warm(self, watts: float, seconds: float) -> None:
        """Go on for a time at a power; both poles exactly."""
        resistance, tau = self._board.fast
        aim = resistance * watts
        self.fast = aim + (self.fast - aim) * math.exp(-seconds / tau)
        aim = self._resistance() * watts
        self.slow = aim + (self.slow - aim) * math.exp(-seconds / self._board.slow_seconds)


def always(_second: int) -> bool:
    """There is always somebody who asks."""
    return True


def nothing(_inputs: Inputs) -> Decision:
    """No governor."""
    return Decision()


def fixed(duty: float) -> Control:
    """A duty cycle that knows nothing."""
    return lambda _inputs: Decision(state="slowed", duty=duty)


def governed(board: Board, with_clock: bool = True, preset: str | None = None, policy: Policy | None = None) -> Control:
    """Ours, with the clocks to move, or with pauses alone. preset: that it believes in, if not the board's own."""
    clocks = board.firmware().clocks if with_clock else ()
    return Governor(PRESETS[preset or board.preset], policy or Policy(), Levers(clocks)).step


def run(
    board: Board, control: Control, seconds: int = 3600, work: Work = always, seed: int = 0, noise: float = 0.3
) -> Run:
    """An hour from an idle and warm board. Where there are pauses, each second begins with work and ends with rest."""
    body, firmware, found, chance = _Body(board), board.firmware(), Run(), random.Random(seed)
    top = max(firmware.clocks)
    for second in range(seconds):
        read = round((body.celsius + chance.gauss(0, noise)) / board.step_celsius) * board.step_celsius
        decision = control(Inputs(second, read, board.trip, work(second), work(second)))
        clock = firmware.clock(body.celsius, decision.clock_cap_hertz or top)
        duty = decision.duty if work(second) else 0.0
        body.warm(board.idle_watts + (board.work_watts - board.idle_watts) * power_of(clock / top), duty)
        found.celsius.append(body.celsius)  # the hottest of the second
        body.warm(board.idle_watts, 1 - duty)
        found.clocks.append(clock)
        found.duties.append(decision.duty)
        found.power.append(power_of((decision.clock_cap_hertz or top) / top) * decision.duty)
        found.decisions.append(decision)
        found.tokens += duty * (clock / top) ** TOKENS_EXPONENT
    return found


def balance(board: Board, kept: float) -> float:
    """The duty at which a board settles at a temperature: what its power balance allows pauses alone, at most 1."""
    allowed = (kept - board.ambient) / (board.fast[0] + board.slow[-1][1])
    return max(0.0, min(1.0, (allowed - board.idle_watts) / (board.work_watts - board.idle_watts)))


def bent_boards() -> Iterator[Board]:
    """Every board with R ± 25 %, τ ± 30 %, at 15, 22 and 35 °C."""
    for board, resistance, seconds, ambient in product(BOARDS.values(), (0.75, 1, 1.25), (0.7, 1, 1.3), (15, 22, 35)):
        yield board.bent(resistance, seconds, ambient)


def can_be_kept(board: Board, limit: float, with_clock: bool = True, duty_min: float = 0.1) -> bool:
    """Whether the least that the levers leave is cool enough: a hot room may be too hot for a board that rests."""
    lowest = min(board.firmware().clocks) / max(board.firmware().clocks) if with_clock else 1.0
    watts = board.idle_watts + duty_min * power_of(lowest) * (board.work_watts - board.idle_watts)
    return board.ambient + (board.fast[0] + board.slow[-1][1]) * watts < limit


def limit_of(board: Board) -> float:
    """Where it slows itself down, or is to be slowed: 43 °C of a phone's skin."""
    return 43 if board.preset == "phone" else board.trip or 80
