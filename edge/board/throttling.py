"""Whether the board slows itself down: a Pi's firmware says so in a word, of others cooling and counters tell.

The word's bits are the firmware's (raspberrypi.com, documentation of `vcgencmd get_throttled`): 0 to 3 what is now, 16
to 19 what has been. The kernel's raspberrypi-hwmon clears the latter every two seconds, so that they are added up here.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from edge.board.files import SHOWN, Absent, Files
from edge.board.mailbox import Mailbox
from edge.board.pmic import EXTERNAL, is_there, read_rails

FLAGS = ("under_voltage", "clock_capped", "throttled", "soft_temperature_limit")
"""In the order of the word's bits."""
NOTHING_KNOWN: dict[str, bool | None] = dict.fromkeys(FLAGS)
STEADY_SECONDS = 10
"""The firmware's under-voltage flickers; what is told has stood for so long."""
SUPPLY_VOLTS_MIN = 4.63
"""Where the firmware of a Pi speaks of under-voltage."""
BOOT_SECONDS = 300
"""What had been before the first reading counts, where the board had not been up for longer."""
SLOWS = re.compile("cpufreq|devfreq|cpuidle|thermal-idle|idle-cpu|processor|powerclamp|throttle|gpu", re.IGNORECASE)
"""Types of cooling devices that cool by doing less (drivers/thermal, drivers/acpi), not by blowing."""
CAPS = re.compile("cpufreq|processor", re.IGNORECASE)
RESOLVED_SECONDS = 60
"""For so long zones keep the trips that they were found with."""
UPTIME = re.compile(r"([0-9]{1,12})\.")
COUNTERS = "thermal_throttle/*_throttle_count"


class Throttling:
    """Now, and since the daemon began. mailbox: of a Pi; clock: seconds that go on."""

    name = "throttling"
    period_seconds = 0.0

    def __init__(self, mailbox: Mailbox, clock: Callable[[], float] = time.monotonic) -> None:
        self._mailbox, self._clock = mailbox, clock
        self._since = dict(NOTHING_KNOWN)
        self._latched: int | None = None
        self._count: int | None = None
        self._under_voltage = Steady()
        self._limits: dict[str, int] = {}
        self._resolved = -math.inf

    def read(self, files: Files) -> Mapping[str, Any]:
        """`{"now": {...}, "since_start": {...}, "told_by": "firmware"}`."""
        now = self._firmware(files)
        told_by = "firmware"
        if now is None:
            now, told_by = self._others(files)
        return {"now": now, "since_start": dict(self._since), "told_by": told_by}

    def _firmware(self, files: Files) -> dict[str, bool | None] | None:
        """What a Pi says; None where this is none."""
        word = self._word(files)
        if word is not None:
            now: dict[str, bool | None] = dict(zip(FLAGS, bits(word), strict=True))
            self._add(bits(word), bits(self._newly(files, word)))
        else:
            alarm = _alarm(files)
            if alarm is None:
                return dict(NOTHING_KNOWN) if files.has_trouble else None
            now = {**NOTHING_KNOWN, "under_voltage": alarm}
            self._keep("under_voltage", alarm)
        volts = self._supply_volts(files)
        is_low = bool(now["under_voltage"]) if volts is None else volts < SUPPLY_VOLTS_MIN
        return {**now, "under_voltage": self._under_voltage.of(is_low, self._clock())}

    def _word(self, files: Files) -> int | None:
        for path in files.names("sys/devices/platform", "soc*/soc*:firmware/get_throttled"):
            if (text := files.text(path)) is not None:
                return word(files, path, text)
        text = self._mailbox.ask(files, "get_throttled")
        return None if text is None else word(files, "get_throttled", text)

    def _supply_volts(self, files: Files) -> float | None:
        """Of a Pi 5."""
        text = self._mailbox.ask(files, f"pmic_read_adc {EXTERNAL}_V") if is_there(files) else None
        rail = read_rails(text or "").get(EXTERNAL)
        return rail.volts if rail else None

    def _newly(self, files: Files, told: int) -> int:
        """What a word says has been and the one before did not; of the first what has been since the boot."""
        latched = told >> 16
        if self._latched is None:
            uptime = UPTIME.match(files.aside().text("proc/uptime") or "")
            self._latched = 0 if uptime and int(uptime[1]) < BOOT_SECONDS else latched
        newly, self._latched = latched & ~self._latched, latched
        return newly

    def _add(self, *found: list[bool]) -> None:
        for name, *flags in zip(FLAGS, *found, strict=True):
            self._keep(name, any(flags))

    def _keep(self, name: str, flag: bool | None) -> None:
        if flag is not None:
            self._since[name] = flag or bool(self._since[name])

    def _others(self, files: Files) -> tuple[dict[str, bool | None], str]:
        """Of every other board; Absent where nothing tells."""
        aside = files.aside()  # the thermal source and the processor's tell what is wrong with them
        if self._clock() >= self._resolved + RESOLVED_SECONDS:
            self._limits, self._resolved = _limits(aside), self._clock()
        cooling, trips, counted = _cooling(aside), _is_beyond(aside, self._limits), self._counted(aside)
        if not cooling and counted is None and self._count is None:
            raise Absent
        capped = [on for kind, on in cooling if CAPS.search(kind)]
        known = [flag for flag in (*(on for _, on in cooling), trips, counted) if flag is not None]
        now = {
            **NOTHING_KNOWN,
            "clock_capped": any(capped) if capped else None,
            "throttled": any(known) if known else None,
        }
        for name in ("clock_capped", "throttled"):
            self._keep(name, now[name])
        return now, "cooling" if self._count is None else "counters"

    def _counted(self, files: Files) -> bool | None:
        """Whether an x86 processor's counters grew since the look before."""
        paths = files.names("sys/devices/system/cpu", f"cpu[0-9]*/{COUNTERS}")
        counts = [count for path in paths if (count := files.count(path)) is not None]
        before, self._count = self._count, sum(counts) if counts else None
        return None if before is None or self._count is None else self._count > before


class Steady:
    """A flag that is told once it has stood for a while."""

    def __init__(self) -> None:
        self._told = False
        self._since: float | None = None

    def of(self, flag: bool, seconds: float) -> bool:
        """What is told, now that the flag is so."""
        if flag == self._told:
            self._since = None
        elif self._since is None:
            self._since = seconds
        elif seconds - self._since >= STEADY_SECONDS:
            self._told, self._since = flag, None
        return self._told


def word(files: Files, path: str, text: str) -> int | None:
    """`50005`, `0x50005` or `throttled=0x50005`; None of what has other bits than the firmware's."""
    try:
        found = int(text.rpartition("=")[2], 16)
    except ValueError:
        found = -1
    if found < 0 or found >> 20:
        files.reject(path, f"no throttle word: {text[:SHOWN]!r}")
        return None
    return found


def bits(told: int) -> list[bool]:
    """The four lowest."""
    return [bool(told >> bit & 1) for bit in range(4)]


def _alarm(files: Files) -> bool | None:
    """Whether the hwmon driver saw under-voltage in its last two seconds."""
    aside = files.aside()  # the thermal source tells what is wrong with folders and names
    for path in aside.names("sys/class/hwmon", "hwmon*/name"):
        if aside.text(path) == "rpi_volt":
            alarm = files.count(path.replace("/name", "/in0_lcrit_alarm"))
            return None if alarm is None else bool(alarm)
    return None


def _cooling(files: Files) -> list[tuple[str, bool]]:
    """What cools by doing less, and whether it does (Documentation/driver-api/thermal/sysfs-api.rst)."""
    found = []
    for path in files.names("sys/class/thermal", "cooling_device*"):
        kind = files.text(f"{path}/type") or ""
        if SLOWS.search(kind) and (state := files.count(f"{path}/cur_state")) is not None and state >= 0:
            found.append((kind, state > 0))
    return found


def _limits(files: Files) -> dict[str, int]:
    """The lowest trip of each zone at which the kernel slows the board down, in thousandths of a degree."""
    limits: dict[str, int] = {}
    for path in files.names("sys/class/thermal", "thermal_zone*/trip_point_*_type"):
        if files.text(path) in ("passive", "hot"):
            zone, limit = path.rpartition("/")[0], files.count(path.replace("_type", "_temp"))
            if limit is not None and limit > 0:
                limits[zone] = min(limit, limits.get(zone, limit))
    return limits


def _is_beyond(files: Files, limits: Mapping[str, int]) -> bool | None:
    """Whether a zone is as hot as its limit; None where none is known to have one."""
    heats = [(files.count(f"{zone}/temp"), limit) for zone, limit in limits.items()]
    known = [heat >= limit for heat, limit in heats if heat is not None and heat < 125_000]
    return any(known) if known else None
