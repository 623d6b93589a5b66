"""What `edge doctor` finds in a board's own readings, this machine's or those that a board has published."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edge.commands.findings import Finding, Reading, bad, look
from edge.commands.status_alarms import WAITING_PERCENT, is_blinded, is_short_of_memory
from edge.commands.status_rows import free_of, gibibytes, gigahertz, in_words, is_hot, part

NO_SENSORS = {"time", "late_seconds", "inference", "governor", "absent", "denied", "failed", "errors"}
"""Keys of a reading that are no source's."""
LATE_SECONDS = 1.0
SUPPLY_VOLTS_MIN = 4.75
"""Of a Raspberry Pi 5's EXT5V: 5 V less 5 % (USB 2.0, section 7.2.2); the firmware's own mark is 4.63 V."""
DISK_SCARCE, BATTERY_LOW_PERCENT = 0.05, 20
MORE_MEMORY = "stop what else runs, or take a smaller bundle, fewer engine.rows, or less engine.kv_bytes"
MORE_POWER = "better cooling, a better supply or a charge gives more than any setting"
ASLEEP = ("EAGAIN", "ENODATA")
WHO_MAY = {
    "vcio": "join the group video: `usermod -aG video USER`; the daemon, by SupplementaryGroups=video in a drop-in",
    "powercap": "energy_uj is root's alone, since it tells of secrets (CVE-2020-8694); without it no joules are known",
    "power_supply": "Android keeps it from apps; Termux:API tells the battery",
    "proc/stat": "Android keeps it from apps; the rest of the processor's reading is there",
    "debug": "debugfs is root's alone; it is not needed",
    "i2c": "join the group i2c",
    "smaps": "what daemon and engine hold is told to root and to their own user alone; all else is there",
}
"""Who may read what is denied, by a part of its path."""


def machine(body: Reading) -> Iterator[Finding]:
    """Which board it is."""
    model, kind = (part(body, "board").get(name) for name in ("model", "kind"))
    name = model or "neither a device tree nor a firmware names it"
    yield Finding(f"{name}; {f'known as {kind}' if kind else 'of no kind that is known, so that the defaults hold'}")


def sensors(body: Reading) -> Iterator[Finding]:
    """Which answer, and why others do not."""
    answer = [name for name, value in body.items() if name not in NO_SENSORS and value is not None]
    absent = body.get("absent") or []
    more = f"; this board has none of: {', '.join(map(str, absent))}" if absent else ""
    yield Finding(f"{', '.join(answer) or 'none'} can be read{more}")
    for name, why in part(body, "denied").items():
        yield look(f"{name} may not be read: {why}{who_may(str(why))}")
    for name, why in part(body, "failed").items():
        if name in answer and is_asleep(str(why)):
            yield Finding(f"{name} has parts that sleep or are switched off: {why}")
        elif name in answer:
            yield look(f"{name} cannot be read whole: {why}; `dmesg` may have its driver's word")
        else:
            yield bad(f"{name} cannot be read: {why}; `dmesg` may have its driver's word")


def is_asleep(why: str) -> bool:
    """Whether all that is told failed as what sleeps does; a Jetson's unused zones do so for ever."""
    reasons = [reason.partition(": ")[2] for reason in why.split("; ")]
    return all(reason.startswith(ASLEEP) for reason in reasons)


def who_may(why: str) -> str:
    """What to do about what is denied; nothing where the reason says it itself, behind a colon."""
    if "denied: " in why:
        return ""
    known = next((advice for name, advice in WHO_MAY.items() if name in why), None)
    return f"; {known or '`ls -l` tells which group may, and `usermod -aG GROUP USER` joins it'}"


def heat(body: Reading) -> Iterator[Finding]:
    """How warm, whether it slows down, whether a fan stands still."""
    thermal, throttling = part(body, "thermal"), part(body, "throttling")
    hottest = thermal.get("hottest_celsius")
    if hottest is not None:
        too_hot = is_hot({"telemetry": body})
        advice = ": more air, a fan, a heat sink, or fewer engine.threads" if too_hot else ""
        yield Finding(f"{hottest:.1f} °C{advice}", "look" if too_hot else "ok")
    now, since = (flags(throttling, when) for when in ("now", "since_start"))
    if any(now.values()):
        yield look(f"it slows itself down now ({in_words(now)}): more air, a fan, a heat sink")
    elif any(since.values()):
        yield look(f"it has slowed itself down since the start ({in_words(since)}): look at it again while it answers")
    elif None not in now.values() and now:
        yield Finding("it has not slowed itself down since the start")


def flags(throttling: Reading, when: str) -> dict[str, bool | None]:
    """Those of heat and clock, which under-voltage is none of."""
    return {name: value for name, value in part(throttling, when).items() if name != "under_voltage"}


def power(body: Reading) -> Iterator[Finding]:
    """Whether the supply holds."""
    throttling, known = part(body, "throttling"), part(body, "power")
    now, since = (part(throttling, when).get("under_voltage") for when in ("now", "since_start"))
    volts = known.get("supply_volts")
    shown = f" (supply {volts:.2f} V)" if volts is not None else ""
    supply = "the board's own supply (a Pi 5: 5.1 V and 5 A), a short thick cable, less on USB"
    if now:
        yield bad(f"too little voltage now{shown}: {supply}")
    elif since:
        yield look(f"there was too little voltage since the start{shown}: {supply}")
    elif volts is not None and is_pi(body) and volts < SUPPLY_VOLTS_MIN:
        yield look(f"the supply gives {volts:.2f} V, which is little: {supply}")
    elif now is None:
        yield Finding(f"nothing on this board tells of too little voltage{shown}")
    else:
        yield Finding(f"the voltage has held since the start{shown}")


def is_pi(body: Reading) -> bool:
    """Whose supply has 5 V."""
    return str(part(body, "board").get("kind")).startswith("raspberry-pi")


def clock(body: Reading) -> Iterator[Finding]:
    """Whether somebody has lowered the clock."""
    cores = [core for core in part(body, "cpu").get("each") or () if core]
    pairs = {(core.get("clock_cap_hertz"), core.get("clock_max_hertz")) for core in cores}
    held = {(cap, most) for cap, most in pairs if cap is not None and most is not None and cap < most}
    own = part(body, "governor").get("clock_cap_hertz")
    for cap, most in sorted(held):
        text = f"held to {gigahertz(cap)} of {gigahertz(most)}"
        if cap == own:
            yield Finding(f"{text} by the board's own governor")
        elif any(flags(part(body, "throttling"), "now").values()):
            yield Finding(f"{text} while it slows itself down")
        else:
            yield look(f"{text}: writing {most // 1000} to each scaling_max_freq of cpufreq lets it go")
    if not held and any(most is not None for _, most in pairs):
        yield Finding("may be as fast as the hardware is")


def memory(body: Reading) -> Iterator[Finding]:
    """Whether enough is left."""
    if not (known := part(body, "memory")):
        return
    text, waited = f"{free_of(known) or 'nothing tells how much is'} free", known.get("pressure_percent") or 0
    if waited > WAITING_PERCENT:
        yield look(f"{text}, and {waited:.0f} % of the last ten seconds were spent waiting for it: stop what else runs")
    elif is_short_of_memory({"telemetry": body}):
        yield look(f"{text}: {MORE_MEMORY}")
    else:
        yield Finding(text)


def disk(body: Reading) -> Iterator[Finding]:
    """Whether bundle and journal have room."""
    for name, known in part(body, "disk", "folders").items():
        if known and known["free_bytes"] < DISK_SCARCE * known["total_bytes"]:
            yield look(f"{gibibytes(known['free_bytes'])} GiB free where the {name} lies: make room there")


def battery(body: Reading) -> Iterator[Finding]:
    """Whether it runs down."""
    known = part(body, "battery")
    level, is_charging = known.get("level_percent"), known.get("is_charging")
    if level is not None:
        is_low = level < BATTERY_LOW_PERCENT and is_charging is False
        yield Finding(f"{level:.0f} %{': charge it' if is_low else ''}", "look" if is_low else "ok")


def engine(body: Reading) -> Iterator[Finding]:
    """Whether it has died, and answers reached nobody; of a daemon that told."""
    if not (known := part(body, "inference")):
        return
    troubles = {
        "engine_restarts": "the engine had to be started again {} times: `journalctl -u edge` on the board says why",
        "answers_expired": "{} answers found no broker in time: look at the way to it",
        "answers_given_up": "{} answers ended one connection after the other: the log names them",
    }
    for name, text in troubles.items():
        if known.get(name):
            yield look(text.format(f"{known[name]:d}"))
    rate = known.get("decode_tokens_per_second")
    yield Finding(f"answers grow by {rate:.1f} tokens a second" if rate else "it has not answered yet")
    if body.get("late_seconds", 0) > LATE_SECONDS:
        yield look(f"its reading came {body['late_seconds']:.1f} s late: the daemon gets no processor")


def governor(body: Reading) -> Iterator[Finding]:
    """What it does now, by its own word."""
    known = part(body, "governor")
    state, reason = known.get("state", "off"), known.get("reason")
    memory, told = known.get("memory", "enough"), f"{state}{f': {reason}' if reason else ''}"
    if is_blinded({"telemetry": body}):
        yield look(f"blind: {reason}; it does nothing until its sensors can be read")
    elif memory != "enough":
        yield look(f"{told}; memory: {memory}; {MORE_MEMORY}")
    else:
        yield look(f"{told}; {MORE_POWER}") if state == "slowed" else Finding(told)


SENSORS: dict[str, Callable[[Reading], Iterator[Finding]]] = {
    "machine": machine,
    "sensors": sensors,
    "heat": heat,
    "power": power,
    "clock": clock,
    "memory": memory,
    "disk": disk,
    "battery": battery,
}
"""What sensors tell."""
ALL = {**SENSORS, "engine": engine, "governor": governor}
"""What a daemon tells, too."""
