"""What the way through the daemon and the broker costs in decode speed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure


def measure(bundle: Path) -> list[Figure]:
    """The median ratio of tokens a second, MQTT over the engine called directly, in one run of `edge bench`."""
    command = [
        sys.executable,
        "-m",
        "edge",
        "bench",
        "--bundle",
        str(bundle),
        "--clients",
        "1",
        "--tokens",
        "192",
        "--json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    figures = json.loads(done.stdout[done.stdout.index("{") :])
    return [Figure("decode_mqtt_over_direct", figures["decode_mqtt_over_direct"], "ratio", ">=", 0.97)]
