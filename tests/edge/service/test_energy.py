"""The energy of answers through the whole daemon: from a meter to the terminal message and the telemetry."""

from __future__ import annotations

import asyncio
import json

import pytest

from edge.board.instruments import Instruments
from edge.board.wattmeter import Wattmeter
from edge.config import Settings
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, scripted_manifest
from edge.wire.message import Message
from tests.edge.board.test_energy import Steady, slowly, wait

PIECES = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t")


def answered(rows: int, names: str, tmp_path, pause_seconds: float = 0.03, dies_after: int | None = None) -> list[dict]:
    """Replies of a daemon before a board that takes 1,250 W, by a clock that a busy machine's pauses do not show on."""

    async def work() -> list[dict]:
        engine, transport = ScriptedEngine(PIECES, pause_seconds), MemoryTransport()
        engine.rows, engine.dies_after = rows, dies_after
        meter = Wattmeter([Steady(1250.0)], tmp_path, clock=slowly)
        instruments = Instruments(wattmeter=meter)
        daemon = Daemon(
            Settings(device="pi"), Seat(Served(scripted_manifest(), engine)), transport, instruments, JournalFile(None)
        )
        running = asyncio.create_task(daemon.run())
        await asyncio.to_thread(wait, lambda: meter.is_ready)
        for name in names:
            transport.arrive(Message("edge/pi/request", json.dumps({"prompt": "x", "id": name}).encode()))
        found = await transport.wait_for("reply", len(names), 30)
        daemon.stop()
        await running
        return found

    return asyncio.run(work())


def test_an_answer_tells_what_it_took(tmp_path):
    """Watts by its seconds, with what was measured and how much of it."""
    energy = answered(1, "a", tmp_path)[0]["energy"]
    assert energy["gross_joules"] >= 1250 * len(PIECES) * 0.03 / 100 * 0.99
    assert (energy["scope"], energy["is_shared"], energy["net_joules"]) == ("module", False, None)
    assert energy["samples"] >= 3


def test_answers_that_run_together_say_so(tmp_path):
    """Equal answers have about equal parts."""
    first, second = (reply["energy"] for reply in answered(2, "ab", tmp_path))
    assert first["is_shared"]
    assert second["is_shared"]
    assert first["gross_joules"] == pytest.approx(second["gross_joules"], rel=0.5)


def test_an_answer_too_short_to_measure_has_none(tmp_path):
    """Null, and never a guess."""
    assert answered(1, "a", tmp_path, 0.0)[0]["energy"] is None


def test_an_answer_that_breaks_off_tells_what_it_took(tmp_path):
    """The engine has died of it twice: no answer, and the joules of the second time all the same."""
    (reply,) = answered(1, "a", tmp_path, dies_after=15)
    assert reply["code"] == 500
    assert reply["energy"]["gross_joules"] >= 1250 * 15 * 0.03 / 100 * 0.99
