"""Which version of the bundle in use is the newest that its repository has, for whoever may want to install it."""

from __future__ import annotations

import logging
import math
import random

from edge.config import Store
from edge.service.clock import now
from edge.service.installer import Installer, InstallFailed
from edge.service.report import Report
from edge.service.seat import Seat

log = logging.getLogger(__name__)

SPREAD_SECONDS = 60.0
"""Within them boards look first that were switched on together."""


class Newest:
    """Asks the repository from time to time, where the operator wants that."""

    def __init__(self, settings: Store, seat: Seat, installer: Installer, report: Report) -> None:
        self._settings, self._seat, self._installer, self._report = settings, seat, installer, report
        is_asked = settings.repository is not None and settings.latest_seconds > 0
        spread = random.uniform(0, min(SPREAD_SECONDS, settings.latest_seconds))  # noqa: S311 - no secret hangs on it
        self._due = now() + spread if is_asked else math.inf
        self._why_not = ""

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask."""
        return now() >= self._due

    async def look(self) -> None:
        """Ask, and report; where nobody answers, what was known stands."""
        name = self._seat.manifest.name
        try:
            self._report.latest(name, (await self._installer.latest(name, self._settings.channel)).version)
            self._why_not = ""
        except InstallFailed as failure:
            if self._why_not != str(failure):
                log.warning("the newest version of %s is not known: %s", name, failure)
            self._why_not = str(failure)
        self._due = now() + self._settings.latest_seconds
