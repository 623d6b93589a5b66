"""GPUs and NPUs by devfreq, and NVIDIA's cards by a library that speaks like theirs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.board.files import Absent, Files
from edge.board.gpu import NPU_LOAD, Gpu
from edge.board.nvml import Cards
from edge.board.program import Program
from edge.board.tegrastats import Tegrastats
from edge.testing import write_tree
from tests import boards

DEVFREQ = "sys/class/devfreq"
GIB = 1 << 30


class NVMLError(Exception):
    """As in nvidia-ml-py."""


class NotSupported(NVMLError):
    """What a Jetson answers to everything."""


class Missing(NVMLError):
    """There is no driver."""


class ScriptedLibrary:
    """One card, with the functions of nvidia-ml-py that we call."""

    NVMLError, NVMLError_LibraryNotFound, NVMLError_DriverNotLoaded = NVMLError, Missing, Missing
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU = 1, 0

    def __init__(self, trouble: type[NVMLError] | None = None, knows: bool = True) -> None:
        self.trouble, self.knows = trouble, knows

    def nvmlInit(self):  # noqa: N802  # NVIDIA's name
        if self.trouble:
            raise self.trouble

    def __getattr__(self, name):
        found = {
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "card",
            "nvmlDeviceGetName": b"NVIDIA RTX A2000",
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37),
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=6 * GIB, used=GIB),
            "nvmlDeviceGetPowerUsage": 23_510,
            "nvmlDeviceGetClockInfo": 1200,
            "nvmlDeviceGetMaxClockInfo": 2100,
            "nvmlDeviceGetTemperature": 61,
        }[name]

        def answer(*_arguments):
            if not self.knows and name not in ("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"):
                raise NotSupported
            return found

        return answer


def devfreq(name, **files):
    """One device."""
    return {f"{DEVFREQ}/{name}/{key.replace('__', '/')}": text for key, text in files.items()}


def each(root, tree):
    """What a look at a tree gives, with the look."""
    files = Files(write_tree(root, tree))
    return Gpu().read(files)["each"], files


def test_a_jetson_at_work(tmp_path):
    """Tenths of a percent, by the device and not by its address."""
    board = boards.plant("orin-nano", tmp_path)
    board.change("sys/devices/platform/bus@0/17000000.gpu/load", "873\n")
    found = Gpu().read(Files(board.root, board.read))["each"]
    assert list(found) == ["gpu"]
    assert (found["gpu"]["used_percent"], found["gpu"]["clock_max_hertz"]) == (87.3, 624_750_000)


def test_an_rk3588(tmp_path):
    """GPU and NPU, not the memory controller; a load with its clock behind it; the NPU's by core."""
    tree = (
        devfreq("fb000000.gpu-panthor", load="9@200000000Hz\n", cur_freq="200000000", max_freq="1000000000")
        | devfreq("fdab0000.npu", cur_freq="1000000000", max_freq="1000000000")
        | devfreq("dmc", load="40@528000000Hz", cur_freq="528000000")
        | {NPU_LOAD: "NPU load:  Core0: 63%, Core1: 65%, Core2: 64%,\n"}
    )
    found, files = each(tmp_path, tree)
    assert {name: gpu["used_percent"] for name, gpu in found.items()} == {"gpu": 9.0, "npu": 64.0}
    assert found["gpu"]["clock_max_hertz"] == 1_000_000_000
    assert files.failed == {}


def test_a_load_that_cannot_be(tmp_path):
    """20000 % of an NPU, as was seen, and 120 % of a GPU are failures; the clocks are told all the same."""
    tree = devfreq("fb000000.gpu", load="120@800000000Hz", cur_freq="800000000", max_freq="1") | devfreq("fdab0000.npu")
    tree |= devfreq("fdab0000.npu", cur_freq="1000000000", max_freq="1000000000")
    found, files = each(tmp_path, tree | {NPU_LOAD: "NPU load:  Core0: 20000%, Core1: 0%,"})
    assert [gpu["used_percent"] for gpu in found.values()] == [None, None]
    assert found["gpu"]["clock_hertz"] == 800_000_000
    assert set(files.failed) == {f"{DEVFREQ}/fb000000.gpu/load", NPU_LOAD}


def test_two_of_a_kind(tmp_path):
    """The second gets a number."""
    clocks = {"cur_freq": "1", "max_freq": "1"}
    assert list(each(tmp_path, devfreq("1.gpu", **clocks) | devfreq("2.gpu", **clocks))[0]) == ["gpu", "gpu-2"]


def test_a_jetson_whose_files_tell_no_load(tmp_path):
    """By tegrastats, more rarely; the clock of the files is kept."""
    script = tmp_path / "tegrastats"
    script.write_text("#!/bin/sh\necho 'GR3D_FREQ 12%@[1300,1300] VDD_IN 5012mW/4990mW'\n")
    script.chmod(0o755)
    root = write_tree(tmp_path, {"etc/nv_tegra_release": "# R36\n"} | devfreq("17000000.ga10b", cur_freq="306000000"))
    source = Gpu(tegrastats=Tegrastats(Program([str(script)])))
    found = source.read(Files(root))["each"]["gpu"]
    assert (found["used_percent"], found["clock_hertz"], source.period_seconds) == (12.0, 306_000_000, 30.0)


def test_no_gpu(tmp_path):
    """A disk's clock is none."""
    with pytest.raises(Absent):
        each(tmp_path, devfreq("1d84000.ufshc", cur_freq="1"))


def test_a_card(tmp_path):
    """Watts of milliwatts, hertz of megahertz, bytes as they are."""
    found = Cards(ScriptedLibrary())(Files(tmp_path))
    assert found == {
        "0 NVIDIA RTX A2000": {
            "used_percent": 37.0,
            "clock_hertz": 1_200_000_000,
            "clock_max_hertz": 2_100_000_000,
            "memory_total_bytes": 6 * GIB,
            "memory_used_bytes": GIB,
            "celsius": 61.0,
            "watts": 23.51,
        }
    }


def test_a_library_without_what_it_is_asked(tmp_path):
    """On a Jetson everything is unknown and nothing has failed; no driver is no card; what else goes wrong is told."""
    files = Files(tmp_path)
    assert set(Cards(ScriptedLibrary(knows=False))(files)["0 NVIDIA RTX A2000"].values()) == {None}
    assert Cards(ScriptedLibrary(Missing))(files) == {}
    assert files.failed == {}
    assert Cards(ScriptedLibrary(NotSupported))(files) == {}
    assert list(files.failed) == ["nvml"]
