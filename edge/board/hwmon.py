"""Chips that measure (Documentation/hwmon/sysfs-interface.rst): temperatures by `chip label`, fans by their chips."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edge.board.files import Files
from edge.board.zones import NAME_CHARACTERS, impossible, unused, warmest_of

PWM_MAX = 255
Fan = dict[str, Any]


@dataclass(frozen=True)
class Chip:
    """One chip: its name, where it lies, which files it has. is_asleep: to be read, it would have to wake."""

    name: str
    folder: str
    files: frozenset[str]
    is_asleep: bool

    def numbers(self, pattern: str) -> list[int]:
        """Those in the names of files that match a pattern with one group."""
        found = (re.fullmatch(pattern, name) for name in self.files)
        return sorted(int(match[1]) for match in found if match)


def chips(files: Files) -> list[Chip]:
    """All of them; two of one name in the order of their devices, since hwmon's numbers change from start to start."""
    found = []
    for folder in files.names("sys/class/hwmon", "hwmon[0-9]*"):
        device = files.leads_to(f"{folder}/device") or ""
        listed = frozenset(path.rpartition("/")[2] for path in files.names(folder))
        if listed:
            name = files.text(f"{folder}/name") if "name" in listed else files.text(f"{folder}/device/name")
            found.append((name or device or "unnamed", device, folder, listed))
    named: dict[str, Chip] = {}
    for name, _device, folder, listed in sorted(found, key=lambda each: each[:2]):
        is_asleep = files.text(f"{folder}/device/power/runtime_status") == "suspended"
        own = unused(named, name[:NAME_CHARACTERS])
        named[own] = Chip(own, folder, listed, is_asleep)
    return list(named.values())


def sensors(files: Files, found: list[Chip]) -> dict[str, float | None]:
    """Degrees of every chip's sensors; None where one does not tell, cannot be so warm, or is asleep."""
    paths: dict[str, str] = {}
    celsius: dict[str, float | None] = {}
    for chip in found:
        for number, label in _labels(files, chip).items():
            name = unused(paths, f"{chip.name} {label}")
            paths[name] = f"{chip.folder}/temp{number}_input"
            celsius[name] = (
                None if chip.is_asleep or _is_faulty(files, chip, number) else files.number(paths[name], 1000)
            )
    warmest = warmest_of(celsius.values())
    for name, each in celsius.items():
        if each is not None and (why := impossible(each, warmest)):
            files.reject(paths[name], why)
            celsius[name] = None
    return celsius


def _labels(files: Files, chip: Chip) -> dict[int, str]:
    """Of a chip's temperatures, by their numbers. AMD's Tctl is a scale for fans where there is a Tdie beside it."""
    found = {}
    for number in chip.numbers(r"temp(\d{1,3})_input"):
        label = files.text(f"{chip.folder}/temp{number}_label") if f"temp{number}_label" in chip.files else None
        found[number] = (label or f"temp{number}")[:NAME_CHARACTERS]
    return {number: label for number, label in found.items() if label != "Tctl" or "Tdie" not in found.values()}


def _is_faulty(files: Files, chip: Chip, number: int) -> bool:
    """Whether the chip says itself that a sensor is broken or not connected, which counts as a failure."""
    name = f"temp{number}_fault"
    if name not in chip.files or files.text(f"{chip.folder}/{name}") != "1":
        return False
    files.reject(f"{chip.folder}/{name}", "the chip calls this sensor faulty")
    return True


def fans(files: Files, found: list[Chip]) -> dict[str, Fan]:
    """`{"pwmfan": {"rpm": 1518, "duty_percent": 29.4}}`; with a label or number where a chip has several.

    A Jetson has two chips for its one fan: `pwmfan` gives it power, `pwm_tach` counts its turns.
    """
    told: dict[str, Fan] = {}
    for chip in found:
        numbers = sorted({*chip.numbers(r"fan(\d{1,2})_input"), *chip.numbers(r"pwm(\d{1,2})")})
        for number in numbers:
            own = f"{chip.name} fan{number}" if len(numbers) > 1 else chip.name
            told[unused(told, own)] = _fan(files, chip, f"fan{number}_input", f"pwm{number}")
        if "rpm" in chip.files:
            told[unused(told, chip.name)] = _fan(files, chip, "rpm", "")
    if "pwm_tach" in told and told.get("pwmfan", {"rpm": 0})["rpm"] is None:
        told["pwmfan"]["rpm"] = told.pop("pwm_tach")["rpm"]
    return told


def _fan(files: Files, chip: Chip, turns: str, power: str) -> Fan:
    rpm, pwm = (_count(files, chip, name) for name in (turns, power))
    if pwm is not None and pwm > PWM_MAX:
        files.reject(f"{chip.folder}/{power}", f"{pwm} of {PWM_MAX}")
        pwm = None
    return {"rpm": rpm, "duty_percent": None if pwm is None else round(100 * pwm / PWM_MAX, 1)}


def _count(files: Files, chip: Chip, name: str) -> int | None:
    """A number that is not negative, of a file that there is; nothing of one that is asleep."""
    if chip.is_asleep or name not in chip.files:
        return None
    return files.amount(f"{chip.folder}/{name}")
