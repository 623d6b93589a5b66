"""Whether this board takes more, and why not; what has come over a limit must be well below it before that is over."""

from __future__ import annotations

from collections.abc import Callable

from edge.config import Limits
from edge.governor import Decision
from edge.service.admission import Admission
from edge.service.answering import Answering
from edge.service.queue import Queue
from edge.wire.load import Reason

HOT_DUTY, COOL_DUTY = 0.5, 0.6
"""Shares of the time that the governor leaves the engine: below the first the board is hot, until above the second."""
FREE = 0.5
"""Of what was full: how much of it may be taken when it counts as full no more."""


class Readiness:
    """One board's. decision: the governor's, as it stands."""

    def __init__(
        self,
        limits: Limits,
        queue: Queue,
        admission: Admission,
        answering: Answering,
        decision: Callable[[], Decision],
    ) -> None:
        self._limits, self._queue, self._admission = limits, queue, admission
        self._answering, self._decision = answering, decision
        self.is_drained = self.is_stopping = False
        """Whether it was told to leave its fleet's queue; whether the daemon ends."""
        self.is_tried: Callable[[], bool] = lambda: False
        """Whether a new bundle is on trial, so that answers are not what they should be."""
        self.filled: Callable[[], float] = lambda: 0.0
        """How much of what else is bounded is taken, as a share: of what the fleet's connection holds."""
        self._is_hot = self._is_full = False

    def reason(self) -> Reason | None:
        """Why it takes no more; None where it does. What is the operator's or lasts goes before what passes."""
        if self.is_stopping or self._queue.is_closed:
            return "stopping"
        if self.is_drained:
            return "drained"
        if self.is_tried():
            return "trial"
        if not self._admission.is_ready or (self._answering.is_changing and not self._answering.is_unloaded):
            return "loading"
        if self._admission.memory not in ("enough", "give back"):
            return "memory"
        if self._admission.refuses:
            return "battery"
        return self._passing()

    def _passing(self) -> Reason | None:
        duty, filled = self._decision().duty, max(len(self._queue) / self._limits.queue_length, self.filled())
        self._is_hot = duty < (COOL_DUTY if self._is_hot else HOT_DUTY)
        self._is_full = filled >= 1 or (self._is_full and filled > FREE)
        return "hot" if self._is_hot else "full" if self._is_full else None
