"""Telemetry messages of several boards: by hand after the contract, and of the trees in tests/boards."""

from __future__ import annotations

import copy
from typing import Any

from edge.wire.telemetry import Telemetry
from tests import boards

NOT = {"under_voltage": False, "clock_capped": False, "throttled": False, "soft_temperature_limit": False}
OWN: dict[str, Any] = {
    "time": 1795701275.936,
    "late_seconds": 0.0032,
    "inference": {
        "requests": {"200": 3, "429": 1},
        "ratings": {"good": 4, "bad": 1},
        "queue_length": 2,
        "running": 1,
        "prefill_tokens_per_second": 96.4,
        "decode_tokens_per_second": 5.93,
        "joules_per_token": 1.25,
        "answers_expired": 0,
        "answers_given_up": 0,
        "engine_memory_bytes": 3 << 30,
        "engine_restarts": 1,
        "engine_recycled": 0,
        "prefix_hit_ratio": 0.2133,
        "rows_per_run": 1.0,
        "draft_acceptance_ratio": 0.0,
        "looked_crops": 4,
    },
    "governor": {
        "state": "slowed",
        "reason": "80 °C is 30 s away",
        "duty": 0.75,
        "clock_cap_hertz": 1_800_000_000,
        "threads": None,
        "memory": "short only",
        "headroom_celsius": -1.5,
        "forecast_celsius": 79.5,
        "limit_celsius": 78.0,
    },
    "bundle": {
        "name": "phi-3.5-mini-instruct",
        "version": "6",
        "digest": "0" * 64,
        "state": "rolled_back",
        "reason": "it was too slow",
    },
    "absent": ["battery"],
    "denied": {},
    "failed": {},
    "errors": {"thermal": 2},
}
"""What a daemon tells of itself."""

PI: dict[str, Any] = OWN | {
    "board": {"model": "Raspberry Pi 5 Model B Rev 1.0", "kind": "raspberry-pi-5", "uptime_seconds": 8123.5},
    "thermal": {
        "zones_celsius": {"cpu-thermal": 71.3},
        "sensors_celsius": {"rp1_adc temp1": 58.9, "nvme Composite": None, 'odd "one" }}': 40.0},
        "hottest_celsius": 71.3,
        "trips": {"cpu-thermal": [{"type": "critical", "celsius": 110.0}]},
        "fans": {"pwmfan": {"rpm": 4210, "duty_percent": 49.0}},
        "cooling": {"pwm-fan": {"state": 2, "state_max": 4}},
    },
    "memory": {
        "total_bytes": 8442986496,
        "available_bytes": 5368709120,
        "swap_total_bytes": 209715200,
        "swap_used_bytes": 0,
        "zram_used_bytes": None,
        "pressure": {
            "memory": {"some_percent": 0.5, "full_percent": 0.0},
            "cpu": {"some_percent": 12.0, "full_percent": None},
            "io": None,
        },
        "pressure_percent": 0.5,
        "refaulted_files": 1234,
        "cgroup": {"current_bytes": 3 << 30, "high_bytes": None, "max_bytes": None, "events": {"oom_kill": 0}},
    },
    "processes": {
        "daemon": {"pss_bytes": 31457280, "anonymous_bytes": 20971520},
        "engine": None,
        "age_seconds": 12.5,
    },
    "cpu": {
        "used_percent": 66.4,
        "load_1m": 3.9,
        "cores": 2,
        "each": [
            {
                "used_percent": 90.0,
                "clock_hertz": 1_800_000_000,
                "clock_max_hertz": 2_400_000_000,
                "clock_cap_hertz": 1_800_000_000,
            },
            {"used_percent": None, "clock_hertz": None, "clock_max_hertz": None, "clock_cap_hertz": None},
        ],
        "throttle_count": None,
    },
    "throttling": {
        "now": NOT | {"throttled": True},
        "since_start": NOT | {"throttled": True, "under_voltage": None},
        "told_by": "firmware",
    },
    "power": {
        "watts": 6.73,
        "scope": "SoC rails",
        "supply_volts": 5.08,
        "rails": {"VDD_CORE": {"volts": 0.88, "amperes": 3.1, "watts": 2.728}},
        "mode": None,
        "age_seconds": 0.4,
    },
    "disk": {"folders": {"bundle": {"total_bytes": 64 << 30, "free_bytes": 41 << 30}, "journal": None}},
}
JETSON = PI | {
    "board": {"model": "NVIDIA Jetson Orin Nano", "kind": "jetson-orin-nano", "uptime_seconds": None},
    "gpu": {
        "each": {
            "17000000.gpu": {
                "used_percent": 98.2,
                "clock_hertz": 624_750_000,
                "clock_max_hertz": 624_750_000,
                "memory_total_bytes": None,
                "memory_used_bytes": None,
                "celsius": 61.5,
                "watts": None,
            }
        }
    },
    "power": PI["power"] | {"scope": "module", "mode": "MAXN"},
}
PHONE = OWN | {
    "absent": ["power", "gpu"],
    "denied": {"cpu": "/proc/stat: Permission denied"},
    "board": {"model": None, "kind": "phone", "uptime_seconds": 1.0},
    "memory": PI["memory"],
    "battery": {
        "level_percent": 83.0,
        "is_charging": False,
        "status": "discharging",
        "celsius": 31.2,
        "volts": 3.91,
        "amperes": -0.42,
        "age_seconds": 12.0,
    },
}
BARE = OWN | {
    "absent": ["thermal", "throttling", "power", "battery", "gpu"],
    "failed": {"disk": "/srv: Input/output error"},
    "memory": PI["memory"],
    "cpu": PI["cpu"] | {"each": [], "throttle_count": 7},
}
BODIES: dict[str, dict[str, Any]] = {"pi": PI, "jetson": JETSON, "phone": PHONE, "bare": BARE} | {
    f"tree-{name}": copy.deepcopy(OWN) | boards.expected(name) for name in boards.NAMES
}
"""By what they are of."""

for each in (PI, JETSON, PHONE, BARE):
    Telemetry.model_validate(each)  # a message that no board could send would prove nothing
