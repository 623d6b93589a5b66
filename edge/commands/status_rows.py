"""The lines of `edge status`, one function each: what a board says of one thing, and whether that wants a look.

What comes in is somebody else's JSON, and these take it as docs/wire.md has it; `status_lines.py` catches the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.wire.message import WIRE_VERSION

Found = Mapping[str, Any]
"""A board's name as `device`, and the bodies of `status`, `info`, `telemetry` and `load`, as far as they came."""
Row = Callable[[Found], str | None]
"""The text of a line; None where there is nothing to say."""

WORDS = 0.75
"""English words a token, about."""
FLAGS = {
    "under_voltage": "too little voltage",
    "clock_capped": "clock capped",
    "throttled": "throttled",
    "soft_temperature_limit": "above the soft temperature limit",
}
"""Of telemetry's `throttling`, in words."""
BUNDLE_STATES = {
    "downloading": "another one is fetched",
    "verifying": "another one is verified",
    "verified": "another one is there, and tried next",
    "trying": "another one is tried",
    "probation": "on probation",
    "rolled_back": "another one was not kept",
    "refused": "another one was refused",
    "waiting": "another one waits",
}
"""Of telemetry's `bundle`, in words; `kept` is one."""
HOT_CELSIUS = 80
"""Where a Raspberry Pi's firmware begins to slow down, which no trip tells, and where others may."""
SLOWING = ("passive", "hot")
"""Trips at which a kernel slows a board down (driver-api/thermal/sysfs-api.rst)."""
LITTLE_BYTES = 100 << 20
"""Of swap, which every board has in use."""


def part(found: Found, *names: str) -> dict[str, Any]:
    """An object within; an empty one where it is missing or null. TypeError where something else is there."""
    body: Any = found
    for name in names:
        body = body.get(name) or {}
        if not isinstance(body, dict):
            raise TypeError(name)
    return dict(body)


def gibibytes(count: int) -> str:
    """With one digit."""
    return f"{count / 2**30:.1f}"


def gigahertz(count: int) -> str:
    """With two digits."""
    return f"{count / 1e9:.2f} GHz"


def board(found: Found) -> str:
    """Which, and in what state."""
    status = found["status"]
    reason = f": {status['reason']}" if "reason" in status else ""
    reason = "; it loads its model when it is asked" if status.get("state") == "unloaded" else reason
    return f"{found['device']} is {status.get('state', 'in a state that it does not tell')}{reason}"


def machine(found: Found) -> str | None:
    """Which machine it is."""
    known = part(found, "telemetry", "board").get("model")
    return None if known is None else str(known)


def model(found: Found) -> str | None:
    """Which, on what, and how much it can read."""
    if not (info := found.get("info")):
        return None
    tokens = info["context_length"]
    held = f"a question and its answer have {tokens} tokens together, about {round(tokens * WORDS, -2):.0f} words"
    return f"{info['model']} on the {info['provider']} provider; {held}"


def bundle(found: Found) -> str | None:
    """Which version of it, and what becomes of another one."""
    if not (known := part(found, "telemetry", "bundle")):
        return None
    reason = f": {known['reason']}" if known.get("reason") else ""
    digest = f" ({known['digest'][:12]})" if known.get("digest") else ""
    return f"version {known['version']}{digest}; {BUNDLE_STATES.get(known['state'], known['state'])}{reason}"


def wire(found: Found) -> str | None:
    """Another language than ours."""
    info = found.get("info") or {}
    if not info or info.get("wire_version") == WIRE_VERSION:
        return None
    theirs = info.get("wire_version", "none")
    return f"version {theirs}, but this program speaks {WIRE_VERSION}: one of the two is older"


def heat(found: Found) -> str | None:
    """The hottest, and the fans."""
    if not found.get("telemetry"):
        return None
    thermal = part(found, "telemetry", "thermal")
    hottest = thermal.get("hottest_celsius")
    if hottest is None:
        return "its sensors give no number now" if thermal else "no temperature sensor"
    fans = "".join(fan(name, each) for name, each in part(thermal, "fans").items())
    trip = slowing_trip(found)
    slows = "most boards slow down at 80 to 85" if trip is None else f"this one slows down at {trip:.0f}"
    return f"{hottest:.1f} °C; {slows}{fans}"


def slowing_trip(found: Found) -> float | None:
    """The lowest temperature at which the kernel says that it slows the board down; None where it says none."""
    trips = [trip for zone in part(found, "telemetry", "thermal", "trips").values() for trip in zone]
    return min((float(trip["celsius"]) for trip in trips if trip["type"] in SLOWING), default=None)


def is_hot(found: Found) -> bool:
    """Whether it is as warm as where it slows down."""
    hottest, trip = part(found, "telemetry", "thermal").get("hottest_celsius"), slowing_trip(found)
    return hottest is not None and hottest >= (HOT_CELSIUS if trip is None else trip)


def fan(name: str, told: Found) -> str:
    """What it does, as far as it is known."""
    rpm, duty_percent = told.get("rpm"), told.get("duty_percent")
    known = [f"{rpm:d} turns a minute"] if rpm is not None else []
    known += [f"{duty_percent:.0f} % of full power"] if duty_percent is not None else []
    return f"; {name}: {', '.join(known) or 'tells nothing'}"


def memory(found: Found) -> str | None:
    """What is free, swap in use, and how much is waited for it."""
    if not (known := part(found, "telemetry", "memory")):
        return None
    text = f"{free_of(known) or 'nothing tells how much is'} free"
    if (known.get("swap_used_bytes") or 0) > LITTLE_BYTES:
        text += f"; {gibibytes(known['swap_used_bytes'])} GiB of swap in use"
    if (waited := known.get("pressure_percent") or 0) >= 1:
        text += f"; waited for {waited:.0f} % of the last ten seconds"
    return text


def free_of(memory: Found) -> str | None:
    """What is free of how much; None where nothing tells."""
    free, total = (memory.get(name) for name in ("available_bytes", "total_bytes"))
    of = "" if total is None else f" of {gibibytes(total)}"
    return None if free is None else f"{gibibytes(free)}{of} GiB"


def processor(found: Found) -> str | None:
    """How busy, and how fast."""
    if not (cpu := part(found, "telemetry", "cpu")):
        return None
    used = cpu.get("used_percent")
    text = "nothing tells how busy it is" if used is None else f"{used:.0f} % busy"
    return f"{text}{clock(cpu)}"


def clock(cpu: Found) -> str:
    """The fastest core's, against what the hardware has and what it may have."""
    cores = [core for core in cpu.get("each") or () if core and core.get("clock_hertz") is not None]
    if not cores:
        return ""
    fastest = max(cores, key=lambda core: int(core["clock_hertz"]))
    most, cap = fastest.get("clock_max_hertz"), fastest.get("clock_cap_hertz")
    text = f"; asked for {gigahertz(fastest['clock_hertz'])}"
    text += f" of {gigahertz(most)}" if most is not None else ""
    return text + (f", held to {gigahertz(cap)}" if most is not None and cap is not None and cap < most else "")


def throttling(found: Found) -> str | None:
    """Whether it slows itself down, or did."""
    if not (told := part(found, "telemetry", "throttling")):
        return None
    now, since = (part(told, name) for name in ("now", "since_start"))
    if all(value is None for value in (*now.values(), *since.values())):
        return "nothing tells whether it slows itself down"
    before = in_words({name: value for name, value in since.items() if not now.get(name)})
    return f"{in_words(now) or 'not now'}{f'; since the start: {before}' if before else ''}"


def in_words(flags: Mapping[str, Any]) -> str:
    """Those that are set."""
    return ", ".join(FLAGS.get(name, name) for name, value in flags.items() if value)


def power(found: Found) -> str | None:
    """What it takes, and what comes in."""
    if not (known := part(found, "telemetry", "power")):
        return None
    watts, volts, mode = (known.get(name) for name in ("watts", "supply_volts", "mode"))
    texts = [f"{watts:.1f} W ({known.get('scope')})"] if watts is not None else []
    texts += [f"supply {volts:.2f} V"] if volts is not None else []
    texts += [f"mode {mode}"] if mode else []
    return "; ".join(texts) or "nothing tells what it takes"


def gpu(found: Found) -> str | None:
    """Each one's use and clock."""
    each = part(found, "telemetry", "gpu", "each")
    return "; ".join(one_gpu(name, known) for name, known in each.items())


def one_gpu(name: str, known: Found) -> str:
    """As far as it is known."""
    used, hertz = known.get("used_percent"), known.get("clock_hertz")
    texts = [f"{used:.0f} % busy"] if used is not None else []
    texts += [f"at {gigahertz(hertz)}"] if hertz is not None else []
    return f"{name}: {', '.join(texts) or 'tells nothing'}"


def battery(found: Found) -> str | None:
    """How full, and whether it charges."""
    if not (known := part(found, "telemetry", "battery")):
        return None
    level, status, celsius = (known.get(name) for name in ("level_percent", "status", "celsius"))
    texts = ["level not known" if level is None else f"{level:.0f} %"]
    texts += [str(status)] if status else []
    texts += [f"{celsius:.1f} °C"] if celsius is not None else []
    return ", ".join(texts)


def queue(found: Found) -> str | None:
    """How many answers grow, how many wait."""
    if not (answers := part(found, "telemetry", "inference")):
        return None
    info = found.get("info") or {}
    rows, length = info.get("rows", 1), info.get("queue_length", 0)
    return f"{answers['running']} of {rows} answers grow now, {answers['queue_length']} of {length} places wait"


def share(found: Found) -> str | None:
    """Whether it takes more, and its part in a fleet; nothing of a board that is away, whatever its last word was."""
    load = part(found, "load")
    if not load or found["status"].get("state") == "offline":
        return None
    takes = "takes more" if load["accepts"] else f"takes no more: {load['reason']}"
    if load["fleet"] is None:
        return takes
    is_in = "is in the group" if load["is_joined"] else "has left the group"
    return f"{takes}; it {is_in} of the fleet {load['fleet']}"


def speed(found: Found) -> str | None:
    """Tokens a second, and what one takes."""
    answers = part(found, "telemetry", "inference")
    if not (rate := answers.get("decode_tokens_per_second")):
        return None
    read, joules = answers.get("prefill_tokens_per_second"), answers.get("joules_per_token")
    text = f"an answer grows by {rate:.1f} tokens a second, about {rate * WORDS:.0f} words"
    text += f"; read at {read:.0f}" if read is not None else ""
    return text + (f"; {joules:.2f} joules a token" if joules is not None else "")


def answers(found: Found) -> str | None:
    """What came of the requests since the start."""
    if not (known := part(found, "telemetry", "inference")):
        return None
    counts = part(known, "requests")
    others = ", ".join(f"{count} × {code}" for code, count in sorted(counts.items()) if code != "200")
    return f"{counts.get('200', 0)} given since the start{f'; others: {others}' if others else ''}"


def governor(found: Found) -> str | None:
    """What it does, and why."""
    if not (known := part(found, "telemetry", "governor")):
        return None
    texts = [f"{known['state']}: {known['reason']}" if known.get("reason") else str(known["state"])]
    texts += [f"works {known['duty'] * 100:.0f} % of the time"] if known.get("duty", 1) < 1 else []
    texts += [f"clock held to {gigahertz(known['clock_cap_hertz'])}"] if known.get("clock_cap_hertz") else []
    texts += [f"{known['threads']:d} threads"] if known.get("threads") else []
    texts += [f"memory: {known['memory']}"] if known.get("memory", "enough") != "enough" else []
    forecast, limit = known.get("forecast_celsius"), known.get("limit_celsius")
    if forecast is not None and limit is not None:
        texts.append(f"{forecast:.0f} °C in 30 s, {limit:.0f} are allowed")
    return "; ".join(texts)


def sensors(found: Found) -> str | None:
    """Those that are there and do not tell."""
    reading = part(found, "telemetry")
    texts = [f"{word}: {', '.join(told)}" for word in ("denied", "failed") if (told := part(reading, word))]
    return "; ".join([*texts, "`edge doctor` says why"]) if texts else None


ROWS: dict[str, Row] = {
    "board": board,
    "machine": machine,
    "model": model,
    "bundle": bundle,
    "wire": wire,
    "heat": heat,
    "memory": memory,
    "processor": processor,
    "throttling": throttling,
    "power": power,
    "gpu": gpu,
    "battery": battery,
    "queue": queue,
    "share": share,
    "speed": speed,
    "answers": answers,
    "governor": governor,
    "sensors": sensors,
}
