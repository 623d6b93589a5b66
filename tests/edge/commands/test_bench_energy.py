"""What fewer threads cost and save: measured by a meter, kept, and taken up by the governor of the same board."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import AsyncGenerator

import pytest

from edge.board.calibration import FILE, Calibration, Measured, keep, kept
from edge.board.files import Files
from edge.board.power import Meter, Taken
from edge.board.wattmeter import Wattmeter
from edge.commands import bench_energy
from edge.engine import Finished, Job
from edge.errors import ConfigError, EdgeError
from edge.governor import Levers, ThreadCount
from edge.governor.levers import ladder
from edge.testing import ScriptedEngine, scripted_manifest

IDLE, BY_THREADS = 3.0, {4: 8.0, 3: 6.5, 2: 5.0}
CORES = os.cpu_count() or 1


class Gauge(Meter):
    """What the test says that the board takes."""

    period_seconds = 0.02
    watts = IDLE

    def take(self, _files: Files) -> Taken | None:
        """It."""
        return Taken(self.watts, "module")


class Heating(ScriptedEngine):
    """An engine that takes more with more threads, and is little faster for it."""

    def __init__(self, gauge: Gauge, threads: int) -> None:
        super().__init__(pieces=("word",) * 8, pause_seconds=0.05 if threads > 2 else 0.1)
        self.gauge, self.threads = gauge, threads

    async def generate(self, job: Job) -> AsyncGenerator[str | Finished, None]:
        """An answer, with the meter up."""
        self.gauge.watts = BY_THREADS[self.threads]
        async for piece in super().generate(job):
            yield piece
        self.gauge.watts = IDLE


@pytest.mark.slow
def test_each_number_of_threads_is_measured():
    """Speeds are the clock's, watts those above idle."""

    async def work() -> Calibration:
        gauge = Gauge()
        meter = Wattmeter([gauge])
        return await bench_energy.calibrated(
            scripted_manifest(), lambda count: Heating(gauge, count), meter, [4, 3, 2], idle_seconds=11
        )

    found = asyncio.run(work())
    assert (found.model, found.scope) == ("scripted@1", "module")
    assert found.idle_watts == pytest.approx(IDLE, rel=0.2)
    for count, watts in BY_THREADS.items():
        assert found.threads[count].added_watts == pytest.approx(watts - IDLE, rel=0.35)
    assert found.threads[2].tokens_per_second < 0.7 * found.threads[3].tokens_per_second
    assert "J/token" in bench_energy.table(found)


def calibration(**changes) -> Calibration:
    """Four threads bring little more than three."""
    rates = {4: (10.0, 5.0), 3: (9.8, 3.5), 2: (6.0, 2.0)}
    threads = {count: Measured(tokens_per_second=rate, added_watts=watts) for count, (rate, watts) in rates.items()}
    made = {"model": "scripted@1", "cores": CORES, "scope": "module", "idle_watts": 3.0, "threads": threads}
    return Calibration(**{**made, **changes})


def test_it_is_kept_for_the_same_model_on_as_many_cores(tmp_path):
    """Of another model, another board or a damaged file nothing is believed."""
    keep(tmp_path / "cache", calibration())
    assert kept(tmp_path / "cache", "scripted@1") == calibration()
    assert kept(tmp_path / "cache", "another@1") is None
    keep(tmp_path / "cache", calibration(cores=CORES + 1))
    assert kept(tmp_path / "cache", "scripted@1") is None
    (tmp_path / "cache" / FILE).write_text('{"model": ')
    assert kept(tmp_path / "cache", "scripted@1") is None


def test_where_it_cannot_be_kept_that_is_said(tmp_path):
    """With the setting that helps."""
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ConfigError, match=r"engine\.cache_folder"):
        keep(tmp_path / "cache", calibration())


def test_the_governor_takes_what_costs_little():
    """Three threads of four, which lose 2 % and spare 30 % of the power; two lose too much."""
    beside = calibration().beside(4)
    assert beside == {3: (pytest.approx(0.98), pytest.approx(0.7)), 2: (pytest.approx(0.6), pytest.approx(0.4))}
    rungs = ladder(Levers(threads={count: ThreadCount(*its) for count, its in beside.items()}), 0.1)
    assert [rung.threads for rung in rungs[:3]] == [None, 3, 3]
    assert calibration().beside(8) == {}


def test_a_board_that_measures_nothing_says_so():
    """And where to look."""
    made = bench_energy.calibrated(scripted_manifest(), lambda _count: ScriptedEngine(), Wattmeter([]), [1])
    with pytest.raises(EdgeError, match="edge doctor"):
        asyncio.run(made)


def test_it_wants_a_bundle(capsys):
    """A wrong usage else."""
    parser = argparse.ArgumentParser()
    with pytest.raises(SystemExit):
        bench_energy.main(argparse.Namespace(bundle=None, parser=parser))
    assert "--bundle" in capsys.readouterr().err
