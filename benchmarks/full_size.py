"""Phi-3.5-mini at its true size: what the export takes, what it makes, and that the daemon answers from it.

An hour or two on two cores: `make export-test`. The weights are random; shape, tokenizer and recipe are real.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from benchmarks import phi_shape
from benchmarks.figure import Figure
from edge.bundle import read_manifest
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.mqtt.client import Client
from export.download import default_cache

RECIPE = "phi-3.5-mini-instruct"
GIB = 2**30
TOOK = re.compile(r"took (\d+) s and (\d+) MiB of memory at the most")


def measure(_bundle: Path) -> list[Figure]:
    """Memory and time by method; bits, bytes and an answer of the default method's bundle."""
    source = phi_shape.write(default_cache() / "phi-3.5-mini-random")
    folder = default_cache() / "full-size"
    quick, default = (exported(source, folder / method, method) for method in ("rtn", "gptq"))
    manifest = read_manifest(folder / "gptq")
    total = sum(entry.size_bytes for entry in manifest.files.values())
    return [
        Figure("phi35_rtn_peak_gib", round(quick[1], 2), "GiB", "<=", 4),
        Figure("phi35_gptq_peak_gib", round(default[1], 2), "GiB", "<=", 6),
        Figure("phi35_rtn_minutes", round(quick[0] / 60, 1), "min", "<", 60),
        Figure("phi35_gptq_minutes", round(default[0] / 60, 1), "min", "<", 240),
        Figure("phi35_bits_per_weight", manifest.quantization.bits_per_weight, "bits", "<=", 4.9),
        Figure("phi35_bundle_gb", round(total / 1e9, 3), "GB", "<=", 2.4),
        Figure("phi35_answered_tokens", asyncio.run(answered(folder / "gptq")), "tokens", ">=", 1),
    ]


def exported(source: Path, target: Path, method: str, recipe: str = RECIPE) -> tuple[float, float]:
    """Seconds and GiB at the peak, as the export itself says; RuntimeError where it fails."""
    command = [sys.executable, "-m", "export", str(source), "-o", str(target), f"--recipe={recipe}"]
    options = [f"--method={method}", "--allow-loss", "--force"]
    done = subprocess.run([*command, *options], stdout=subprocess.PIPE, text=True, check=False)
    found = TOOK.search(done.stdout)
    if done.returncode or found is None:
        raise RuntimeError(f"the export by {method} ended with {done.returncode}")
    print(done.stdout, file=sys.stderr, flush=True)
    return float(found[1]), float(found[2]) * 2**20 / GIB


async def answered(bundle: Path) -> int:
    """Tokens of one answer over MQTT."""
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port) as daemon,
        Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) as client,
    ):
        await wait_until_online(client, daemon)
        async for body in client.ask({"prompt": "What is the capital of France?", "max_tokens": 8}):
            if body["type"] == "reply" and body["code"] == 200:
                return int(body["usage"]["completion_tokens"])
    return 0
