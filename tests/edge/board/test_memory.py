"""Memory over small trees: the board's, the control group's, the processes'."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edge.board.files import Absent, Files
from edge.board.memory import Memory, ProcessMemory, available_bytes, process_memory, total_bytes
from edge.testing import write_tree

MEMINFO = {"proc/meminfo": "MemTotal: 8245104 kB\nMemAvailable: 7000000 kB\nSwapTotal: 100 kB\nSwapFree: 40 kB\n"}
UNIT = "sys/fs/cgroup/system.slice/edge.service"


def read(root: Path) -> dict:
    """One reading."""
    return dict(Memory().read(Files(root)))


def test_bytes_of_memory_and_swap(tmp_path):
    """Kilobytes become bytes, what is free of swap what is used of it."""
    found = read(write_tree(tmp_path, MEMINFO))
    assert (found["total_bytes"], found["available_bytes"]) == (8245104 << 10, 7000000 << 10)
    assert (found["swap_total_bytes"], found["swap_used_bytes"]) == (100 << 10, 60 << 10)


def test_waiting_is_told_apart(tmp_path):
    """Some and full of each resource; cpu has had no `full` line before 5.13; none without the kernel's option."""
    tree = {
        "proc/pressure/memory": "some avg10=1.50 avg60=0.00 total=9\nfull avg10=0.25 avg60=0.00 total=9\n",
        "proc/pressure/cpu": "some avg10=7.00 avg60=0.00 avg300=0.00 total=0\n",
    }
    found = read(write_tree(tmp_path, {**MEMINFO, **tree}))
    assert found["pressure"]["memory"] == {"some_percent": 1.5, "full_percent": 0.25}
    assert found["pressure"]["cpu"] == {"some_percent": 7.0, "full_percent": None}
    assert (found["pressure"]["io"], found["pressure_percent"]) == (None, 1.5)


def test_no_proc_is_no_sensor_and_nonsense_a_failure(tmp_path):
    """Absent without a file; else the rest is given, and the file named."""
    with pytest.raises(Absent):
        read(tmp_path)
    files = Files(
        write_tree(tmp_path, {"proc/meminfo": "MemTotal: many kB\n", "proc/vmstat": "workingset_refault 5\n"})
    )
    found = Memory().read(files)
    assert (found["total_bytes"], found["available_bytes"], found["refaulted_files"]) == (None, None, 5)
    assert "proc/meminfo" in files.failed


def test_compressed_swap_is_what_it_takes(tmp_path):
    """Over all devices; a device that is not in use takes nothing."""
    columns = "{} 3 {} 0 0 0 0 0 0\n"
    tree = {f"sys/block/zram{n}/mm_stat": columns.format(99, n * 4096) for n in range(3)}
    assert read(write_tree(tmp_path, {**MEMINFO, **tree}))["zram_used_bytes"] == 3 * 4096


def test_the_units_own_group(tmp_path):
    """Where the kernel says that we are, its limits and events."""
    tree = {
        "proc/self/cgroup": "1:name=systemd:/elsewhere\n0::/system.slice/edge.service\n",
        f"{UNIT}/memory.current": "400",
        f"{UNIT}/memory.high": "800",
        f"{UNIT}/memory.max": "max\n",
        f"{UNIT}/memory.events": "low 0\nhigh 3\nmax 0\noom 1\noom_kill 1\n",
    }
    found = read(write_tree(tmp_path, {**MEMINFO, **tree}))["cgroup"]
    assert (found["current_bytes"], found["high_bytes"], found["max_bytes"]) == (400, 800, None)
    assert found["events"] == {"low": 0, "high": 3, "max": 0, "oom": 1, "oom_kill": 1}


@pytest.mark.parametrize("told", ["0::/../../other\n", "", "0::\n", "nonsense\n"])
def test_a_group_that_leads_out_is_the_topmost(told, tmp_path):
    """Within a container the kernel's path may lead out of it; nothing is read there."""
    tree = {"proc/self/cgroup": told, "sys/fs/cgroup/memory.current": "7", "other/memory.current": "9"}
    assert read(write_tree(tmp_path, {**MEMINFO, **tree}))["cgroup"]["current_bytes"] == 7


def test_a_limit_counts_as_the_memory_there_is(tmp_path):
    """A container of 1 GiB with 400 MiB used has 624 MiB, whatever the board has."""
    limit = {"sys/fs/cgroup/memory.max": str(1 << 30), "sys/fs/cgroup/memory.current": str(400 << 20)}
    root = write_tree(tmp_path, {**MEMINFO, **limit})
    assert (available_bytes(root), total_bytes(root)) == (624 << 20, 1 << 30)


def test_every_limit_above_counts_and_old_pages_do_not(tmp_path):
    """A slice's limit holds for the unit in it; files that were read once can be dropped, and are no use of memory."""
    tree = {
        "proc/self/cgroup": "0::/system.slice/edge.service\n",
        f"{UNIT}/memory.max": str(3 << 30),
        f"{UNIT}/memory.current": str(2 << 30),
        f"{UNIT}/memory.stat": f"anon 5\nfile {2 << 30}\ninactive_file {1 << 30}\n",
        "sys/fs/cgroup/system.slice/memory.max": str(4 << 30),
        "sys/fs/cgroup/system.slice/memory.current": str(3 << 30),
    }
    root = write_tree(tmp_path, {**MEMINFO, **tree})
    assert (available_bytes(root), total_bytes(root)) == (1 << 30, 3 << 30)


def test_nothing_known_is_none(tmp_path):
    """Neither what is free nor what there is."""
    assert (available_bytes(tmp_path), total_bytes(tmp_path)) == (None, None)


def test_what_processes_hold():
    """Of ourselves, off the real kernel: a share and what is ours alone; None of one that does not run."""
    found = ProcessMemory(lambda: {"daemon": os.getpid(), "engine": None}).read(Files())
    assert found["daemon"]["pss_bytes"] >= found["daemon"]["anonymous_bytes"] > 1 << 20
    assert found["engine"] is None


def test_a_process_that_has_ended_is_no_failure():
    """Neither for the reading nor for who asks."""
    files, nobody = Files(), 1 << 30
    assert ProcessMemory(lambda: {"daemon": os.getpid(), "engine": nobody}).read(files)["engine"] is None
    assert files.failed == {}
    with pytest.raises(OSError, match="no process"):
        process_memory(nobody)
