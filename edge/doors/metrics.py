"""A telemetry message as metrics: a row a metric, in base units (prometheus.io/docs/practices/naming).

What is null or missing has no sample; nothing is told as 0 that is not known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

SAMPLES_MAX = 1024
"""Of one metric."""
PERCENT = 0.01

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Metric:
    """One family. path: where its values lie; each `*` is a label, in the order of `labels`.

    states: the words that a text can be; each becomes a label, 1 for the one that it is and 0 for the others.
    is_info: texts at the end of the path, all of them labels of a metric that is always 1.
    """

    name: str
    meaning: str
    path: tuple[str, ...]
    labels: Labels = ()
    kind: Literal["gauge", "counter"] = "gauge"
    scale: float = 1.0
    states: tuple[str, ...] = ()
    is_info: bool = False


def _counter(name: str, meaning: str, *path: str, labels: Labels = ()) -> Metric:
    return Metric(name, meaning, path, labels, "counter")


def _gauge(name: str, meaning: str, *path: str, labels: Labels = (), scale: float = 1.0) -> Metric:
    return Metric(name, meaning, path, labels, scale=scale)


def _pressure(what: str, words: str) -> Metric:
    return Metric(
        f"edge_pressure_{what}_ratio",
        f"Share of the last ten seconds in which {words} waited",
        ("memory", "pressure", "*", f"{what}_percent"),
        ("resource",),
        scale=PERCENT,
    )


ROWS: tuple[Metric, ...] = (
    _gauge("edge_telemetry_timestamp_seconds", "When this was read, since 1970", "time"),
    _gauge("edge_telemetry_late_seconds", "How late the reading was", "late_seconds"),
    Metric("edge_board_info", "Which board this is", ("board",), ("model", "kind"), is_info=True),
    Metric(
        "edge_bundle_info",
        "Which bundle answers, and what becomes of another",
        ("bundle",),
        ("name", "version", "digest", "state"),
        is_info=True,
    ),
    _gauge("edge_uptime_seconds", "Since the kernel began", "board", "uptime_seconds"),
    _gauge("edge_temperature_celsius", "Of a thermal zone", "thermal", "zones_celsius", "*", labels=("zone",)),
    _gauge("edge_sensor_celsius", "Of a sensor of hwmon", "thermal", "sensors_celsius", "*", labels=("sensor",)),
    _gauge("edge_temperature_hottest_celsius", "Of the hottest zone", "thermal", "hottest_celsius"),
    _gauge("edge_fan_rpm", "Turns a minute", "thermal", "fans", "*", "rpm", labels=("fan",)),
    _gauge(
        "edge_fan_duty_ratio", "Of full power", "thermal", "fans", "*", "duty_percent", labels=("fan",), scale=PERCENT
    ),
    _gauge("edge_cooling_state", "Step of a cooling device", "thermal", "cooling", "*", "state", labels=("device",)),
    _gauge("edge_cooling_state_max", "Its last step", "thermal", "cooling", "*", "state_max", labels=("device",)),
    _gauge("edge_memory_size_bytes", "What there is", "memory", "total_bytes"),
    _gauge("edge_memory_available_bytes", "To be had without swapping", "memory", "available_bytes"),
    _gauge("edge_swap_size_bytes", "What there is", "memory", "swap_total_bytes"),
    _gauge("edge_swap_used_bytes", "In use", "memory", "swap_used_bytes"),
    _gauge("edge_zram_used_bytes", "Memory that compressed swap takes", "memory", "zram_used_bytes"),
    _pressure("some", "something"),
    _pressure("full", "everything"),
    _counter("edge_file_refaults_total", "Pages of files read again", "memory", "refaulted_files"),
    _gauge("edge_process_pss_bytes", "Share of what it maps", "processes", "*", "pss_bytes", labels=("process",)),
    _gauge(
        "edge_process_anonymous_bytes",
        "What it alone holds, files apart",
        *("processes", "*", "anonymous_bytes"),
        labels=("process",),
    ),
    _gauge("edge_cgroup_memory_bytes", "What the unit holds", "memory", "cgroup", "current_bytes"),
    _gauge("edge_cgroup_memory_high_bytes", "Where it is slowed down", "memory", "cgroup", "high_bytes"),
    _gauge("edge_cgroup_memory_max_bytes", "Where it is killed", "memory", "cgroup", "max_bytes"),
    _counter("edge_cgroup_events_total", "Of its memory", "memory", "cgroup", "events", "*", labels=("event",)),
    _gauge("edge_cpu_used_ratio", "Of all cores' time", "cpu", "used_percent", scale=PERCENT),
    _gauge("edge_load1", "Processes that run or wait, over a minute", "cpu", "load_1m"),
    _gauge("edge_core_used_ratio", "Of its time", "cpu", "each", "*", "used_percent", labels=("core",), scale=PERCENT),
    _gauge("edge_core_frequency_hertz", "As asked for", "cpu", "each", "*", "clock_hertz", labels=("core",)),
    _gauge("edge_core_frequency_max_hertz", "Of the hardware", "cpu", "each", "*", "clock_max_hertz", labels=("core",)),
    _gauge("edge_core_frequency_cap_hertz", "Allowed now", "cpu", "each", "*", "clock_cap_hertz", labels=("core",)),
    _counter("edge_core_throttles_total", "How often the hardware slowed a core down", "cpu", "throttle_count"),
    _gauge("edge_throttling", "What slows the board down now", "throttling", "now", "*", labels=("reason",)),
    _gauge(
        "edge_throttling_since_start",
        "What did, since the daemon began",
        "throttling",
        "since_start",
        "*",
        labels=("reason",),
    ),
    Metric(
        "edge_power_info", "What edge_power_watts counts, and the mode", ("power",), ("scope", "mode"), is_info=True
    ),
    _gauge("edge_power_watts", "What the board takes, within the scope of edge_power_info", "power", "watts"),
    _gauge("edge_supply_volts", "That come in", "power", "supply_volts"),
    _gauge("edge_rail_volts", "Of a supply line", "power", "rails", "*", "volts", labels=("rail",)),
    _gauge("edge_rail_amperes", "Of a supply line", "power", "rails", "*", "amperes", labels=("rail",)),
    _gauge("edge_rail_watts", "Of a supply line", "power", "rails", "*", "watts", labels=("rail",)),
    _gauge("edge_gpu_used_ratio", "Of its time", "gpu", "each", "*", "used_percent", labels=("gpu",), scale=PERCENT),
    _gauge("edge_gpu_frequency_hertz", "Now", "gpu", "each", "*", "clock_hertz", labels=("gpu",)),
    _gauge("edge_gpu_frequency_max_hertz", "Of the hardware", "gpu", "each", "*", "clock_max_hertz", labels=("gpu",)),
    _gauge("edge_gpu_memory_size_bytes", "What there is", "gpu", "each", "*", "memory_total_bytes", labels=("gpu",)),
    _gauge("edge_gpu_memory_used_bytes", "In use", "gpu", "each", "*", "memory_used_bytes", labels=("gpu",)),
    _gauge("edge_gpu_celsius", "Its temperature", "gpu", "each", "*", "celsius", labels=("gpu",)),
    _gauge("edge_gpu_watts", "What it takes", "gpu", "each", "*", "watts", labels=("gpu",)),
    _gauge("edge_battery_charge_ratio", "Of a full one", "battery", "level_percent", scale=PERCENT),
    _gauge("edge_battery_charging", "Whether it charges", "battery", "is_charging"),
    _gauge("edge_battery_celsius", "Its temperature", "battery", "celsius"),
    _gauge("edge_battery_volts", "Its voltage", "battery", "volts"),
    _gauge("edge_battery_amperes", "Negative while it discharges", "battery", "amperes"),
    _gauge("edge_disk_size_bytes", "Of the folder's disk", "disk", "folders", "*", "total_bytes", labels=("folder",)),
    _gauge("edge_disk_free_bytes", "Of the folder's disk", "disk", "folders", "*", "free_bytes", labels=("folder",)),
    _counter("edge_requests_total", "That ended, by code", "inference", "requests", "*", labels=("code",)),
    _gauge(
        "edge_ratings",
        "Of answers, by those who asked",
        "inference",
        "ratings",
        "*",
        labels=("rating",),
    ),
    _gauge("edge_requests_waiting", "In the queue", "inference", "queue_length"),
    _gauge("edge_requests_running", "Being answered", "inference", "running"),
    _gauge("edge_prefill_tokens_per_second", "Of the last answers", "inference", "prefill_tokens_per_second"),
    _gauge("edge_decode_tokens_per_second", "Of the last answers", "inference", "decode_tokens_per_second"),
    _gauge("edge_joules_per_token", "Of the last answers, net of idle", "inference", "joules_per_token"),
    _counter("edge_answers_expired_total", "That no broker took in time", "inference", "answers_expired"),
    _counter("edge_answers_given_up_total", "That ended connections", "inference", "answers_given_up"),
    _gauge("edge_engine_memory_bytes", "Resident", "inference", "engine_memory_bytes"),
    _counter("edge_engine_restarts_total", "After it had died", "inference", "engine_restarts"),
    _counter("edge_engine_recycled_total", "Since it had grown", "inference", "engine_recycled"),
    _counter(
        "edge_upstream_requests_total",
        "Passed to another server, by reason",
        "inference",
        "upstream",
        "requests",
        "*",
        labels=("reason",),
    ),
    _counter("edge_upstream_failed_total", "Of these", "inference", "upstream", "failed"),
    _counter("edge_upstream_sent_bytes_total", "Of requests", "inference", "upstream", "sent_bytes"),
    _counter("edge_upstream_received_bytes_total", "Of answers", "inference", "upstream", "received_bytes"),
    _gauge("edge_prefix_hit_ratio", "Prompt tokens that were known", "inference", "prefix_hit_ratio"),
    _gauge("edge_rows_per_run", "Answers that grew together", "inference", "rows_per_run"),
    _gauge("edge_draft_acceptance_ratio", "Guessed tokens that were right", "inference", "draft_acceptance_ratio"),
    _counter("edge_looked_crops_total", "Of pictures, by this engine", "inference", "looked_crops"),
    Metric(
        "edge_governor_state",
        "What the governor does",
        ("governor", "state"),
        ("state",),
        states=("off", "free", "slowed", "blind"),
    ),
    Metric(
        "edge_governor_memory",
        "What it asks of memory",
        ("governor", "memory"),
        ("rung",),
        states=("enough", "give back", "short only", "refuse", "unload"),
    ),
    _gauge("edge_governor_duty_ratio", "Share of the time that the engine works", "governor", "duty"),
    _gauge("edge_governor_frequency_cap_hertz", "That it has set", "governor", "clock_cap_hertz"),
    _gauge("edge_governor_threads", "That it has set", "governor", "threads"),
    _gauge("edge_governor_headroom_celsius", "Forecast below the limit", "governor", "headroom_celsius"),
    _gauge("edge_governor_forecast_celsius", "In 30 s", "governor", "forecast_celsius"),
    _gauge("edge_governor_limit_celsius", "That is to be kept", "governor", "limit_celsius"),
    _counter("edge_source_errors_total", "How often a source failed", "errors", "*", labels=("source",)),
    _gauge(
        "edge_reading_age_seconds", "Of a source that is read at its own tempo", "*", "age_seconds", labels=("source",)
    ),
)

Sample = tuple[Labels, float]


def samples(metric: Metric, body: Mapping[str, Any]) -> list[Sample]:
    """The values that a message has for a metric, with their labels."""
    found = [each for labels, value in _leaves(body, metric.path, ()) for each in _told(metric, labels, value)]
    return found[:SAMPLES_MAX]


def _leaves(value: Any, path: tuple[str, ...], labels: Labels) -> Iterator[tuple[Labels, Any]]:
    """What lies at the end of a path, by the names that its stars stand for."""
    if not path:
        yield labels, value
        return
    step, *rest = path
    within = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(within, Mapping):
        return
    for name, each in within.items() if step == "*" else [(step, within.get(step))]:
        yield from _leaves(each, tuple(rest), (*labels, _text(name)) if step == "*" else labels)


def _text(value: Any) -> str:
    """A label's value; UTF-8 has no place for half a character, which a kernel's name may end with."""
    return str(value).encode(errors="replace").decode()


def _told(metric: Metric, labels: Labels, value: Any) -> Iterator[Sample]:
    """A leaf as samples: none where it is not known."""
    if metric.is_info and isinstance(value, Mapping):
        yield tuple(_text(value.get(name) or "") for name in metric.labels), 1.0
    elif metric.states and isinstance(value, str):
        yield from (((state,), float(state == value)) for state in metric.states)
    elif isinstance(value, int | float) and not metric.states:
        yield labels, round(float(value) * metric.scale, 12)
