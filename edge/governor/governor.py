"""All of it together: readings in, a decision out.

With headroom and no trouble with supply, battery or memory, every decision is the neutral one. So it is where readings
fail: the board's firmware still protects it, and an engine that is slowed for nothing helps nobody.
"""

from __future__ import annotations

from edge.governor.decision import Decision, Inputs, State
from edge.governor.forecast import Forecast
from edge.governor.heat import AHEAD_SECONDS, Heat, Look
from edge.governor.levers import Levers, ladder
from edge.governor.memory import Shortage
from edge.governor.policy import Policy
from edge.governor.power import Power
from edge.governor.presets import Preset

BLIND_SECONDS = 10.0
"""Without a reading, after which it is blind; a clock that went up for each one missed would be worse."""
COLDEST, HOTTEST = -40.0, 150.0
"""Of what can be a temperature, in °C, as telemetry has it."""


class Governor:
    """One board's. Ask it about once a second; nothing is asked of the board between two steps."""

    def __init__(self, preset: Preset, policy: Policy | None = None, levers: Levers | None = None) -> None:
        self._policy = policy or Policy()
        self.preset = preset
        self.rungs = ladder(levers or Levers(), self._policy.duty_min)
        self._forecast, self._shortage = Forecast(preset), Shortage()
        self._heat, self._power = Heat(preset, self.rungs), Power(self._policy, self.rungs)
        self._last: Inputs | None = None
        self._seen_at: float | None = None
        self._held = 0

    def step(self, inputs: Inputs) -> Decision:
        """What holds from now on."""
        if not self._policy.enabled:
            return Decision(state="off")
        is_blind = not self._see(inputs)
        floor, reason = self._power.step(inputs, is_blind)
        kept, limit = self._limits(inputs)
        since = inputs.seconds - self._last.seconds if self._last else 1.0
        if is_blind:
            self._heat.let_go()
        else:
            self._heat.step(Look(inputs.seconds, since, inputs.is_working, kept, limit, floor), self._forecast)
        self._last = inputs
        self._held = max(self._heat.index, floor)
        if self._heat.index >= max(floor, 1):
            reason = f"to stay below {kept:g} °C"
        return self._decision(inputs, kept, reason, is_blind)

    def is_at_limit(self, inputs: Inputs) -> bool:
        """Whether the board is so hot that it slows itself down."""
        temperature = inputs.temperature_celsius
        return temperature is not None and temperature >= self._limits(inputs)[1]

    def _see(self, inputs: Inputs) -> bool:
        """Take in the temperature; whether one is known, or was a moment ago."""
        now, temperature = inputs.seconds, inputs.temperature_celsius
        if temperature is not None and COLDEST < temperature < HOTTEST:
            was_working = self._last is not None and self._last.is_working
            self._forecast.observe(now, temperature, self.rungs[self._held].power if was_working else 0.0)
            self._seen_at = now
        return self._seen_at is not None and now - self._seen_at <= BLIND_SECONDS

    def _limits(self, inputs: Inputs) -> tuple[float, float]:
        """The temperature to be kept, and the one at which the board slows itself."""
        own, margin = self._policy.limit_celsius, self._policy.margin_celsius
        limit = self.preset.limit(inputs.trip_celsius) if own is None else own
        return limit - (self.preset.margin_celsius if margin is None else margin), limit

    def _decision(self, inputs: Inputs, kept: float, reason: str, is_blind: bool) -> Decision:
        rung = self.rungs[self._held]
        memory = self._shortage.step(inputs) if self._policy.memory else "enough"
        reasons = [reason, self._shortage.reason, self._power.refuses]
        if is_blind:
            reasons.insert(0, "no temperature is known")
        forecast = None if is_blind else self._forecast.at(AHEAD_SECONDS, rung.power if inputs.is_working else 0.0)
        return Decision(
            state=state(self._held, is_blind),
            reason="; ".join(dict.fromkeys(each for each in reasons if each)),
            duty=rung.duty,
            clock_cap_hertz=rung.clock_cap_hertz,
            threads=rung.threads,
            memory=memory,
            headroom_celsius=None if forecast is None else round(kept - forecast, 1),
            forecast_celsius=None if forecast is None else round(forecast, 1),
            limit_celsius=round(kept, 1),
            refuses=self._power.refuses or self._shortage.refuses,
        )


def state(rung: int, is_blind: bool) -> State:
    """In telemetry's words. A rung that supply or battery ask for is held without a temperature, too."""
    if rung:
        return "slowed"
    return "blind" if is_blind else "free"
