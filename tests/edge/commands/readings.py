"""What boards say of themselves, for tests: a reading with everything in it, as edge/wire/telemetry.py has it."""

from __future__ import annotations

from typing import Any

from edge.wire.telemetry import Telemetry

QUIET = {"under_voltage": False, "clock_capped": False, "throttled": False, "soft_temperature_limit": False}
CORE = {"used_percent": 60.0, "clock_hertz": 1500000000, "clock_max_hertz": 2400000000, "clock_cap_hertz": 1800000000}
GIB = 1 << 30


def sections() -> dict[str, Any]:
    """Of a Pi 5 in trouble, with a battery and a GPU that none has, so that every line has something to tell."""
    return {
        "board": {"model": "Raspberry Pi 5 Model B Rev 1.0", "kind": "raspberry-pi-5", "uptime_seconds": 3600.0},
        "thermal": {
            "zones_celsius": {"cpu-thermal": 81.2},
            "sensors_celsius": {"rp1_adc temp1": 48.5},
            "hottest_celsius": 81.2,
            "trips": {"cpu-thermal": [{"type": "critical", "celsius": 110.0}]},
            "fans": {"pwmfan": {"rpm": 1518, "duty_percent": 29.4}},
            "cooling": {"pwm-fan": {"state": 1, "state_max": 4}},
        },
        "memory": {
            "total_bytes": 8 * GIB,
            "available_bytes": 6 * GIB,
            "swap_total_bytes": GIB,
            "swap_used_bytes": GIB // 2,
            "zram_used_bytes": None,
            "pressure": {"memory": {"some_percent": 12.0, "full_percent": 0.0}, "cpu": None, "io": None},
            "pressure_percent": 12.0,
            "refaulted_files": 5,
            "cgroup": None,
        },
        "cpu": {"used_percent": 66.4, "load_1m": 1.05, "cores": 1, "each": [CORE], "throttle_count": None},
        "throttling": {
            "now": {**QUIET, "throttled": True},
            "since_start": {**QUIET, "under_voltage": True},
            "told_by": "firmware",
        },
        "power": {"watts": 5.6, "scope": "SoC rails", "supply_volts": 5.07, "rails": {}, "mode": "MAXN"},
        "gpu": {
            "each": {
                "ga10b": {
                    "used_percent": 37.0,
                    "clock_hertz": 624750000,
                    "clock_max_hertz": None,
                    "celsius": None,
                    "memory_total_bytes": None,
                    "memory_used_bytes": None,
                    "watts": None,
                }
            }
        },
        "battery": {
            "level_percent": 80,
            "is_charging": False,
            "status": "discharging",
            "celsius": 30.0,
            "volts": None,
            "amperes": None,
        },
        "disk": {"folders": {"bundle": {"total_bytes": 64 * GIB, "free_bytes": 32 * GIB}, "journal": None}},
    }


def reading(**changed: Any) -> dict[str, Any]:
    """A telemetry body, its sections changed or, by None, taken away; held to the wire's own model."""
    body = {
        "time": 1795701275.936,
        "late_seconds": 0.003,
        **sections(),
        "inference": {
            "requests": {"200": 3, "503": 1},
            "ratings": {"good": 4, "bad": 1},
            "queue_length": 2,
            "running": 3,
            "joules_per_token": 0.26,
            "prefill_tokens_per_second": 964.4,
            "decode_tokens_per_second": 109.8,
            "answers_expired": 0,
            "answers_given_up": 0,
            "engine_memory_bytes": None,
            "engine_restarts": 0,
            "engine_recycled": 0,
        },
        "governor": {
            "state": "slowed",
            "reason": "it would be too hot",
            "duty": 0.7,
            "clock_cap_hertz": 1800000000,
            "threads": 3,
            "memory": "short only",
            "headroom_celsius": -4.0,
            "forecast_celsius": 81.0,
            "limit_celsius": 77.0,
        },
        "bundle": {"name": "smollm2", "version": "6", "digest": "0" * 64, "state": "kept", "reason": ""},
        "absent": [],
        "denied": {"gpu": "sys/class/x: permission denied"},
        "failed": {},
        "errors": {},
        **changed,
    }
    known = {name: value for name, value in body.items() if value is not None}
    Telemetry.model_validate(known)
    return known


def quiet() -> dict[str, Any]:
    """Of a board without sensors that has nothing to do."""
    at_rest = {"state": "free", "reason": "", "duty": 1.0, "clock_cap_hertz": None, "threads": None, "memory": "enough"}
    temperatures = dict.fromkeys(("headroom_celsius", "forecast_celsius", "limit_celsius"))
    return reading(**dict.fromkeys(sections()), governor={**at_rest, **temperatures}, denied={})


INFO = {
    "model": "smollm2",
    "provider": "cpu",
    "context_length": 2048,
    "wire_version": 1,
    "rows": 8,
    "queue_length": 16,
}
