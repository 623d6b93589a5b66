"""From one bundle to another while the daemon answers: fetch, try, keep, or go back.

What is written down comes first (`edge.store.record`), so that a power cut at any point leaves a board that starts with
the bundle that it kept. Start reading in `Rollout.run`; docs/decisions/0046-one-seat.md says why it is done so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import TypeVar

from edge.config import Settings
from edge.errors import BundleError, EdgeError
from edge.service.answering import Answering
from edge.service.bundles import Bundles
from edge.service.clock import now
from edge.service.guard import Guard
from edge.service.installer import Installer, InstallFailed, Verified
from edge.service.newest import Newest
from edge.service.report import Report, named
from edge.service.seat import Seat
from edge.service.served import Served
from edge.service.trial import TrialFailed
from edge.service.trials import Trials
from edge.service.wishes import Pending, Wishes
from edge.store.record import ATTEMPTS_MAX, Record, Trial
from edge.wire.desired import Wanted

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 2.0
"""Between two looks at the record, which `edge bundle` changes, too."""
PROBATION_LOOK_SECONDS = 1.0
RESTED_SECONDS = 60.0
"""After an error that was not foreseen."""


class Rollout:
    """One board's. changed: called when another bundle is in use."""

    def __init__(
        self,
        settings: Settings,
        bundles: Bundles,
        seat: Seat,
        answering: Answering,
        guard: Guard,
        wishes: Wishes,
        report: Report,
        changed: Callable[[], None],
        installer: Installer | None = None,
    ) -> None:
        self._settings, self._bundles, self._store = settings.store, bundles, bundles.store
        self._seat, self._answering, self._guard = seat, answering, guard
        self._wishes, self._report, self._changed = wishes, report, changed
        self._installer = installer or Installer()
        self._newest = Newest(settings.store, seat, self._installer, report)
        self._trials = Trials(settings, seat, answering)
        self._news = asyncio.Event()
        self._before: Served | None = None
        self._fault = ""
        self.look_seconds, self.rested_seconds = LOOK_SECONDS, RESTED_SECONDS
        self._limits_reached = 0  # by the bundles that were kept
        wishes.news, wishes.refused, wishes.taken_back = self._news.set, report.refused, report.taken_back
        answering.failed = self._engine_failed

    # --- the loop ---

    async def start(self) -> None:
        """Start the engine of what is in use; where its files turn out to be damaged, what was in use before."""
        while True:
            try:
                return await self._seat.start()
            except BundleError as error:
                self._seat.take(self._bundles.after(error))

    async def run(self) -> None:
        """For ever: what is written down, then what is wished for."""
        self._begin()
        while True:
            self._news.clear()
            try:
                await self._step()
            except Exception as error:  # which would end the daemon, that answers all the same
                log.exception("bundles cannot be looked after now")
                self._report.tell("waiting", f"bundles cannot be looked after now: {error}")
                await asyncio.sleep(self.rested_seconds)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), min(self.look_seconds, self._wishes.seconds))

    def _begin(self) -> None:
        """What is in use."""
        if self._bundles.why_another:
            self._report.tell("rolled_back", self._bundles.why_another)
        else:
            self._report.tell("kept")

    async def _step(self) -> None:
        """The one thing that is to be done now, where there is one."""
        record = self._store.read()
        digest = record.tried.digest if record.tried else record.verified
        if record.tried and record.tried.attempts >= ATTEMPTS_MAX:
            await self._give_up(record.tried)
        elif digest is not None:
            await self._try(digest)
        elif record.kept != self._bundles.kept:
            await self._go_over(record.kept)
        elif pending := self._wishes.next():
            await self._carry_out(pending, record)
        elif self._newest.is_due:
            await self._until_news(self._newest.look())

    async def _until_news(self, work: Coroutine[None, None, T]) -> T | None:
        """What some work comes to; None where another wish holds before it is done."""
        task, news = asyncio.create_task(work), asyncio.create_task(self._news.wait())
        try:
            await asyncio.wait({task, news}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for each in (task, news):
                each.cancel()
            await asyncio.gather(task, news, return_exceptions=True)

    # --- what is wished for ---

    async def _carry_out(self, pending: Pending, record: Record) -> None:
        """A wish: another wish ends the fetching, but nothing that is written down."""
        served, wanted = self._seat.manifest, pending.wanted
        self._report.heed(pending)
        is_here = wanted.name == served.name and wanted.version == served.version
        if is_here and not self._bundles.why_another:
            return await self._is_here(pending, record)
        if await asyncio.to_thread(self._is_own, wanted):
            return await self._keep_again(pending, None)
        found = await self._until_news(self._fetched(pending, record))
        if found is None:
            return None
        if found.digest in record.previous:
            return await self._keep_again(pending, found.digest)
        await self._write(lambda record: _wished(record, pending))
        self._wishes.done(pending)
        if self._store.read().verified == found.digest:
            return None
        if self._seat.served.digest != found.digest:  # it is kept, but had been damaged
            return await self._go_over(found.digest)
        return self._report.tell("kept")

    async def _fetched(self, pending: Pending, record: Record) -> Verified | None:
        """Into the store, where the next step tries it; None where it is not to be had, which is told."""
        is_again = pending.is_told or (pending.id is not None and pending.id != record.wish)
        tell, channel = self._report.installing(pending), self._settings.channel
        try:
            return await self._installer.install(pending.wanted, channel, is_again, tell)
        except InstallFailed as failure:
            self._is_not_there(pending, failure)
            return None

    def _is_own(self, wanted: Wanted) -> bool:
        """Whether it is `engine.bundle`, which is on the board, whatever its repository has."""
        try:
            own = self._bundles.open(None).manifest
        except BundleError:
            return False
        return (own.name, own.version) == (wanted.name, wanted.version)

    async def _keep_again(self, pending: Pending, digest: str | None) -> None:
        """Without a trial: it was kept before, and may well be slower than what is in use now."""
        try:
            await asyncio.to_thread(self._bundles.open, digest)
        except BundleError as error:
            return self._is_not_there(pending, InstallFailed(str(error), passes=False))
        count = self._settings.previous_count
        await self._write(lambda record: _wished(record.kept_again(digest, count), pending))
        self._wishes.done(pending)
        return await self._go_over(digest)

    async def _is_here(self, pending: Pending, record: Record) -> None:
        """Written down, too: should the operator leave it, the same wish does not bring it back."""
        if _wished(record, pending) != record:
            await self._write(lambda record: _wished(record, pending))
        self._wishes.done(pending)
        self._report.tell("kept")

    def _is_not_there(self, pending: Pending, failure: InstallFailed) -> None:
        coming = named(pending.wanted.name, pending.wanted.version, None)
        if failure.passes:
            wait = self._wishes.later(pending)
            self._report.tell("waiting", f"{failure}; it is tried again in {wait} s", coming)
        else:
            self._wishes.done(pending)
            self._report.tell("refused", str(failure), coming)

    # --- trial, probation ---

    async def _try(self, digest: str) -> None:
        """One bundle of the store, to its end."""
        if why := self._not_now():
            return self._report.tell("waiting", f"it is tried later: {why}") if why != self._report.reason else None
        await self._write(lambda record: record.trying(digest))
        served: Served | None = None
        try:
            try:
                served = await asyncio.to_thread(self._bundles.open, digest)
                await self._tried(served)
            except (TrialFailed, EdgeError) as error:
                await self._roll_back(digest, str(error), served)
        except asyncio.CancelledError:  # told to stop
            with contextlib.suppress(OSError, EdgeError):  # a full disk holds up no end; the attempt counts then
                self._store.change(Record.put_off)
            raise
        except Exception:  # such as a full disk: what was before answers, and it is tried once more
            await self._put_back()
            raise
        finally:
            self._before = None
            if served is not None and served is not self._seat.served:
                await served.engine.stop()
        return None

    async def _tried(self, served: Served) -> None:
        """Raises TrialFailed or EdgeError where it is not kept."""
        self._report.happened("bundle_tried", served.manifest, served.digest)
        self._report.tell("trying", coming=named(served.manifest.name, served.manifest.version, served.digest))
        self._before = await self._trials.change_to(served)
        self._changed()
        await self._watched(served)
        await self._keep(served)

    def _not_now(self) -> str:
        """Why it would not be fair to try a bundle now, in words."""
        held = self._guard.decision
        return held.refuses or (f"memory is short: {held.reason}" if held.memory != "enough" else "")

    async def _watched(self, served: Served) -> None:
        """It answers, and nothing goes wrong for a while; then it is asked once more. TrialFailed else."""
        assert self._before is not None
        self._report.tell("probation")
        self._fault, reached, ends = "", self._guard.limits_reached, now() + self._settings.probation_seconds
        while not self._fault and now() < ends:
            await asyncio.sleep(min(PROBATION_LOOK_SECONDS, max(0.0, ends - now())))
            if self._guard.limits_reached > reached and reached == self._limits_reached:
                self._fault = "the board reached its temperature limit with it, which it did not with the old bundle"
            if self._store.read().tried is None:
                self._fault = "the operator went back"
        if not self._fault:
            await self._trials.ask_again(served, self._before)
        if self._fault:
            raise TrialFailed(self._fault)

    def _engine_failed(self, why: str) -> None:
        """The engine has died, or does not start: in probation that brings the old one back, at once."""
        if self._before is not None and self._seat.served is not self._before and not self._fault:
            self._fault = f"its engine failed: {why}"
            self._seat.take(self._before)
            self._changed()

    async def _keep(self, served: Served) -> None:
        count = self._settings.previous_count
        record = await self._write(
            lambda record: record.kept_now(count) if _is_tried(record, served.digest) else record
        )
        if record.kept != served.digest:
            raise TrialFailed("the operator went back")
        self._bundles.kept, self._limits_reached = record.kept, self._guard.limits_reached
        self._bundles.why_another = ""
        self._report.happened("bundle_kept", served.manifest, served.digest)
        self._report.tell("kept")
        await asyncio.to_thread(self._store.prune)

    async def _roll_back(self, digest: str, why: str, served: Served | None) -> None:
        """The old one answers before anything is told; what failed may be fetched again, should it be wished for."""
        await self._put_back()
        log.error("the bundle %s is not kept: %s", digest[:12], why)
        await self._write(lambda record: _rolled_back(record, digest, why))
        if served is not None:
            self._report.happened("bundle_rolled_back", served.manifest, digest, why)
        self._report.tell("rolled_back", why, named(*self._called(digest), digest))
        await asyncio.to_thread(self._store.prune)

    async def _put_back(self) -> None:
        """What was in use before a trial has the seat again."""
        if self._before is not None and self._seat.served is not self._before:
            await self._trials.change_back(self._before)
            self._changed()

    async def _give_up(self, tried: Trial) -> None:
        """A trial that has come to no end, as often as may be chance."""
        why = f"the board went down {tried.attempts} times while it was tried"
        await self._write(lambda record: _rolled_back(record, tried.digest, why))
        self._report.tell("rolled_back", why, named(*self._called(tried.digest), tried.digest))

    # --- what the operator says at the board ---

    async def _go_over(self, kept: str | None) -> None:
        """What is written down as kept is not what is in use: `edge bundle rollback`, or a wish, has changed it."""
        try:
            served = await asyncio.to_thread(self._bundles.open, kept)
        except BundleError as error:
            self._bundles.kept = kept  # nobody asks again
            return self._report.tell("refused", str(error))
        before = self._seat.served
        await self._trials.change_back(served)
        await before.engine.stop()
        self._bundles.kept, self._bundles.why_another = kept, ""
        self._changed()
        return self._report.tell("kept")

    # --- the store ---

    async def _write(self, change: Callable[[Record], Record]) -> Record:
        return await asyncio.to_thread(self._store.change, change)

    def _called(self, digest: str) -> tuple[str, str | None]:
        """A bundle's name and version, as far as it can still be read."""
        try:
            manifest = self._bundles.open(digest).manifest
        except BundleError:
            return digest[:12], None
        return manifest.name, manifest.version


def _wished(record: Record, pending: Pending) -> Record:
    """With the id of what was wished for, unless it was a command."""
    return record if pending.is_told else record.wished(pending.id)


def _is_tried(record: Record, digest: str) -> bool:
    return record.tried is not None and record.tried.digest == digest


def _rolled_back(record: Record, digest: str, why: str) -> Record:
    """Unless the operator has gone back meanwhile."""
    return record.rolled_back(why, time.time()) if _is_tried(record, digest) else record
