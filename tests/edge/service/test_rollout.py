"""What an operator wishes for at the broker: understood, fetched, tried; and what the board reports of it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator

from edge.commands.schema import schema_of
from edge.wire.message import Message
from tests.edge.service.rollouts import GOOD, PARIS, WRONG, Rig, Script, run

INSTALLER = """
import json, sys, time
from pathlib import Path
from edge.store.store import Store
here = Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
plan = json.loads((here / "plan.json").read_text())
for line in plan["lines"]:
    print(line if isinstance(line, str) else json.dumps(line), flush=True)
    time.sleep(plan.get("pause_seconds", 0))
if digest := plan.get("digest"):
    Store(here / "store").change(lambda record: record.to_be_tried(digest))
    print(json.dumps({"state": "verified", "digest": digest, "name": "scripted", "version": "2", "fetched_bytes": 1}))
sys.exit(plan.get("status", 0))
"""
"""A stand-in for `python -m edge.store`: it says what a plan has it say."""
WISH = {"bundle": {"name": "scripted", "version": "2"}, "id": "rollout-7"}
DOWNLOADING = {"state": "downloading", "done_bytes": 42, "total_bytes": 100}


def rig(folder: Path, **plan: Any) -> Rig:
    """A daemon that heeds wishes, and the installer's plan."""
    store = {"desired": True, "repository": "/nowhere", **plan.pop("store", {})}
    made = Rig(folder, store=store, fleet="all")
    (folder / "installer.py").write_text(INSTALLER)
    planned(made, **plan)
    return made


def planned(it: Rig, lines: tuple[Any, ...] = (), **plan: Any) -> None:
    """What the installer does from now on."""
    (it.folder / "plan.json").write_text(json.dumps({"lines": lines, **plan}))


def calls(it: Rig) -> list[str]:
    """How the installer was called."""
    file = it.folder / "calls"
    return file.read_text().splitlines() if file.exists() else []


def test_a_wish_is_carried_out(tmp_path):
    """Fetched, verified, tried, kept: each reported with the wish and its id, as the schema has it."""

    async def work():
        it = rig(tmp_path, lines=(DOWNLOADING, {"state": "verifying"}))
        planned(it, (DOWNLOADING, "no line of ours", {"state": "verifying"}), digest=GOOD.put(it.store))
        async with it.running():
            await it.reported("kept")
            it.wish(WISH)
            body = await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            assert (body["desired"], body["id"]) == (WISH, "rollout-7")
            expected = ["kept", "downloading", "verifying", "verified", "trying", "probation", "kept"]
            assert it.states() == expected
            assert calls(it) == ["install --channel=stable --version=2 -- scripted"]
            for said in it.said("reported"):
                jsonschema.validate(said, schema_of("reported"), Draft202012Validator)
            it.wish({**WISH, "id": "again"})
            await it.reported("kept", where=lambda body: body["id"] == "again")
            assert len(calls(it)) == 1

    run(work)


def test_a_failed_bundle_is_tried_again_for_another_id_alone(tmp_path):
    """The same wish has the installer refuse what was rolled back here; another id does not."""

    async def work():
        it = rig(tmp_path)
        planned(it, digest=WRONG.put(it.store))
        async with it.running():
            it.wish(WISH)
            body = await it.reported("rolled_back")
            assert "it answered 'Bye'" in body["reason"]
            it.wish({**WISH, "bundle": {"name": "scripted", "version": "2", "channel": "canary"}})
            planned(it, ({"state": "refused", "reason": "it was rolled back on this board"},), status=65)
            await it.reported("refused")
            it.wish({**WISH, "id": "rollout-8"})
            await it.reported("refused", where=lambda body: body["id"] == "rollout-8")
            it.wish({"bundle": WISH["bundle"]})
            await it.reported("refused", where=lambda body: body["id"] is None)
        is_again = ["--unless-failed" not in call for call in calls(it)]
        assert is_again == [True, False, True, False]
        assert "--channel=canary" in calls(it)[1]

    run(work)


def test_a_wish_for_what_was_kept_before_needs_no_trial(tmp_path):
    """It may be slower than what is in use. `engine.bundle` is not even fetched, since no repository need have it."""

    async def work():
        it = rig(tmp_path)
        it.engine.figures = (0.01, 0.1)
        planned(it, digest=GOOD.put(it.store))
        async with it.running():
            for version, name in (("2", "there"), ("1", "back"), ("2", "again")):
                it.wish({"bundle": {"name": "scripted", "version": version}, "id": name})
                body = await it.reported("kept", where=lambda body, of=version: body["bundle"]["version"] == of)
                assert body["id"] == name
                assert it.store.read().kept == body["bundle"]["digest"]
            it.ask()
            assert (await it.answers())[0]["code"] == 200
        assert [body["event"] for body in it.said("event")].count("bundle_tried") == 1
        assert calls(it) == ["install --channel=stable --version=2 -- scripted"] * 2
        assert it.store.read().previous == [None]

    run(work)


@pytest.mark.parametrize("status", [69, 75])
def test_what_may_pass_is_tried_again(tmp_path, status):
    """An installer that could not be helped now is started again after a while; the board says when."""

    async def work():
        it = rig(tmp_path)
        planned(it, ({"state": "refused", "reason": "the repository cannot be reached"},), status=status)
        async with it.running():
            it.wish(WISH)
            body = await it.reported("waiting")
            assert body["reason"] == "the repository cannot be reached; it is tried again in 10 s"
            planned(it, digest=GOOD.put(it.store))
            it.daemon._rollout._wishes._due = 0
            await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            assert len(calls(it)) == 2

    run(work)


def test_a_lasting_refusal_is_not_tried_again(tmp_path):
    """Its reason is reported; another wish is heeded at once."""

    async def work():
        it = rig(tmp_path)
        planned(it, ({"state": "refused", "reason": "the signature is wrong"},), status=65)
        async with it.running():
            it.wish(WISH)
            body = await it.reported("refused")
            assert (body["reason"], body["next"]["version"]) == ("the signature is wrong", "2")
            await asyncio.sleep(0.5)
            assert len(calls(it)) == 1
            it.wish(b"")
            await it.reported("refused", where=lambda body: body["desired"] is None and body["id"] is None)

    run(work)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"hello", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"bundle": {}}', "bundle.name is missing"),
        (b'{"bundle": {"name": "../x"}}', "bundle.name"),
        (b'{"bundle": {"name": "x"}, "bundel": 1}', "bundel"),
        (b'{"bundle": {"name": "x", "version": 6}}', "bundle.version"),
        (b'{"bundle": {"name": "x"}, "id": "a b"}', "id"),
        (b'{"bundle": ' + b"[" * 3000, "nests deeper"),
        (b" " * 5000, "4096 bytes at most"),
    ],
)
def test_a_wish_that_cannot_be_understood_is_refused(tmp_path, payload, why):
    """With a reason in `reported`; nothing is fetched, and the board goes on."""

    async def work():
        it = rig(tmp_path)
        async with it.running():
            await it.reported("kept")
            it.wish(payload)
            assert why in (await it.reported("refused"))["reason"]
            it.ask()
            assert (await it.answers())[0]["code"] == 200
            assert not calls(it)

    run(work)


def test_the_boards_own_wish_goes_before_its_fleets(tmp_path):
    """Whichever comes first; where it is taken back, the fleet's holds."""

    async def work():
        it = rig(tmp_path)
        planned(it, ({"state": "refused", "reason": "no"},), status=65)
        async with it.running():
            it.wish({"bundle": {"name": "fleets"}}, "edge/all/desired")
            it.wish({"bundle": {"name": "own"}})
            await it.reported("refused")
            assert calls(it) == ["install --channel=stable --unless-failed -- own"]
            it.wish({"bundle": {"name": "fleets", "version": "9"}}, "edge/all/desired")
            await asyncio.sleep(1.5)
            assert len(calls(it)) == 1
            it.wish(b"")
            await it.reported("refused", where=lambda body: body["next"]["name"] == "fleets")

    run(work)


def test_another_wish_ends_the_installer(tmp_path):
    """What is not wanted any more is not fetched to its end."""

    async def work():
        it = rig(tmp_path)
        planned(it, (DOWNLOADING,) * 100, pause_seconds=1)
        async with it.running():
            it.wish(WISH)
            await it.reported("downloading")
            planned(it, digest=GOOD.put(it.store))
            began = time.monotonic()
            it.wish({"bundle": {"name": "scripted"}, "id": "newest"})
            await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            assert time.monotonic() - began < 60
            assert calls(it)[1] == "install --channel=stable -- scripted"

    run(work)


def test_a_command_has_the_newest_installed(tmp_path):
    """`update`: as a wish for the served bundle's newest version, also where it failed before."""

    async def work():
        it = rig(tmp_path)
        planned(it, digest=GOOD.put(it.store))
        async with it.running():
            await it.reported("kept")
            it.transport.arrive(Message("edge/pi/command", b"update"))
            body = await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            assert body["desired"] is None
            assert calls(it) == ["install --channel=stable -- scripted"]

    run(work)


def test_the_newest_version_is_told(tmp_path):
    """The repository is asked from time to time; nobody answering leaves what was known, another name is not ours."""

    async def work():
        it = rig(tmp_path, store={"latest_seconds": 0.2})
        planned(it, ({"state": "latest", "name": "scripted", "version": "9"},))
        async with it.running():
            body = await it.reported("kept", where=lambda body: body["latest"] is not None)
            assert (body["latest"], body["bundle"]["version"]) == ("9", "1")
            planned(it, ({"state": "refused", "reason": "no way there"},), status=75)
            seen = len(calls(it))
            while len(calls(it)) < seen + 3:
                await asyncio.sleep(0.02)
            assert it.daemon._report.body()["latest"] == "9"
            assert set(calls(it)) == {"latest --channel=stable -- scripted"}
            planned(it, ({"state": "latest", "name": "scripted", "version": "10"},))
            await it.reported("kept", where=lambda body: body["latest"] == "10")
            changes = [body["latest"] for body in it.said("reported")]
            assert changes == sorted(changes, key=[None, "9", "10"].index)
            assert len(changes) < 6

    run(work)


def test_nobody_asks_a_repository_unasked(tmp_path):
    """Without `store.latest_seconds` no connection is made for it."""

    async def work():
        it = rig(tmp_path)
        async with it.running():
            await it.reported("kept")
            await asyncio.sleep(0.5)
            assert calls(it) == []
            assert it.said("reported")[-1]["latest"] is None

    run(work)


def test_a_download_is_told_now_and_then(tmp_path):
    """Its share of the bytes, every few seconds; who comes later finds it retained."""

    async def work():
        it = rig(tmp_path)
        lines = [{"state": "downloading", "done_bytes": done, "total_bytes": 40} for done in range(41)]
        planned(it, tuple(lines), pause_seconds=0.1, digest=GOOD.put(it.store))
        async with it.running():
            it.wish(WISH)
            await it.reported("kept", where=lambda body: body["bundle"]["version"] == "2")
            shares = [body["progress"] for body in it.said("reported") if body["state"] == "downloading"]
            assert 2 <= len(shares) <= 4
            assert shares[-1] > 0.2
            retained = [each for each in it.transport.birth if each.topic == "edge/pi/reported"]
            assert json.loads(retained[0].payload)["state"] == "kept"

    run(work)


def test_a_scripted_bundle_is_whole(tmp_path):
    """The stand-ins are bundles as any: by their digests, in their folders."""
    it = Rig(tmp_path)
    digest = Script(manifest={"version": "9", **PARIS}).put(it.store)
    assert it.open(digest).digest == digest
