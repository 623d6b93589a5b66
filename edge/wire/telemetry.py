"""What a board tells of itself, as JSON: every field with its unit and its range; null is "not known", never 0.

`edge schema telemetry` prints it. The daemon does not import this: the tests hold its messages to it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from edge.wire.reported import State

Percent = Annotated[float, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Celsius = Annotated[float, Field(gt=-40, lt=150)]


class Told(BaseModel):
    """One object of the message. age_seconds: of a source that is read at a tempo of its own."""

    model_config = ConfigDict(extra="forbid")

    age_seconds: float | None = Field(default=None, ge=0, description="how old the reading is; there with slow sources")


class Board(Told):
    """Which board this is."""

    model: str | None = Field(description="the device tree's or the firmware's name of it")
    kind: str | None = Field(description="what it is to us, such as raspberry-pi-5; null for one that we do not know")
    uptime_seconds: float | None = Field(ge=0, description="since the kernel began")


class Trip(BaseModel):
    """A temperature at which the kernel does something (Documentation/driver-api/thermal/sysfs-api.rst)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="active, passive, hot or critical")
    celsius: Celsius


class Fan(BaseModel):
    """A fan. rpm 0 with a duty above 0 may be a sensor that sees nothing."""

    model_config = ConfigDict(extra="forbid")

    rpm: Count | None = Field(description="turns a minute")
    duty_percent: Percent | None = Field(description="of full power")


class Cooling(BaseModel):
    """Something that cools: a fan's step, or a clock that is lowered."""

    model_config = ConfigDict(extra="forbid")

    state: Count | None
    state_max: Count | None


class Thermal(Told):
    """Temperatures."""

    zones_celsius: dict[str, Celsius | None] = Field(description="of the kernel's thermal zones, by their types")
    sensors_celsius: dict[str, Celsius | None] = Field(description="of hwmon's sensors, by `chip label`")
    hottest_celsius: Celsius | None = Field(description="of the zones; of the sensors where no zone tells")
    trips: dict[str, list[Trip]] = Field(description="by the zones' types")
    fans: dict[str, Fan] = Field(description="by their chips, numbered where one has several")
    cooling: dict[str, Cooling] = Field(description="by their types; of several of one type the second is `type-2`")


class Pressure(BaseModel):
    """Percent of the last ten seconds in which something waited (some), or all (full) (accounting/psi.rst)."""

    model_config = ConfigDict(extra="forbid")

    some_percent: Percent | None
    full_percent: Percent | None


class Process(BaseModel):
    """What one process holds."""

    model_config = ConfigDict(extra="forbid")

    pss_bytes: Count | None = Field(description="its share of what it maps (proc_pid_smaps(5))")
    anonymous_bytes: Count | None = Field(description="what it alone holds, files apart")


class Cgroup(BaseModel):
    """The unit's own memory (admin-guide/cgroup-v2.rst); limits are null where there is none."""

    model_config = ConfigDict(extra="forbid")

    current_bytes: Count | None
    high_bytes: Count | None
    max_bytes: Count | None
    events: dict[str, Count] = Field(description="low, high, max, oom, oom_kill: how often, since the unit began")


class Memory(Told):
    """What is free, and how much the board waits for it."""

    total_bytes: Count | None
    available_bytes: Count | None = Field(description="to be had without swapping")
    swap_total_bytes: Count | None
    swap_used_bytes: Count | None
    zram_used_bytes: Count | None = Field(description="memory that compressed swap takes; null where there is none")
    pressure: dict[Literal["memory", "cpu", "io"], Pressure | None]
    pressure_percent: Percent | None = Field(description="as pressure.memory.some_percent")
    refaulted_files: Count | None = Field(description="pages of files read again since the kernel began")
    cgroup: Cgroup | None


class Processes(Told):
    """What daemon and engine hold, once a minute: the kernel walks all their pages for it."""

    daemon: Process | None = None
    engine: Process | None = None


class Core(BaseModel):
    """One core; all is null of one that is off."""

    model_config = ConfigDict(extra="forbid")

    used_percent: Percent | None
    clock_hertz: Count | None = Field(description="as asked for; a Pi's firmware may give less")
    clock_max_hertz: Count | None = Field(description="that the hardware has")
    clock_cap_hertz: Count | None = Field(description="that it may have now (scaling_max_freq)")


class Cpu(Told):
    """How busy the processor is."""

    used_percent: Percent | None = Field(description="of all cores' time since the reading before")
    load_1m: float | None = Field(ge=0, description="processes that ran or waited for the disk, over a minute")
    cores: int | None = Field(ge=1, description="that there are, on or off")
    each: list[Core] = Field(description="in the order of their numbers")
    throttle_count: Count | None = Field(description="how often the hardware slowed a core down, since the start (x86)")


class Flags(BaseModel):
    """What slows a board down; null is not known."""

    model_config = ConfigDict(extra="forbid")

    under_voltage: bool | None
    clock_capped: bool | None
    throttled: bool | None
    soft_temperature_limit: bool | None


class Throttling(Told):
    """Whether the board slows itself down now, and whether it did since the daemon began."""

    now: Flags
    since_start: Flags
    told_by: str = Field(description="firmware, cooling, or counters")


class Rail(BaseModel):
    """One supply line."""

    model_config = ConfigDict(extra="forbid")

    volts: float | None
    amperes: float | None
    watts: float | None


class Power(Told):
    """What the board takes."""

    watts: float | None = Field(ge=0, description="within `scope`; never a sum of lines that lie within each other")
    scope: str | None = Field(description="of what: `SoC rails`, `module`, `package` or `whole device`")
    supply_volts: float | None = Field(description="that comes in")
    rails: dict[str, Rail]
    mode: str | None = Field(description="the power mode that is set, as a Jetson's MAXN")


class Gpu(BaseModel):
    """A GPU, or an NPU."""

    model_config = ConfigDict(extra="forbid")

    used_percent: Percent | None
    clock_hertz: Count | None
    clock_max_hertz: Count | None
    memory_total_bytes: Count | None
    memory_used_bytes: Count | None
    celsius: Celsius | None
    watts: float | None


class Gpus(Told):
    """All of them, by name."""

    each: dict[str, Gpu]


class Battery(Told):
    """A phone's, a laptop's, or an UPS's."""

    level_percent: Percent | None
    is_charging: bool | None
    status: str | None = Field(description="charging, discharging, full or not charging")
    celsius: Celsius | None
    volts: float | None
    amperes: float | None = Field(description="negative while it discharges; null until its sign is known")


class Disk(BaseModel):
    """The disk that a folder lies on."""

    model_config = ConfigDict(extra="forbid")

    total_bytes: Count
    free_bytes: Count


class Disks(Told):
    """Where the bundle and the journal lie."""

    folders: dict[Literal["bundle", "journal"], Disk | None]


class Ratings(BaseModel):
    """What askers thought of answers."""

    model_config = ConfigDict(extra="forbid")

    good: Count
    bad: Count


class Passed(BaseModel):
    """What another server was asked for in the board's place, since the daemon was started."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="what the operator calls it")
    requests: dict[str, Count] = Field(description="by why they were passed")
    failed: Count = Field(description="of these")
    sent_bytes: Count = Field(description="of requests, without what the transport adds")
    received_bytes: Count = Field(description="of answers, likewise")


class Inference(BaseModel):
    """What the daemon does and has done since it was started; counters of the engine since its own start."""

    model_config = ConfigDict(extra="forbid")

    requests: dict[str, Count] = Field(description="that ended, by code")
    ratings: Ratings = Field(description="of answers, by those who asked")
    queue_length: Count = Field(description="that wait")
    running: Count = Field(description="that are being answered")
    prefill_tokens_per_second: float | None = Field(description="of the last sixteen answers")
    decode_tokens_per_second: float | None = Field(description="of the last sixteen answers")
    joules_per_token: float | None = Field(description="of the last answers whose energy is known, net of idle")
    answers_expired: Count
    answers_given_up: Count
    engine_memory_bytes: Count | None
    engine_restarts: Count
    engine_recycled: Count
    prefix_hit_ratio: float | None = None
    rows_per_run: float | None = None
    draft_acceptance_ratio: float | None = None
    looked_crops: Count | None = None
    upstream: Passed | None = Field(default=None, description="where there is one")


class Governor(BaseModel):
    """What the board's governor does, and why."""

    model_config = ConfigDict(extra="forbid")

    state: Literal["off", "free", "slowed", "blind"] = Field(
        description="free: it does nothing; blind: its inputs fail, so that it does nothing"
    )
    reason: str = Field(description="in words; empty where it does nothing")
    duty: float = Field(gt=0, le=1, description="share of the time that the engine works")
    clock_cap_hertz: Count | None = Field(description="that it has set; null where it has not")
    threads: Count | None = Field(description="that it has set; null where it has not")
    memory: Literal["enough", "give back", "short only", "refuse", "unload"]
    headroom_celsius: float | None = Field(description="what the forecast leaves below the limit")
    forecast_celsius: float | None = Field(description="in 30 s, if things go on as they do")
    limit_celsius: float | None = Field(description="that is to be kept, its margin taken off")


class Bundle(BaseModel):
    """Which bundle answers, and what becomes of another."""

    model_config = ConfigDict(extra="forbid")

    name: str
    version: str
    digest: str | None = Field(description="sha256 of its manifest.json, in hex")
    state: State = Field(description="as in `reported`")
    reason: str = Field(description="in words; empty where there is nothing to say")


class Model(BaseModel):
    """How a bundle stands that requests may name beside the one in use."""

    model_config = ConfigDict(extra="forbid")

    is_loaded: bool
    running: Count = Field(description="requests that it answers, or that wait for it to be loaded")
    memory_bytes: Count | None = Field(description="of its process")
    seconds_left: float | None = Field(ge=0, description="until it is let go; null where it is kept, or not loaded")


class Telemetry(BaseModel):
    """`edge/<device>/telemetry`."""

    model_config = ConfigDict(extra="forbid")

    time: float = Field(description="seconds since 1970")
    late_seconds: float = Field(ge=0, description="after its time")
    board: Board | None = None
    thermal: Thermal | None = None
    memory: Memory | None = None
    processes: Processes | None = None
    cpu: Cpu | None = None
    throttling: Throttling | None = None
    power: Power | None = None
    gpu: Gpus | None = None
    battery: Battery | None = None
    disk: Disks | None = None
    inference: Inference
    governor: Governor
    bundle: Bundle
    models: dict[str, Model] = Field(default={}, description="by name, those beside the one in use")
    absent: list[str] = Field(description="sources that this board does not have")
    denied: dict[str, str] = Field(description="what may not be read, by source")
    failed: dict[str, str] = Field(description="what could not be read, by source")
    errors: dict[str, Count] = Field(description="how often a source failed since the start")
