"""The bundles that this board could serve: which one it does at the start, and any of them opened."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.errors import BundleError
from edge.service.served import Served
from edge.store.store import Store

log = logging.getLogger(__name__)

Open = Callable[[str | None], Served]
"""A bundle of the store by its digest, or `engine.bundle` (None). Raises BundleError where it cannot be used at all."""


class Bundles:
    """The store's, and the operator's own. kept: what the record said at the start, or says since."""

    def __init__(self, store: Store, opened: Open) -> None:
        self.store, self.open = store, opened
        self.kept: str | None = None
        self._left: list[str | None] = []
        self.why_another = ""
        """Why the board does not serve what it kept; empty where it does."""

    def first(self) -> Served:
        """What is kept; where it is gone or damaged, what was before, and last `engine.bundle`.

        Where none of them can be used, what was installed for a trial, which has nothing to be compared with then.
        Raises BundleError where there is no such one either, StartError where the record cannot be read.
        """
        record = self.store.read()
        self.kept = record.kept
        self._left = record.in_order
        try:
            return self._next()
        except BundleError as error:
            if record.verified is None:
                raise
            log.warning("%s; the bundle %s, as installed, is served without a trial", error, record.verified[:12])
            return self._adopted(record.verified)

    def _adopted(self, digest: str) -> Served:
        served = self.open(digest)
        self.kept = self.store.change(lambda record: record.adopted(digest)).kept
        return served

    def after(self, error: BundleError) -> Served:
        """The same, once the last one has turned out to be damaged; the error where no other is left."""
        self._note(error)
        if not self._left:
            raise error
        return self._next()

    def _next(self) -> Served:
        while True:
            digest = self._left.pop(0)
            try:
                return self.open(digest)
            except BundleError as error:
                if not self._left:
                    raise
                self._note(error)

    def _note(self, error: BundleError) -> None:
        log.error("%s; what was in use before is served", error)
        self.why_another = self.why_another or str(error)
