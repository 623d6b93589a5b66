"""The first token of a long prompt whose time of day has changed: in memory, and after the power was cut.

The prompt is made as Home Assistant makes Assist's: the sentence with the time, instructions, an overview of areas and
devices, and tools beside it. Assist's reaches 13,000 tokens; this one fills the model's own 8,192, for which a bundle
with longer rotary tables is made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx

from benchmarks.figure import Figure
from edge.bundle import read_manifest
from edge.commands.demo import DEVICE, broker_process, daemon_process, wait_until_online
from edge.config import Broker
from edge.engine.cache.whose import FILE_SUFFIX
from edge.engine.genai.tokenizer import Tokenizer
from edge.mqtt.client import Client
from edge.wire.chat import validated
from export.sentences.adding import entry

CONTEXT, PROMPT_TOKENS = 8192, 8000
THETA = 100_000
"""SmolLM2's rotary base, with which it was trained for 8,192 positions."""
ROUNDS = 3
WRITING_SECONDS = 5
"""After the second answer the power is cut."""
ROOMS = ("Hall", "Kitchen", "Bedroom", "Office", "Garage", "Bathroom", "Attic", "Garden", "Cellar", "Nursery")
THINGS = (
    ("Ceiling Light", "light"),
    ("Blinds", "cover"),
    ("Thermostat", "climate"),
    ("Door", "lock"),
    ("Speaker", "media_player"),
    ("Humidity", "sensor"),
    ("Fan", "fan"),
    ("Socket", "switch"),
)
INTENTS = (
    "TurnOn",
    "TurnOff",
    "SetPosition",
    "LightSet",
    "ClimateSetTemperature",
    "MediaPause",
    "VacuumStart",
    "ListAddItem",
)
QUESTIONS = ("Turn on the lamp in the hall.", "Is the garage locked?", "Close the blinds in the office.")


class First(NamedTuple):
    """Until an answer's first token."""

    seconds: float
    prompt_tokens: int
    cached_tokens: int


def measure(bundle: Path) -> list[Figure]:
    """Over MQTT, as the asker sees it: medians of warm over cold."""
    with tempfile.TemporaryDirectory() as folder:
        longer = lengthened(bundle, Path(folder) / "bundle", CONTEXT)
        rounds = asyncio.run(measured(longer, prompt_of(longer), Path(folder)))
    return [
        Figure("assist_prompt_tokens", min(each.tokens for each in rounds), "tokens", ">=", 7900),
        Figure("assist_prompt_in_memory_over_cold", median(each.memory for each in rounds), "ratio", "<=", 0.15),
        Figure("assist_prompt_after_power_cut_over_cold", median(each.disk for each in rounds), "ratio", "<=", 0.15),
        Figure("assist_prompt_written_mb", max(each.written_mb for each in rounds), "MB", "<=", 100),
    ]


def median(values: Iterator[float]) -> float:
    """With four digits."""
    return round(statistics.median(values), 4)


# --- the bundle and the prompt ---


def lengthened(bundle: Path, folder: Path, context: int) -> Path:
    """A copy of the default model's bundle for a longer context. RuntimeError where it is another model's."""
    shutil.copytree(bundle, folder)
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    angles = np.outer(np.arange(context), THETA ** -(np.arange(0, 64, 2) / 64))
    tables = {"cos_cache": np.cos(angles).astype(np.float32), "sin_cache": np.sin(angles).astype(np.float32)}
    for tensor in model.graph.initializer:
        if (longer := tables.get(tensor.name)) is not None:
            place = {each.key: each.value for each in tensor.external_data}
            known = np.fromfile(
                folder / place["location"], np.float32, int(np.prod(tensor.dims)), offset=int(place["offset"])
            )
            if not np.array_equal(known.reshape(tuple(tensor.dims)), longer[: tensor.dims[0]]):
                raise RuntimeError(f"{bundle} is not of SmolLM2, whose rotary base is {THETA}")
            tensor.CopyFrom(onnx.numpy_helper.from_array(longer, tensor.name))
    onnx.save(model, folder / "model.onnx")
    genai = json.loads((folder / "genai_config.json").read_text())
    genai["model"]["context_length"] = genai["search"]["max_length"] = context
    (folder / "genai_config.json").write_text(json.dumps(genai))
    manifest = json.loads((folder / "manifest.json").read_text())
    changed = {name: entry(folder / name).model_dump() for name in ("model.onnx", "genai_config.json")}
    manifest |= {"context_length": context, "files": {**manifest["files"], **changed}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def prompt_of(bundle: Path) -> list[str]:
    """The lines behind the time: as many devices as the context has room for."""
    tokenizer = Tokenizer(bundle, read_manifest(bundle))
    lines = [
        "You are a voice assistant for Home Assistant.",
        "Answer in plain text, simply and to the point.",
        "Call the intent tools to control a home, by name and domain, or by area and domain.",
        "This device is not able to start timers.",
        "The overview below says which devices there are; call GetLiveContext for what they are doing now.",
        "Static Context: An overview of the areas and the devices in this smart home:",
    ]
    spare = PROMPT_TOKENS - len(tokenizer.encode(validated(request("00:00:00", lines, QUESTIONS[0])).conversation()))
    for device in devices():
        spare -= tokenizer.count(device) + 1
        if spare < 0:
            return lines
        lines.append(device)
    raise RuntimeError("there are not devices enough")


def devices() -> Iterator[str]:
    """Each as the overview has it."""
    for number in range(1, 100):
        for room in ROOMS:
            for thing, domain in THINGS:
                yield f"- names: {room} {thing} {number}\n  domain: {domain}\n  areas: {room}"


def tool(name: str) -> dict[str, Any]:
    """An intent as a function."""
    names = {each: {"type": "string"} for each in ("name", "area", "floor")}
    lists = {each: {"type": "array", "items": {"type": "string"}} for each in ("domain", "device_class")}
    parameters = {"type": "object", "properties": {**names, **lists}, "additionalProperties": False}
    return {"type": "function", "function": {"name": f"Hass{name}", "description": name, "parameters": parameters}}


def request(time_of_day: str, lines: list[str], question: str) -> dict[str, Any]:
    """What Assist asks at that time."""
    system = "\n".join([f"Current time is {time_of_day}. Today's date is 2026-11-28.", *lines])
    turns = [{"role": "system", "content": system}, {"role": "user", "content": question}]
    return {"messages": turns, "tools": [tool(each) for each in INTENTS], "max_tokens": 2, "temperature": 0}


# --- rounds ---


class Round(NamedTuple):
    """Warm over cold, tokens of the prompt, and what was written to the disk for five askings."""

    memory: float
    disk: float
    tokens: int
    written_mb: float


async def measured(bundle: Path, lines: list[str], folder: Path) -> list[Round]:
    """Each round with a new cache; what is cold is measured before what is warm, and by turns behind it."""
    rounds = []
    async with broker_process() as (port, _):
        for number in range(ROUNDS):
            home = [f"- names: House {number}", *lines]  # no round's prompt begins like another's
            kept = {
                "EDGE_ENGINE__CACHE_FOLDER": str(folder / f"cache-{number}"),
                "EDGE_ENGINE__PREFIX_DISK_BYTES": str(1 << 30),
            }
            async with daemon_process(bundle, port, **kept) as daemon:
                cold, memory = await asked(port, daemon, home, "07:00:00", "07:01:30")
                await asyncio.sleep(WRITING_SECONDS)
                cut_power(daemon)
            async with daemon_process(bundle, port, **kept) as daemon:
                disk, *_ = await asked(port, daemon, home, "19:45:10", "19:45:40", "19:46:10")
            written = sum(path.stat().st_size for path in folder.rglob(f"cache-{number}/**/*{FILE_SUFFIX}"))
            if number % 2:
                async with daemon_process(bundle, port) as daemon:
                    (cold,) = await asked(port, daemon, home, "08:00:00")
            line = f"  cold {cold.seconds:.2f} s, in memory {memory.seconds:.3f}, after a power cut {disk.seconds:.3f}"
            print(f"{line}; {disk.cached_tokens} of {disk.prompt_tokens} tokens known", file=sys.stderr, flush=True)
            ratios = memory.seconds / cold.seconds, disk.seconds / cold.seconds
            rounds.append(Round(*ratios, cold.prompt_tokens, round(written / 1e6, 1)))
    return rounds


async def asked(port: int, daemon: asyncio.subprocess.Process, lines: list[str], *times: str) -> list[First]:
    """The same home at several times of day, another question each."""
    found = []
    async with Client(Broker(port=port, username="assist"), DEVICE, (f"edge/{DEVICE}/status",)) as client:
        await wait_until_online(client, daemon)
        for number, time_of_day in enumerate(times):
            fields = request(time_of_day, lines, QUESTIONS[number])
            bodies = [body async for body in client.ask(fields)]
            if bodies[-1]["code"] != 200:
                raise RuntimeError(f"the board answered {bodies[-1]}")
            timings, usage = bodies[-1]["timings"], bodies[-1]["usage"]
            seconds = timings["queue_seconds"] + timings["prefill_seconds"]
            found.append(First(seconds, usage["prompt_tokens"], usage["cached_tokens"]))
    return found


def cut_power(daemon: asyncio.subprocess.Process) -> None:
    """The daemon and its engine end at once, and neither writes another byte."""
    children = Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split()
    for process in (*map(int, children), daemon.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
