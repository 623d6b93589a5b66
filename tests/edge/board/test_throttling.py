"""Whether a board slows itself down: a Pi's word by file, by mailbox, by hwmon; elsewhere cooling and counters."""

from __future__ import annotations

import errno
import struct

import pytest

from edge.board.files import Absent, Files
from edge.board.mailbox import GENCMD, PROPERTY, Mailbox, by_ioctl, question
from edge.board.throttling import FLAGS, Throttling, word
from edge.testing import ScriptedFirmware, write_tree
from tests import boards

FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"
PI5 = {"proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0", "proc/uptime": "90000.1 1.0\n"}


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def throttling(firmware, clock=None):
    """A fresh source before a firmware."""
    return Throttling(Mailbox(firmware), clock or Clock())


def supply(volts):
    """What a Pi 5 says of its supply."""
    return f"     EXT5V_V volt(24)={volts:.8f}V\n"


@pytest.mark.parametrize("text", ["50005", "0x50005", "throttled=0x50005", "50005\n\0"])
def test_the_word_in_each_of_its_spellings(text, tmp_path):
    """With and without 0x, with the name before it, with what is around it."""
    files = Files(write_tree(tmp_path, {FILE: text}))
    found = throttling(ScriptedFirmware({}, {})).read(files)
    assert [name for name in FLAGS if found["since_start"][name]] == ["under_voltage", "throttled"]
    assert (found["now"]["throttled"], found["told_by"]) == (True, "firmware")


@pytest.mark.parametrize("text", ["", "ffffffff", "-1", "no word", "throttled="])
def test_what_is_no_word_is_a_failure(text, tmp_path):
    """No flag is told of it, and the reason names the text."""
    files = Files(tmp_path)
    assert word(files, FILE, text) is None
    assert "no throttle word" in files.failed[FILE]


def test_each_bit_has_its_flag(tmp_path):
    """Bits 0 to 3 are now, in the firmware's order."""
    for bit, name in enumerate(FLAGS[1:], start=1):
        files = Files(write_tree(tmp_path, {FILE: f"{1 << bit:x}"}))
        now = throttling(ScriptedFirmware({}, {})).read(files)["now"]
        assert [each for each in FLAGS if now[each]] == [name]


def test_what_the_kernel_clears_is_kept(tmp_path):
    """A flag that was, and that the driver's next poll cleared, has been since the daemon began."""
    source, root = throttling(ScriptedFirmware({}, {})), tmp_path
    for text in ("0", "50005", "0"):
        found = source.read(Files(write_tree(root, {**PI5, FILE: text})))
    assert not any(found["now"].values())
    assert [name for name in FLAGS if found["since_start"][name]] == ["under_voltage", "throttled"]


@pytest.mark.parametrize(("uptime", "counts"), [("90000.1", False), ("40.2", True)])
def test_what_was_before_us(uptime, counts, tmp_path):
    """What has been when the daemon began counts where the board had just been switched on, and else does not."""
    tree = {"proc/uptime": f"{uptime} 1.0\n", FILE: "40000"}
    found = throttling(ScriptedFirmware({}, {})).read(Files(write_tree(tmp_path, tree)))
    assert found["since_start"]["throttled"] is counts


def test_the_mailbox_where_there_is_no_file(tmp_path):
    """The node with the narrow rights first, the other one where there is no such."""
    for nodes in ({"vcio_gencmd": 0, "vcio": errno.EACCES}, {"vcio": 0}):
        firmware = ScriptedFirmware({"get_throttled": "throttled=0x20002"}, nodes)
        found = throttling(firmware).read(Files(write_tree(tmp_path, PI5)))
        assert [name for name in FLAGS if found["now"][name]] == ["clock_capped"]
        assert firmware.asked == ["get_throttled", "pmic_read_adc EXT5V_V"]


def test_the_message_is_the_documented_one():
    """Number, tag, sizes and end tag, as raspberrypi/utils and linux have them; nothing asks to clear the bits."""
    message = question("get_throttled")
    size, request, tag, room, length, code = struct.unpack_from("=6I", message)
    assert (size, request, tag, length, code) == (len(message), 0, 0x00030080, 0, 0)
    assert size == 6 * 4 + room + 4
    assert bytes(message[24:38]) == b"get_throttled\0"
    assert bytes(message[-4:]) == bytes(4)
    assert GENCMD == 0x00030080
    assert {8: 0xC0086400, 4: 0xC0046400}[struct.calcsize("P")] == PROPERTY


def test_who_may_not_ask_is_told_what_to_do(tmp_path):
    """Denied, with the group; nothing is said to be absent."""
    root = write_tree(tmp_path, {**PI5, "dev/vcio_gencmd": ""})
    (root / "dev/vcio_gencmd").chmod(0o660)
    files = Files(root)
    found = throttling(ScriptedFirmware({}, {"vcio_gencmd": errno.EACCES})).read(files)
    assert set(found["now"].values()) == {None} or found["now"]["under_voltage"] is False
    assert "join the group" in files.denied["dev/vcio_gencmd"]
    (root / "dev/vcio_gencmd").chmod(0o600)
    files = Files(root)
    throttling(ScriptedFirmware({}, {"vcio_gencmd": errno.EACCES})).read(files)
    assert "root's alone" in files.denied["dev/vcio_gencmd"]


def test_a_firmware_that_fails_is_a_failure(tmp_path):
    """The transaction timed out: told with the command; and the hwmon driver's word is taken."""
    tree = {**PI5, "sys/class/hwmon/hwmon7/name": "rpi_volt\n", "sys/class/hwmon/hwmon7/in0_lcrit_alarm": "1\n"}
    files = Files(write_tree(tmp_path, tree))
    found = throttling(ScriptedFirmware({}, {"vcio_gencmd": errno.ETIMEDOUT})).read(files)
    assert found["since_start"] == {**dict.fromkeys(FLAGS), "under_voltage": True}
    assert "pmic_read_adc" in files.failed["dev/vcio_gencmd"]


def test_a_firmware_that_does_not_know_the_question(tmp_path):
    """It answers nothing that is kept, and has not failed."""
    files = Files(write_tree(tmp_path, PI5))
    assert Mailbox(ScriptedFirmware({})).ask(files, "get_throttled") is None
    assert not files.has_trouble


def test_a_file_that_is_no_mailbox(tmp_path):
    """The real ioctl on a plain file fails, and is told."""
    files = Files(write_tree(tmp_path, {**PI5, "dev/vcio_gencmd": ""}))
    assert Mailbox(by_ioctl).ask(files, "get_throttled") is None
    assert "get_throttled" in files.failed["dev/vcio_gencmd"]


def test_under_voltage_flickers_and_is_told_once_it_stands(tmp_path):
    """Sixteen alarms in 173 samples, as captured, are none; ten seconds of it are one, and ten without end it."""
    clock = Clock()
    firmware = ScriptedFirmware({"get_throttled": "throttled=0x0"})
    source, files = throttling(firmware, clock), Files(write_tree(tmp_path, PI5))
    told = []
    for step in range(173):
        firmware.answers["get_throttled"] = "throttled=0x1" if step % 29 in (3, 4, 5) else "throttled=0x0"
        told.append(source.read(files)["now"]["under_voltage"])
        clock.seconds += 1
    assert not any(told)
    for text, flags in (("0x1", [False] * 10 + [True] * 5), ("0x0", [True] * 10 + [False] * 5)):
        firmware.answers["get_throttled"] = f"throttled={text}"
        for flag in flags:
            assert source.read(files)["now"]["under_voltage"] is flag
            clock.seconds += 1


def test_the_measured_supply_goes_over_the_bit(tmp_path):
    """4.76 V is no under-voltage, whatever the bit says; 4.55 V is one, though the bit is clear."""
    for text, volts, expected in (("0x1", 4.764, False), ("0x0", 4.55, True)):
        clock = Clock()
        firmware = ScriptedFirmware({"get_throttled": f"throttled={text}", "pmic_read_adc": supply(volts)})
        source, files = throttling(firmware, clock), Files(write_tree(tmp_path, PI5))
        source.read(files)
        clock.seconds += 10
        assert source.read(files)["now"]["under_voltage"] is expected


def test_a_jetson_that_slows_down(tmp_path):
    """A cpufreq device that is on caps the clock and throttles; a fan that blows does neither."""
    board = boards.plant("orin-nano", tmp_path)
    source = throttling(board.firmware)
    assert source.read(Files(board.root, board.read))["now"]["throttled"] is False
    board.change("sys/class/thermal/cooling_device1/cur_state", "3\n")
    found = source.read(Files(board.root, board.read))
    assert (found["now"]["throttled"], found["now"]["clock_capped"], found["told_by"]) == (True, True, "cooling")
    board.change("sys/class/thermal/cooling_device1/cur_state", "0\n")
    found = source.read(Files(board.root, board.read))
    assert (found["now"]["throttled"], found["since_start"]["throttled"]) == (False, True)
    board.change("sys/class/thermal/thermal_zone8/temp", "99250\n")
    files = Files(board.root, board.read)
    assert source.read(files)["now"]["throttled"] is True
    assert files.failed == {}


def test_a_processor_that_counts(tmp_path):
    """x86: throttled where the counters grew since the look before; of the first look nothing is known."""
    counter = "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count"
    source = throttling(ScriptedFirmware({}, {}))
    told = []
    for count in ("7\n", "7\n", "9\n", "9\n"):
        found = source.read(Files(write_tree(tmp_path, {counter: count})))
        told.append((found["now"]["throttled"], found["since_start"]["throttled"]))
    assert told == [(None, None), (False, False), (True, True), (False, True)]
    assert found["told_by"] == "counters"


def test_a_board_that_tells_nothing(tmp_path):
    """Absent, also where idle injection of a laptop answers -1."""
    tree = {"sys/class/thermal/cooling_device2/type": "intel_powerclamp\n"}
    tree["sys/class/thermal/cooling_device2/cur_state"] = "-1\n"
    with pytest.raises(Absent):
        throttling(ScriptedFirmware({}, {})).read(Files(write_tree(tmp_path, tree)))
