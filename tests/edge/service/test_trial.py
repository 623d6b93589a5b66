"""A new bundle is tried: what it must answer, how fast, how warm the board may get; and what becomes of the old one."""

from __future__ import annotations

import asyncio
import shutil

import pytest

from edge.config import Settings
from edge.errors import BundleError
from edge.service.bundles import Bundles
from edge.store.record import Record, Trial
from edge.testing import ScriptedEngine
from edge.testing.bundles import Script
from tests.edge.service.rollouts import GOOD, PARIS, WRONG, Rig, run


def later(version: str = "3", **changes) -> Script:
    """A good bundle of another version, but for what differs."""
    return Script(**{"manifest": {"name": "scripted", "version": version, **PARIS}, **changes})


def test_a_good_bundle_is_kept(tmp_path):
    """Tried, on probation, kept; info, telemetry and events say so, and the old engine ends."""

    async def work():
        rig = Rig(tmp_path)
        digest = rig.install(GOOD)
        async with rig.running():
            body = await rig.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            assert rig.states() == ["kept", "trying", "probation", "kept"]
            assert body["bundle"] == {"name": "scripted", "version": "2", "digest": digest, "source": "store"}
            assert (body["reason"], body["next"]) == (None, None)
            assert [each["event"] for each in rig.said("event")] == ["bundle_tried", "bundle_kept"]
            assert rig.said("info")[-1]["model_version"] == "2"
            await asyncio.sleep(0.3)
            assert rig.said("telemetry")[-1]["bundle"] == {
                "name": "scripted", "version": "2", "digest": digest, "state": "kept", "reason": ""
            }  # fmt: skip
            assert not rig.engine.alive
            rig.ask()
            assert (await rig.answers())[0]["code"] == 200
            assert len(rig.engines[digest].jobs) > 1
        assert rig.store.read() == Record(kept=digest, previous=[None])

    run(work)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (WRONG, "it answered 'Bye'"),
        (later(why_not="it is not for this board"), "it is not for this board"),
        (later(figures=(0.01, 0.1)), "store.speed_floor"),
        (later(dies_of="The capital of France?"), "was not answered"),
        (Script(pieces=("", " "), manifest={"name": "scripted", "version": "2"}), "no answer"),
        (later(start_seconds=5), "store.trial_seconds"),
    ],
    ids=["wrong", "does not start", "slow", "dies", "says nothing", "takes too long"],
)
@pytest.mark.parametrize("free_kilobytes", [7_000_000, 1000], ids=["beside", "after"])
def test_a_bad_bundle_is_rolled_back(tmp_path, script, why, free_kilobytes):
    """Whatever is wrong with it, the old one answers, with memory for both and without; the record says why."""

    async def work():
        rig = Rig(tmp_path, free_kilobytes=free_kilobytes, store={"trial_seconds": 1})
        digest = rig.install(script)
        async with rig.running():
            body = await rig.reported("rolled_back")
            assert why in body["reason"]
            assert (body["bundle"]["version"], body["next"]["digest"]) == ("1", digest)
            rig.ask()
            assert (await rig.answers())[0]["text"] == "Hello world"
            assert rig.said("info")[-1]["model_version"] == "1"
            await rig.gone(digest)
        record = rig.store.read()
        assert (record.kept, record.tried) == (None, None)
        assert why in (record.why_not(digest) or "")

    run(work)


ADAPTED = [
    {"name": name, "rank": 4, "alpha": 8, "targets": ["q_proj"], "source": "0" * 64, "golden": PARIS["golden"]}
    for name in ("first", "second")
]


def test_a_bundle_is_asked_with_each_of_its_adapters(tmp_path):
    """By its own engine; a wrong answer with one of them rolls it back, and genai's engine is not asked for any."""

    async def work(folder, kind: str, state: str, contains: str):
        golden = [{"prompt": "And with it?", "contains": contains}]
        adapters = [ADAPTED[0], ADAPTED[1] | {"golden": golden}]
        rig = Rig(folder)
        rig.settings = Settings(**rig.settings.model_dump() | {"engine": {"kind": kind}})
        digest = rig.install(later(manifest={**GOOD.manifest, "adapters": adapters}))
        async with rig.running():
            body = await rig.reported(state, where=lambda body: body["bundle"]["digest"] == digest or body["reason"])
        return body["reason"], {job.adapter for job in rig.engines[digest].jobs if job.cache_salt}

    def outcome(name: str, *given: str):
        return asyncio.run(work(tmp_path / name, *given))

    assert outcome("good", "auto", "kept", "world") == (None, {"", "first", "second"})
    why, _ = outcome("wrong", "auto", "rolled_back", "Bye")
    assert "'And with it?' with second" in why
    assert outcome("genai", "genai", "kept", "Bye") == (None, {""})


def test_the_old_one_answers_while_the_new_one_loads(tmp_path):
    """With memory for both nobody waits for it; without, what is asked meanwhile waits and is answered."""

    async def work(free_kilobytes: int, version: str, folder):
        rig = Rig(folder, free_kilobytes=free_kilobytes)
        rig.install(later(start_seconds=1))
        async with rig.running():
            await rig.reported("trying")
            await asyncio.sleep(0.2)
            rig.ask(model="scripted")
            assert (await rig.answers())[0]["code"] == 200
            assert rig.said("info")[-1]["model_version"] == version
            await rig.reported("kept", where=lambda body: body["bundle"]["version"] == "3")

    run(lambda: work(7_000_000, "1", tmp_path / "beside"))
    run(lambda: work(1000, "3", tmp_path / "after"))


def test_an_engine_that_dies_in_probation_brings_the_old_one_back(tmp_path):
    """What it was answering is begun again by the old one, and nothing is lost."""

    async def work():
        rig = Rig(tmp_path, store={"probation_seconds": 60})
        digest = rig.install(later(dies_of="poison"))
        async with rig.running():
            await rig.reported("probation")
            for number in range(3):
                rig.ask(f"q{number}", prompt="poison" if number == 1 else "x")
            replies = await rig.answers(3)
            assert {reply["id"]: reply["code"] for reply in replies} == {"q0": 200, "q1": 200, "q2": 200}
            body = await rig.reported("rolled_back")
            assert "engine failed" in body["reason"]
            assert rig.said("event")[-1]["event"] == "bundle_rolled_back"
            assert rig.engine.alive
        assert rig.store.read().why_not(digest)

    run(work)


def test_it_is_asked_once_more_before_it_is_kept(tmp_path):
    """An engine that answers wrongly after it has been in use is not kept."""

    async def work():
        rig = Rig(tmp_path, store={"probation_seconds": 1})
        digest = rig.install(GOOD)
        async with rig.running():
            await rig.reported("probation")
            rig.engines[digest].pieces = ("Bye",)
            assert "it answered 'Bye'" in (await rig.reported("rolled_back"))["reason"]
            rig.ask()
            assert (await rig.answers())[0]["text"] == "Hello world"

    run(work)


def test_a_board_that_gets_too_hot_with_it_has_the_old_one_back(tmp_path):
    """Where it did not with the old one; where it did, that is no fault of the new one's."""

    async def work(was_hot: bool, folder):
        rig = Rig(folder, store={"probation_seconds": 1.5})
        async with rig.running():
            await rig.reported("kept")
            rig.daemon._guard.limits_reached += was_hot
            rig.install(GOOD)
            await rig.reported("probation")
            rig.daemon._guard.limits_reached += 1
            body = await rig.reported("rolled_back", "kept")
            assert (body["state"], body["bundle"]["version"]) == (("kept", "2") if was_hot else ("rolled_back", "1"))

    run(lambda: work(False, tmp_path / "cool"))
    run(lambda: work(True, tmp_path / "hot"))


def test_a_short_board_tries_nothing(tmp_path):
    """While its governor has memory given back, or lets nobody in, the trial waits, and says why."""

    async def work():
        rig = Rig(tmp_path)
        async with rig.running():
            await rig.reported("kept")
            decided = rig.daemon._guard.decision
            rig.daemon._guard.decision = type(decided)(refuses="the battery is low")
            rig.daemon._guard._look = asyncio.Event().wait
            rig.install(GOOD)
            assert "the battery is low" in (await rig.reported("waiting"))["reason"]
            assert rig.store.read().tried is None
            rig.daemon._guard.decision = decided
            await rig.reported("kept", where=lambda body: body["bundle"]["version"] == "2")

    run(work)


def test_a_request_for_a_model_that_is_gone_is_told_so(tmp_path):
    """One that named the old model and still waits when the name changes ends with 404; who named none is answered."""

    async def work():
        rig = Rig(tmp_path, ScriptedEngine(pause_seconds=0.2))
        rig.engine.rows = 1
        rig.install(Script(manifest={"name": "other", "version": "1", **PARIS}))
        async with rig.running():
            await rig.reported("trying")
            for number in range(12):
                rig.ask(f"q{number}", **({"model": "scripted"} if number % 2 else {}))
            codes = {reply["id"]: reply["code"] for reply in await rig.answers(12)}
            assert {codes[f"q{number}"] for number in range(0, 12, 2)} == {200}
            assert {codes[f"q{number}"] for number in range(1, 12, 2)} <= {200, 404}
            assert codes["q11"] == 404

    run(work)


def test_a_stop_in_a_trial_is_no_fault_of_the_bundles(tmp_path):
    """It is tried again at the next start, as if for the first time."""

    async def work():
        rig = Rig(tmp_path, store={"probation_seconds": 60})
        digest = rig.install(GOOD)
        async with rig.running():
            await rig.reported("probation")
            assert rig.store.read().tried == Trial(digest=digest, attempts=1)
        record = rig.store.read()
        assert (record.tried, record.verified, record.kept) == (None, digest, None)
        again = Rig(tmp_path)
        async with again.running():
            await again.reported("kept", where=lambda body: body["bundle"]["version"] == "2")

    run(work)


@pytest.mark.parametrize(("attempts", "state"), [(1, "kept"), (2, "rolled_back")])
def test_a_bundle_that_the_board_went_down_with_is_tried_twice(tmp_path, attempts, state):
    """A start after a crash loads what is kept, and tries once more what was tried; not a third time."""

    async def work():
        rig = Rig(tmp_path)
        digest = GOOD.put(rig.store)
        rig.store.write(Record(tried=Trial(digest=digest, attempts=attempts)))
        async with rig.running():
            body = await rig.reported(state, where=lambda body: state != "kept" or body["bundle"]["version"] == "2")
            assert state == "kept" or "went down 2 times" in body["reason"]
        assert (rig.store.read().kept == digest) == (state == "kept")

    run(work)


@pytest.mark.parametrize("harm", ["deleted", "torn"])
def test_what_was_before_is_served_where_what_is_kept_is_gone(tmp_path, harm):
    """The bundle that was in use before, else `engine.bundle`; the board says why."""

    async def work(previous: list, version: str, folder):
        rig = Rig(folder)
        kept, before = GOOD.put(rig.store), later().put(rig.store)
        rig.store.write(Record(kept=kept, previous=[before] if previous else []))
        if harm == "torn":
            (rig.store.bundle(kept) / "scripted.json").write_text("{}")
        else:
            shutil.rmtree(rig.store.bundle(kept))
        async with rig.running():
            body = await rig.reported("rolled_back")
            assert body["bundle"]["version"] == version
            assert kept in body["reason"]
            rig.ask()
            assert (await rig.answers())[0]["code"] == 200

    run(lambda: work([True], "3", tmp_path / "one"))
    run(lambda: work([], "1", tmp_path / "none"))


def test_the_first_bundle_of_all_may_be_installed(tmp_path):
    """A board without `engine.bundle` serves what was installed, and keeps it; without that it says what lacks."""

    async def work():
        rig = Rig(tmp_path)
        rig.has_own = False
        with pytest.raises(BundleError, match="not there"):
            Bundles(rig.store, rig.open).first()
        digest = rig.install(GOOD)
        async with rig.running():
            body = await rig.reported("kept")
            assert (body["bundle"]["version"], body["bundle"]["source"]) == ("2", "store")
            rig.ask()
            assert (await rig.answers())[0]["code"] == 200
        assert rig.store.read() == Record(kept=digest)
        assert rig.store.in_use(tmp_path / "none") == rig.store.bundle(digest)

    run(work)


def test_the_operators_rollback_is_noticed(tmp_path):
    """`edge bundle rollback` changes the record; the daemon goes over; in probation, the trial is given up."""

    async def work(state: str, folder):
        rig = Rig(folder, store={"probation_seconds": 60 if state == "probation" else 0})
        kept = later().put(rig.store)
        rig.store.write(Record(kept=kept, previous=[None]))
        async with rig.running():
            if state == "probation":
                rig.install(GOOD)
            await rig.reported(state)
            rig.store.change(lambda record: record.gone_back(0))
            version = "3" if state == "probation" else "1"
            ends = "rolled_back" if state == "probation" else "kept"
            await rig.reported(ends, where=lambda body: body["bundle"]["version"] == version)
            rig.ask()
            assert (await rig.answers())[0]["code"] == 200
            assert rig.said("info")[-1]["model_version"] == version
            assert rig.engine.alive == (version == "1")

    run(lambda: work("kept", tmp_path / "kept"))
    run(lambda: work("probation", tmp_path / "probation"))


def has_ended(rig: Rig, version: str) -> bool:
    """Whether that version was kept, or rolled back."""
    ends = {"kept": "bundle", "rolled_back": "next"}
    said = (body for body in rig.said("reported") if body["state"] in ends)
    return any((body[ends[body["state"]]] or {}).get("version") == version for body in said)


def test_exchanges_under_load_lose_nothing(tmp_path):
    """Bundles come and go while many ask: each request has one terminal message, a whole answer."""

    async def work():
        rig = Rig(tmp_path, ScriptedEngine(pause_seconds=0.01), store={"probation_seconds": 0})
        count = 0
        async with rig.running():
            for number in range(6):
                await rig.reported("kept", "rolled_back")
                wrong = number % 3 == 2
                version = f"{number + 2}"
                rig.install(later(version, pieces=("Bye",) if wrong else ("Hello", " world"), pause_seconds=0.01))
                while not has_ended(rig, version):
                    rig.ask(f"q{count}", seed=count)
                    count += 1
                    await asyncio.sleep(0.02)
            replies = await rig.answers(count)
            assert sorted(reply["id"] for reply in replies) == sorted(f"q{number}" for number in range(count))
            assert {reply["code"] for reply in replies} == {200}

    run(work)
