"""Whatever one file of a board says, the readings stay as the wire has them, and no source gives up all of itself."""

from __future__ import annotations

import pytest

from edge.board.sensors import read_all
from edge.wire.telemetry import Telemetry
from tests import boards

GARBAGE = (
    "",
    "garbage\n",
    "-1\n",
    "-2147483648\n",
    "4294967295\n",
    "9" * 400,
    "0x2ee0\n",
    "1e9\n",
    "٣\n",
    "\ufffd\0",
    "nan",
)
OURS = {"throttling", "power", "gpu", "battery"}
WHERE = ("get_throttled", "hwmon", "devfreq", "/load", "power_supply", "powercap", "nvpmodel", "cooling", "throttle")


def files_of(name):
    """The files that our sources read of a tree."""
    return [path for path in boards.files_of(name) if any(part in path for part in WHERE)]


def look(planted):
    """Our readings, with what has failed."""
    found = read_all([each for each in boards.sources(planted) if each.name in OURS], planted.root, planted.read)
    for key, value in found.readings.items():
        Telemetry.__pydantic_validator__.validate_assignment(Telemetry.model_construct(), key, value)
    return found


@pytest.mark.parametrize("name", ["orin-nano", "phone", "pi4", "pi5", "pi5-with-file", "rk3588", "x86-laptop"])
def test_a_file_that_says_something_else(name, tmp_path):
    """Each file in turn, each kind of nonsense: at worst that one value is not known, and the reason names a file."""
    planted = boards.plant(name, tmp_path)
    there = set(look(planted).readings)
    for path in files_of(name):
        kept = (planted.root / path).read_bytes()
        for text in GARBAGE:
            planted.change(path, text)
            found = look(planted)
            assert there - set(found.readings) <= set(found.absent), (path, text, found.failed)
        (planted.root / path).write_bytes(kept)


@pytest.mark.parametrize(
    "text", ["", "error=2", "x" * 5000, "EXT5V_V volt(24)=99999999.0V", "\x00\x01", "VDD_CORE_A current(7)="]
)
def test_a_firmware_that_says_something_else(text, tmp_path):
    """To either question."""
    planted = boards.plant("pi5", tmp_path)
    for command in ("get_throttled", "pmic_read_adc"):
        planted.firmware.answers[command] = text
        assert "throttling" in look(planted).readings
