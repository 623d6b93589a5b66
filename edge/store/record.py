"""What a store knows of its bundles: pure, each change a new record.

States as Mender has them (its documentation, "State scripts"): an installed bundle is tried; it is then kept, or rolled
back. The one that is kept is what a start loads, whatever was tried when the power went.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.bundle import Sha256

ATTEMPTS_MAX = 2
"""How often a bundle is tried that has not said why it failed: the board went down with it."""
FAILURES_MAX = 32
"""That are remembered, the latest ones."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trial(_Part):
    """A bundle that is tried. attempts: this one among them."""

    digest: Sha256
    attempts: Annotated[int, Field(ge=1)] = 1


class Failure(_Part):
    """Why a bundle was not kept. time: of the system's clock, seconds since 1970."""

    digest: Sha256
    reason: str
    time: float


class Record(_Part):
    """The bundles by their digests (`edge.bundle.Bundle.digest`).

    kept: in use; None for the operator's own, `engine.bundle`. previous: what was kept before, newest first; None among
    them likewise. verified: installed, and to be tried next. tried: what is tried just now.
    failed: what was rolled back, newest first. wish: the id of the last wish that led to a bundle.
    """

    schema_version: Literal[1] = 1
    kept: Sha256 | None = None
    previous: list[Sha256 | None] = []
    verified: Sha256 | None = None
    tried: Trial | None = None
    failed: list[Failure] = []
    wish: str | None = None

    @property
    def in_order(self) -> list[str | None]:
        """What a start takes, the first that can be used: kept, what was kept before, `engine.bundle` (None)."""
        return list(dict.fromkeys([self.kept, *self.previous, None]))

    def _before(self, digest: str | None, count: int) -> list[str | None]:
        """What was kept before a bundle is, so many of them."""
        return [each for each in (self.kept, *self.previous) if each != digest][:count]

    def to_be_tried(self, digest: str) -> Record:
        """A bundle was installed: it stays on the disk until it was tried. What is in use already is not tried."""
        return self.model_copy(update={"verified": None if digest == self.kept else digest})

    def trying(self, digest: str) -> Record:
        """A trial begins, or begins again."""
        again = self.tried is not None and self.tried.digest == digest
        attempts = self.tried.attempts + 1 if self.tried and again else 1
        verified = None if self.verified == digest else self.verified
        return self.model_copy(update={"tried": Trial(digest=digest, attempts=attempts), "verified": verified})

    def put_off(self) -> Record:
        """The daemon was told to stop during a trial, which is no fault of the bundle's: it is tried another time."""
        if self.tried is None:
            return self
        return self.model_copy(update={"tried": None, "verified": self.verified or self.tried.digest})

    def wished(self, wish: str | None) -> Record:
        """What a wish led to is in the store. wish: its id."""
        return self.model_copy(update={"wish": wish})

    def kept_now(self, count: int) -> Record:
        """What was tried is in use. count: how many are remembered that were before."""
        assert self.tried is not None
        before = self._before(self.tried.digest, count)
        failed = [each for each in self.failed if each.digest != self.tried.digest]
        changes = {"kept": self.tried.digest, "previous": before, "tried": None, "failed": failed}
        return self.model_copy(update=changes)

    def adopted(self, digest: str) -> Record:
        """It is in use without a trial: there is nothing else."""
        return self.model_copy(update={"kept": digest, "previous": [], "verified": None, "tried": None})

    def rolled_back(self, reason: str, time: float) -> Record:
        """What was tried has failed: what was kept before is in use."""
        assert self.tried is not None
        failure = Failure(digest=self.tried.digest, reason=reason, time=time)
        others = [each for each in self.failed if each.digest != failure.digest]
        return self.model_copy(update={"tried": None, "failed": [failure, *others][:FAILURES_MAX]})

    def gone_back(self, time: float = 0.0) -> Record:
        """As the operator wants it: a trial is given up; where there is none, what was kept before is in use again.

        What was left counts as failed, so that no standing wish brings it again. ValueError where nothing was before.
        """
        why = "the operator went back to what was before"
        if self.tried:
            return self.rolled_back(why, time)
        if not self.previous:
            raise ValueError("nothing was in use before")
        left = self if self.kept is None else self.trying(self.kept).rolled_back(why, time)
        changes = {"kept": self.previous[0], "previous": self.previous[1:], "verified": None}
        return left.model_copy(update=changes)

    def kept_again(self, digest: str | None, count: int) -> Record:
        """What was in use before is again, as a wish has it. count: how many are remembered that were before."""
        before = self._before(digest, count)
        return self.model_copy(update={"kept": digest, "previous": before, "verified": None})

    def without(self, digest: str) -> Record:
        """A bundle is deleted that is neither in use nor tried."""
        previous = [each for each in self.previous if each != digest]
        verified = None if self.verified == digest else self.verified
        return self.model_copy(update={"previous": previous, "verified": verified})

    def why_not(self, digest: str) -> str | None:
        """Why a bundle is not tried again; None where it may be."""
        return next((each.reason for each in self.failed if each.digest == digest), None)

    @property
    def digests(self) -> set[str]:
        """Of all bundles that must stay on the disk."""
        mentioned = {self.kept, *self.previous, self.verified, self.tried.digest if self.tried else None}
        return {digest for digest in mentioned if digest is not None}
