"""Phi-3.5-vision at its true size: what its export takes, and what it takes to answer about a picture of four crops.

An hour and a half on two cores. The weights are random; shape, tokenizer and recipe are real.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import sys
from pathlib import Path

from benchmarks import phi_shape
from benchmarks.figure import Figure
from benchmarks.full_size import GIB, exported
from edge.board.memory import process_memory
from edge.bundle import read_manifest
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.mqtt.client import Client
from export.download import default_cache
from tests.pictures import PROMPT, encoded, photograph

RECIPE = "phi-3.5-vision-instruct"
CONTEXT = 2048
PARTS = ("VmHWM", "RssAnon", "RssFile")


def measure(_bundle: Path) -> list[Figure]:
    """Peak of the export, and of both processes while a context of 2,048 tokens with a picture is filled."""
    source = phi_shape.write(default_cache() / "phi-3.5-vision-random", phi_shape.VISION)
    bundle = default_cache() / "full-size" / "vision"
    seconds, peak = exported(source, bundle, "gptq", RECIPE)
    return [
        Figure("vision_export_peak_gib", round(peak, 2), "GiB", "<=", 6),
        Figure("vision_export_minutes", round(seconds / 60, 1), "min", "<", 240),
        Figure("vision_picture_kl", read_manifest(bundle).fidelity["picture_kl_mean"], "nats", "<=", 0.05),
        *served(bundle),
    ]


def served(bundle: Path) -> list[Figure]:
    """Of a bundle that is there."""
    held, usage = asyncio.run(asked(bundle))
    total = sum(each["VmHWM"] for each in held.values())
    for name, each in held.items():
        parts = ", ".join(f"{part} {each[part] / GIB:.2f} GiB" for part in PARTS)
        print(f"  {name}: {parts}", file=sys.stderr, flush=True)
    print(f"  {usage}", file=sys.stderr, flush=True)
    tokens = usage["prompt_tokens"] + usage["completion_tokens"]
    return [
        Figure("vision_serving_peak_gib", round(total / GIB, 2), "GiB", "<=", 5),
        Figure("vision_serving_tokens", tokens, "tokens", ">=", CONTEXT),
    ]


async def asked(bundle: Path) -> tuple[dict[str, dict[str, int]], dict[str, int]]:
    """Peak and present memory of daemon and engine, and the tokens of one long answer about a picture."""
    data = base64.b64encode(encoded(photograph(1600, 1200))).decode()
    content = [
        {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
        {"type": "text", "text": PROMPT},
    ]
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, EDGE_ENGINE__PACKS="true") as daemon,
        Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) as client,
    ):
        await wait_until_online(client, daemon)
        usage = {"prompt_tokens": 0, "completion_tokens": 0}
        for seed in itertools.count():  # random weights may end an answer at any token
            turn = {"role": "user", "content": content}
            request = {"messages": [turn], "max_tokens": CONTEXT, "temperature": 1.5, "loop_guard": False}
            async for body in client.ask({**request, "seed": seed}):
                usage = body.get("usage", usage)
            if usage["prompt_tokens"] + usage["completion_tokens"] >= CONTEXT:
                break
        children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
        pids = {"daemon": daemon.pid, "engine": int(children[0])}
        held = {name: process_memory(pid) for name, pid in pids.items()}
    return held, usage
