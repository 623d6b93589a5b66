"""What the board says of its bundles: `edge/<device>/reported`, telemetry's `bundle`, and events."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from edge.bundle import Manifest
from edge.service.clock import now
from edge.service.happenings import Happenings
from edge.service.installer import Downloading, Line, Verified
from edge.service.seat import Seat
from edge.service.wishes import Pending

PROGRESS_SECONDS = 3.0
"""Between two words about how far a download is."""


class Report:
    """The state that was told last. publish: a body of `reported`, now and at every connect."""

    def __init__(self, seat: Seat, happenings: Happenings, publish: Callable[[dict[str, Any]], None]) -> None:
        self._seat, self._happenings, self._publish = seat, happenings, publish
        self._state, self._reason = "kept", ""
        self._desired: dict[str, Any] | None = None
        self._next: dict[str, Any] | None = None
        self._progress: float | None = None
        self._told_at = -math.inf
        self._latest: tuple[str, str] | None = None

    def tell(self, state: str, reason: str = "", coming: dict[str, Any] | None = None) -> None:
        """Another state. coming: the bundle that it is about, where that is not the one in use."""
        self._state, self._reason, self._progress = state, reason, None
        self._next = None if state in ("kept", "probation") else coming
        self.again()

    def heed(self, pending: Pending | None) -> None:
        """What is told from now on is about this wish; another that holds meanwhile is not mixed up with it."""
        self._desired = pending.body() if pending else None

    def taken_back(self) -> None:
        """There is no wish any more."""
        self.heed(None)
        self.again()

    def refused(self, why: str) -> None:
        """A wish that cannot be understood."""
        self.heed(None)
        self.tell("refused", why)

    def latest(self, name: str, version: str) -> None:
        """The repository's newest of a name."""
        if self._latest != (name, version):
            self._latest = (name, version)
            self.again()

    @property
    def reason(self) -> str:
        """That was told last."""
        return self._reason

    @property
    def is_trying(self) -> bool:
        """Whether a new bundle is loaded and asked what it must know."""
        return self._state == "trying"

    def again(self) -> None:
        """The same state, with what else has changed."""
        self._told_at = now()
        self._publish(self.body())

    def body(self) -> dict[str, Any]:
        """As `reported` has it."""
        name, version = self._latest or ("", None)
        return {
            "bundle": self._seat.served.body(),
            "latest": version if name == self._seat.manifest.name else None,
            "state": self._state,
            "next": self._next,
            "progress": self._progress,
            "desired": self._desired,
            "id": (self._desired or {}).get("id"),
            "reason": self._reason or None,
        }

    def reading(self) -> Mapping[str, Any]:
        """As telemetry has it."""
        served = self._seat.served
        return {
            "name": served.manifest.name,
            "version": served.manifest.version,
            "digest": served.digest or None,
            "state": self._state,
            "reason": self._reason,
        }

    def installing(self, pending: Pending) -> Callable[[Line], None]:
        """What hears the installer: each state, and every few seconds how far it is."""
        coming = {"name": pending.wanted.name, "version": pending.wanted.version, "digest": None}

        def hear(line: Line) -> None:
            if isinstance(line, Verified):
                self.tell("verified", coming=named(line.name, line.version, line.digest))
            elif line.state not in ("refused", self._state):
                self.tell(line.state, coming=coming)
            if isinstance(line, Downloading):
                self._progress = line.progress
                if now() - self._told_at >= PROGRESS_SECONDS:
                    self.again()

        return hear

    def happened(self, event: str, manifest: Manifest, digest: str, reason: str = "") -> None:
        """An event of a bundle."""
        about = {"bundle": manifest.name, "version": manifest.version, "digest": digest}
        self._happenings.tell(event, **about, reason=reason or None)


def named(name: str, version: str | None, digest: str | None) -> dict[str, Any]:
    """A bundle that is not in use, as it is told."""
    return {"name": name, "version": version, "digest": digest}
