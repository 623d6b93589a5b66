"""What comes at the wrong moment of an exchange: an operator, another wish, a full disk, a stop."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from edge.service.rollout import Rollout
from edge.service.served import Served
from edge.store.record import Record
from edge.store.store import Store
from tests.edge.service.rollouts import GOOD, Rig, run
from tests.edge.service.test_rollout import WISH, calls, planned, rig


class FullStore(Store):
    """Its disk can be full."""

    is_full = False

    def change(self, change: Callable[[Record], Record]) -> Record:
        """As any, where there is room."""
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().change(change)


def own(identifier: str) -> dict[str, object]:
    """A wish for what a setting names, which is on the board."""
    return {"bundle": {"name": "scripted", "version": "1"}, "id": identifier}


def rollout(it: Rig) -> Rollout:
    """The daemon's."""
    assert it.daemon._rollout is not None
    return it.daemon._rollout


def test_a_rollback_while_it_is_asked_for_the_last_time_counts(tmp_path: Path):
    """Probation is over, and the questions are asked once more: the operator's word still goes before the answers."""

    async def work():
        it = Rig(tmp_path, store={"probation_seconds": 0})
        async with it.running():
            digest = it.install(replace(GOOD, pause_seconds=0.3))
            await it.reported("probation")
            it.store.change(lambda record: record.gone_back(0))
            body = await it.reported("rolled_back")
            assert (body["bundle"]["version"], "went back" in body["reason"]) == ("1", True)
            assert "bundle_kept" not in {each["event"] for each in it.said("event")}
            it.ask()
            assert (await it.answers())[0]["code"] == 200
        record = it.store.read()
        assert (record.kept, [each.digest for each in record.failed]) == (None, [digest])

    run(work)


def test_another_wish_while_the_board_goes_back(tmp_path: Path):
    """The first is carried out to its end, then the second: seat and record never say different things."""

    async def work():
        it = rig(tmp_path)
        kept = replace(GOOD, pause_seconds=0.4).put(it.store)
        it.store.write(Record(kept=kept, previous=[None]))
        planned(it, ({"state": "verified", "digest": kept, "name": "scripted", "version": "2"},))
        async with it.running():
            await it.reported("kept")
            it.ask()  # the seat changes when this is answered
            await it.transport.wait_for("delta", 1, 20)
            it.wish(own("back"))
            while it.store.read().kept is not None:
                await asyncio.sleep(0.01)
            it.wish(WISH)
            body = await it.reported("kept", where=lambda body: body["id"] == WISH["id"])
            assert body["bundle"]["version"] == "2"
            record = it.store.read()
            assert (record.kept, record.wish) == (kept, WISH["id"])
            assert rollout(it)._bundles.kept == kept
            versions = [body["bundle"]["version"] for body in it.said("reported")]
            assert [each for each, _ in groupby(versions)] == ["2", "1", "2"]

    run(work)


def test_a_disk_that_is_full_when_it_is_to_be_kept(tmp_path: Path):
    """What was before answers; with room again it is tried once more, against what was before, and kept."""

    async def work():
        it = Rig(tmp_path, store={"probation_seconds": 0.3})
        it.store = store = FullStore(it.store.folder)
        async with it.running():
            digest = it.install(GOOD)
            await it.reported("probation")
            store.is_full = True
            body = await it.reported("waiting")
            assert (body["bundle"]["version"], "No space left" in body["reason"]) == ("1", True)
            store.is_full = False
            body = await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
        assert store.read() == Record(kept=digest, previous=[None])

    run(work)


def test_what_comes_to_no_end_is_given_up(tmp_path: Path):
    """An error that nobody foresaw, at each trial: after the second the board is left alone."""

    async def work():
        it = Rig(tmp_path)

        async def fails(_served: Served) -> Served:
            raise RuntimeError("nobody foresaw this")

        async with it.running():
            rollout(it)._trials.change_to = fails  # type: ignore[method-assign]  # of this one alone
            digest = it.install(GOOD)
            body = await it.reported("rolled_back")
            assert (body["bundle"]["version"], "2 times" in body["reason"]) == ("1", True)
        assert [each.digest for each in it.store.read().failed] == [digest]

    run(work)


def test_a_full_disk_holds_up_no_stop(tmp_path: Path):
    """A daemon that is told to stop in the middle of a trial ends, written down or not."""

    async def work():
        it = Rig(tmp_path, store={"probation_seconds": 60})
        it.store = store = FullStore(it.store.folder)
        async with it.running():
            it.install(GOOD)
            await it.reported("probation")
            store.is_full = True
        tried = store.read().tried
        assert tried is not None  # it counts as an attempt, and is tried once more
        assert tried.attempts == 1

    run(work)


def test_a_wish_that_was_fulfilled_before_brings_nothing_back(tmp_path: Path):
    """It named what was installed by hand; the operator left that, and the daemon was started anew: the wish is old."""

    async def work():
        it = rig(tmp_path)
        digest = GOOD.put(it.store)
        it.store.write(Record(kept=digest, previous=[None]))
        async with it.running():
            it.wish(WISH)
            await it.reported("kept", where=lambda body: body["id"] == WISH["id"])
        assert it.store.read().wish == WISH["id"]
        it.store.change(lambda record: record.gone_back(0))
        again = rig(tmp_path)
        planned(again, ({"state": "refused", "reason": "it was rolled back here"},), status=65)
        async with again.running():
            again.wish(WISH)
            await again.reported("refused")
        assert calls(again) == ["install --channel=stable --version=2 --unless-failed -- scripted"]

    run(work)


def test_a_wish_for_what_stands_in_makes_it_the_kept_one(tmp_path: Path):
    """The kept bundle is damaged and another answers: who wishes for that one gets it written down."""

    async def work():
        it = rig(tmp_path)
        kept = GOOD.put(it.store)
        (it.store.bundle(kept) / "scripted.json").write_text("{}")
        it.store.write(Record(kept=kept, previous=[None]))
        async with it.running():
            await it.reported("rolled_back")
            it.wish(own("stay"))
            body = await it.reported("kept")
            assert (body["bundle"]["version"], body["reason"]) == ("1", None)
        assert it.store.read().kept is None

    run(work)


def test_going_back_to_what_is_gone_is_refused(tmp_path: Path):
    """Nothing is written down before it is known that it can be used."""

    async def work():
        it = rig(tmp_path)
        kept = GOOD.put(it.store)
        it.store.write(Record(kept=kept, previous=[None]))
        async with it.running():
            await it.reported("kept")
            it.has_own = False
            rollout(it)._is_own = lambda _wanted: True  # type: ignore[method-assign]  # it goes right after this look
            it.wish(own("back"))
            body = await it.reported("refused")
            assert (body["bundle"]["version"], "not there" in body["reason"]) == ("2", True)
        assert json.loads((it.store.folder / "record.json").read_text())["kept"] == kept

    run(work)
