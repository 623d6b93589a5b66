"""`edge doctor --unit`: limits that fit the board and the bundle, in words that systemd takes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.commands.doctor_unit import DAEMON_BYTES, MIB, drop_in
from edge.config import Engine, Settings, Telemetry
from edge.errors import BundleError
from edge.store.record import Record
from edge.store.store import Store
from edge.testing import scripted_manifest, write_tree
from tests.conftest import ROOT
from tests.edge.commands.program import ended, started


def settings(folder: Path, board_mib: int, need_mib: int) -> Settings:
    """A board of so much memory, with a bundle that wants so much."""
    write_tree(folder, {"proc/meminfo": f"MemTotal: {board_mib * 1024} kB\n"})
    (folder / "manifest.json").write_text(scripted_manifest(memory_floor_bytes=need_mib * MIB).model_dump_json())
    return Settings(engine=Engine(bundle=folder), telemetry=Telemetry(root=folder))


def limits(text: str) -> dict[str, int]:
    """The numbers of a drop-in."""
    return {name: int(value) for name, value in re.findall(r"^(\w+)=(\d+)M?$", text, re.MULTILINE)}


@pytest.mark.parametrize(("board_mib", "need_mib"), [(1024, 400), (4096, 2900), (8192, 3300), (65536, 3300)])
def test_limits_leave_room_on_both_sides(tmp_path: Path, board_mib: int, need_mib: int):
    """The bundle and the daemon fit below MemoryHigh, that is below MemoryMax, and the board keeps what it needs."""
    found = limits(drop_in(settings(tmp_path, board_mib, need_mib)))
    assert need_mib + DAEMON_BYTES // MIB <= found["MemoryHigh"] < found["MemoryMax"] <= board_mib - 256
    assert found["TasksMax"] > 64
    assert found["TimeoutStopSec"] > 40


def test_the_limits_are_for_the_bundle_in_use(tmp_path: Path):
    """A bundle of the store that was kept counts, and not the one that the board came with."""
    board = settings(tmp_path, 8192, 400)
    store = Store(tmp_path / "store")
    digest = "a" * 64
    kept = store.bundle(digest)
    kept.mkdir(parents=True)
    (kept / "manifest.json").write_text(scripted_manifest(memory_floor_bytes=6000 * MIB).model_dump_json())
    store.write(Record(kept=digest))
    text = drop_in(board.model_copy(update={"store": board.store.model_copy(update={"folder": store.folder})}))
    assert "which wants 6064 MiB" in text
    assert store.in_use(tmp_path) == kept
    shutil.rmtree(kept)
    assert store.in_use(tmp_path) == tmp_path


def test_a_bundle_that_is_too_large_gets_no_limits(tmp_path: Path):
    """A limit under which it cannot load would end it for ever: both figures are said instead."""
    with pytest.raises(BundleError, match=r"wants 3064 MiB, and this board can give it 1680 of its 2048"):
        drop_in(settings(tmp_path, 2048, 3000))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_it(tmp_path: Path):
    """As a drop-in of the unit nothing is to be said of it."""
    unit = tmp_path / "edge.service"
    text = (ROOT / "systemd/edge.service").read_text()
    unit.write_text(re.sub(r"ExecStart=.*", "ExecStart=/bin/true", text))
    (tmp_path / "edge.service.d").mkdir()
    (tmp_path / "edge.service.d/70.conf").write_text(drop_in(settings(tmp_path, 8192, 3300)))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_it_is_for_the_board_itself(tmp_path: Path):
    """Of a board elsewhere nobody knows from here what it can spare."""
    status, _, said = ended(started({}, "doctor", "--unit", "--device", "other", cwd=tmp_path))
    assert status == 2
    assert "run it on the board" in said
