"""The processor over small trees: use between two looks, clocks of clusters, cores that are off."""

from __future__ import annotations

import pytest

from edge.board.cpu import Cpu
from edge.board.files import Absent, Files
from edge.testing import write_tree

CPUS = "sys/devices/system/cpu"
STAT = "cpu  {0} 0 0 {1} 0 0 0 0 0 0\ncpu0 {0} 0 0 {1} 0 0 0 0 0 0\n"


def policy(number: int, cores: str, hertz: int) -> dict[str, str]:
    """A cluster's clock."""
    folder = f"{CPUS}/cpufreq/policy{number}"
    names = ("scaling_cur_freq", "cpuinfo_max_freq", "scaling_max_freq")
    return {f"{folder}/affected_cpus": cores, **{f"{folder}/{name}": f"{hertz // 1000}\n" for name in names}}


def test_use_is_of_the_time_between_two_looks(tmp_path):
    """At first since boot; then of what has passed; None where nothing has."""
    cpu = Cpu()
    for ticks, percent in (((200, 800), 20.0), ((290, 810), 90.0), ((290, 810), None), ((289, 910), 0.0)):
        found = cpu.read(Files(write_tree(tmp_path, {"proc/stat": STAT.format(*ticks)})))
        assert (found["used_percent"], found["each"][0]["used_percent"]) == (percent, percent)


def test_guests_are_not_counted_twice(tmp_path):
    """Their time is in the user's already (proc_stat(5))."""
    found = Cpu().read(Files(write_tree(tmp_path, {"proc/stat": "cpu  100 0 0 100 0 0 0 0 80 0\n"})))
    assert found["used_percent"] == 50.0


def test_a_clusters_clock_is_each_of_its_cores(tmp_path):
    """And a core that is off has none, nor any use, and keeps its place."""
    tree = {
        f"{CPUS}/present": "0-3\n",
        "proc/stat": "cpu  1 0 0 1 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0\ncpu3 1 0 0 1 0 0 0 0\n",
        **policy(0, "0", 1_800_000_000),
        **policy(2, "3", 2_400_000_000),
    }
    found = Cpu().read(Files(write_tree(tmp_path, tree)))
    assert [core["clock_hertz"] for core in found["each"]] == [1_800_000_000, None, None, 2_400_000_000]
    assert [core["used_percent"] for core in found["each"]] == [50.0, None, None, 50.0]
    assert found["cores"] == 4


def test_older_kernels_have_a_folder_a_core(tmp_path):
    """With the same files in it."""
    tree = {f"{CPUS}/cpu{core}/cpufreq/scaling_cur_freq": f"{core + 1}000\n" for core in range(2)}
    found = Cpu().read(Files(write_tree(tmp_path, tree)))
    assert [core["clock_hertz"] for core in found["each"]] == [1_000_000, 2_000_000]


def test_a_phone_that_denies_the_use_tells_the_rest(tmp_path):
    """Android shows apps neither /proc/stat nor the load, but the clocks."""

    def read(path):
        if path.name in ("stat", "loadavg"):
            raise PermissionError(13, "Permission denied")
        return path.read_bytes()

    files = Files(write_tree(tmp_path, policy(0, "0 1", 600_000_000)), read)
    found = Cpu().read(files)
    assert (found["used_percent"], found["load_1m"], found["cores"]) == (None, None, 2)
    assert found["each"][1]["clock_hertz"] == 600_000_000
    assert set(files.denied) == {"proc/stat", "proc/loadavg"}


def test_slowdowns_count_from_the_first_look(tmp_path):
    """Over all cores; one that comes back counts on from where it is."""
    cpu, name = Cpu(), f"{CPUS}/cpu{{}}/thermal_throttle/core_throttle_count"
    for counts, told in (((5, 7), 0), ((6, 9), 3), ((6,), 3), ((6, 2), 3), ((6, 4), 5)):
        tree = {name.format(core): str(count) for core, count in enumerate(counts)}
        assert cpu.read(Files(write_tree(tmp_path, {**tree, "proc/loadavg": "0.1 "})))["throttle_count"] == told


@pytest.mark.parametrize("text", ["0-", "many", "0-3;", "0-99999"])
def test_a_list_of_cores_that_is_none_counts_as_a_failure(text, tmp_path):
    """And the cores are those of which something is told."""
    files = Files(write_tree(tmp_path, {f"{CPUS}/present": text, "proc/stat": STAT.format(1, 1)}))
    assert Cpu().read(files)["cores"] == 1
    assert f"{CPUS}/present" in files.failed


def test_nothing_to_read_is_no_sensor(tmp_path):
    """As on a system without /proc."""
    with pytest.raises(Absent):
        Cpu().read(Files(tmp_path))
