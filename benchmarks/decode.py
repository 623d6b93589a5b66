"""What the way through the daemon and the broker costs in decode speed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks.figure import Figure
from edge.bench import ROUNDS, TOKENS, bench


def measure(bundle: Path) -> list[Figure]:
    """The median ratio of tokens a second, MQTT over the engine called directly, in one run."""
    figures = asyncio.run(bench(bundle, ROUNDS, TOKENS))
    return [Figure("decode_mqtt_over_direct", figures["decode_mqtt_over_direct"], "ratio", ">=", 0.95)]
