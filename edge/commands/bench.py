"""`edge bench`: how fast a model is, and what it takes.

With a bundle: on this machine, straight at the engine and through MQTT. Without: a board that is serving, from here.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import random
import statistics
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edge.board.mailbox import Mailbox, by_ioctl
from edge.board.wattmeter import Wattmeter, fast_meters
from edge.bundle import open_bundle
from edge.commands import bench_energy, bench_memory
from edge.commands.boards import READY, boards, unknown
from edge.commands.connection import add_connection, connected_settings, how_many
from edge.commands.demo import ANSWER_SECONDS, DEVICE, broker_process, daemon_process, wait_until_online
from edge.commands.logs import visible
from edge.commands.running import run
from edge.commands.streams import progress
from edge.config import Broker, Settings
from edge.engine import Finished, Job, Options, TextEngine, budget
from edge.engine.opening import open_engine
from edge.errors import BrokerError, EdgeError, ProtocolError
from edge.mqtt.client import UNREADABLE, Client, json_object
from edge.wire.topics import Topics

ROUNDS = 5
TOKENS = 96
BOARD_SECONDS = 10
AS_DIRECTLY = {"temperature": 0, "repetition_penalty": 1, "loop_guard": False}
"""What a job straight at the engine has, whatever the bundle's own sampling is."""
CLIENTS = (1, 2, 4, 8, 16)
WORDS = ("lamp", "tower", "stairs", "keeper", "storm", "harbour", "ship", "island", "whale", "tide", "rock", "fog")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle or board, how often, how much."""
    parser.add_argument("--bundle", type=Path, metavar="DIR", help="measure this bundle on this machine, not a board")
    parser.add_argument("--rounds", type=how_many, default=ROUNDS, help=f"medians are taken over (default: {ROUNDS})")
    parser.add_argument("--tokens", type=how_many, default=TOKENS, help=f"length of an answer (default: {TOKENS})")
    parser.add_argument(
        "--clients", type=how_many, nargs="+", default=CLIENTS, metavar="N", help="how many ask at once"
    )
    parser.add_argument("--memory", action="store_true", help="show the memory budget beside what is taken")
    parser.add_argument(
        "--energy", action="store_true", help="what fewer threads cost and save, kept for the board's governor"
    )
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    add_connection(parser, "measure, where no bundle is named")


def main(options: argparse.Namespace) -> int:
    """Measure and print."""
    if options.bundle and (options.broker or options.device):
        options.parser.error("--bundle measures here, --broker and --device a board: name one of them")
    if options.memory:
        return bench_memory.main(options)
    if options.energy:
        return bench_energy.main(options)
    figures = run(bench(options) if options.bundle else bench_board(connected_settings(options), options))
    print(json.dumps(figures, indent=2) if options.json else table(figures))
    return 0


def machine(bundle: Path) -> dict[str, Any]:
    """What the figures were taken on and with."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    packages = ("onnxruntime", "onnxruntime-genai", "numpy")
    cpu, cores, digest = (
        names[0] if names else platform.machine(),
        budget.threads(0),
        open_bundle(bundle, verify_hashes=False).digest,
    )
    return {
        "measured": f"{cpu}, {cores} cores; bundle {digest[:12]}",
        "cpu": cpu,
        "cores": cores,
        "versions": {name: version(name) for name in packages},
        "bundle_digest": digest,
    }


@dataclass(frozen=True)
class Ended:
    """One answer: tokens of it and of its prompt, seconds from asking to its first token and to its end."""

    tokens: int
    prompt_tokens: int
    first_seconds: float
    seconds: float
    prefill_seconds: float


Way = Callable[[Sequence[str]], Awaitable[list[Ended]]]
"""Asks some prompts at once."""
Rates = dict[tuple[str, int], list[dict[str, float]]]
"""By way and number of clients, those of each round."""


async def bench(options: argparse.Namespace) -> dict[str, Any]:
    """A bundle on this machine, both ways."""
    engine = open_engine(options.bundle, Options(prefix_bytes=0))
    with energy_of_run() as joules:
        async with served(options.bundle, max(options.clients)) as clients:
            ways: dict[str, Way] = {
                "direct": lambda prompts: asyncio.to_thread(directly, engine, prompts, options.tokens),
                "mqtt": lambda prompts: through_mqtt(clients, prompts, options.tokens),
            }
            rates = await measured(ways, options.clients, options.rounds)
    return {**machine(options.bundle), **summary(rates), **joules}


async def bench_board(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """A board that serves already; it answers others meanwhile, too."""
    topics, device = Topics(settings.device), settings.device
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(Client(settings.broker, device, (topics.info,)))
        info = await served_by(first, settings)
        counts = let_in(options.clients, info, first.name == settings.broker.username)
        others = [Client(settings.broker, device) for _ in range(max(counts) - 1)]
        clients = [first, *[await stack.enter_async_context(each) for each in others]]
        salt = uuid.uuid4().hex[:8]  # the board may know the beginning of whatever it was asked before
        ways: dict[str, Way] = {"mqtt": lambda prompts: through_mqtt(clients, prompts, options.tokens)}
        if first.state == "unloaded":  # what is measured is not how it loads
            await through_mqtt([first], ["Well?"], 1)
        rates = await measured(ways, counts, options.rounds, salt)
    return {"measured": f"{device}: {info['model']} on {info['provider']}", "info": info, **summary(rates)}


def let_in(counts: Sequence[int], info: Mapping[str, Any], as_one_user: bool) -> list[int]:
    """How many may ask at once: what the board lets wait, of one user less. EdgeError where that is none of them."""
    bound = min(info["queue_length"], info.get("queue_per_client", 8) if as_one_user else info["queue_length"])
    left_out = [count for count in counts if count > bound]
    if left_out:
        whom = "requests of one user" if as_one_user else "requests"
        print(f"left out: {left_out} at once, since the board lets {bound} {whom} wait", file=sys.stderr)
    if len(left_out) == len(counts):
        raise EdgeError(f"name fewer --clients: the board lets {bound} wait")
    return [count for count in counts if count <= bound]


async def served_by(client: Client, settings: Settings) -> dict[str, Any]:
    """A board's `info`, once it answers; BrokerError where it is not there."""
    info = None
    try:
        async with asyncio.timeout(BOARD_SECONDS):
            async for message in client.messages():
                if message.topic == client.topics.info:
                    info = json_object(message.payload)
                if client.state in READY and info is not None:
                    return checked(info)
    except TimeoutError:
        pass
    here = "or measure here: edge bench --bundle DIR"
    if client.state is None:
        why = unknown(settings.device, await boards(settings))
        raise BrokerError(f"the board {client.topics.device!r} is not known: {why}; {here}")
    raise BrokerError(f"the board {client.topics.device!r} is {client.state}; {here}")


def checked(info: dict[str, Any]) -> dict[str, Any]:
    """A board's `info`; ProtocolError where it lacks what is needed of it here."""
    needed = {"model": str, "provider": str, "queue_length": int, "queue_per_client": int}
    for name, kind in needed.items():
        if not isinstance({"queue_per_client": 1, **info}.get(name), kind):
            raise ProtocolError(f"the board's info has no {name} that can be read; `edge status` says more")
    return info


async def measured(ways: Mapping[str, Way], counts: Sequence[int], rounds: int, salt: str = "") -> Rates:
    """Every way with every number of clients, in turns. salt: makes prompts that no run had before."""
    rates: Rates = {}
    for place in range(rounds):
        for count in counts:
            prompts = [f"{salt} {prompt}".strip() for prompt in prompts_of(place, count)]
            for way in sorted(ways, reverse=place % 2 == 1):
                progress(f"round {place + 1} of {rounds}: {count} at once, {way}")
                rates.setdefault((way, count), []).append(rates_of(await ways[way](prompts)))
    progress("")
    return rates


def prompts_of(place: int, count: int) -> list[str]:
    """A round's prompts, of seeded words and lengths."""
    chance = random.Random(f"{place} {count}")  # noqa: S311 - prompts, no secrets
    return [f"Tell a long story of {' '.join(chance.choices(WORDS, k=chance.randint(20, 60)))}." for _ in range(count)]


def rates_of(ended: Sequence[Ended]) -> dict[str, float]:
    """Of answers that were asked for together."""
    whole = max(each.seconds for each in ended)
    one = ended[0]
    return {
        "tokens_per_second": sum(each.tokens for each in ended) / whole,
        "decode_tokens_per_second": (one.tokens - 1) / max(one.seconds - one.first_seconds, 1e-9),
        "prefill_tokens_per_second": one.prompt_tokens / max(one.prefill_seconds, 1e-9),
        "first_token_seconds": statistics.median(each.first_seconds for each in ended),
    }


def directly(engine: TextEngine, prompts: Sequence[str], tokens: int) -> list[Ended]:
    """Without MQTT and without a second process."""
    started = time.monotonic()
    firsts: dict[int, float] = {}
    ends: dict[int, tuple[Finished, float]] = {}
    for number, prompt in enumerate(prompts):
        engine.submit(Job(number, [{"role": "user", "content": prompt}], tokens))
    while not engine.is_idle:
        for event in engine.step():
            if isinstance(event.what, Finished):
                ends[event.job_id] = event.what, time.monotonic() - started
            elif event.what:
                firsts.setdefault(event.job_id, time.monotonic() - started)
    return [
        Ended(end.completion_tokens, end.prompt_tokens, firsts.get(number, seconds), seconds, end.prefill_seconds)
        for number, (end, seconds) in ends.items()
    ]


@contextlib.asynccontextmanager
async def served(bundle: Path, count: int, prefix_bytes: int | None = 0) -> AsyncIterator[list[Client]]:
    """An ungoverned daemon behind the embedded broker, and connected clients. prefix_bytes: None for its own choice."""
    settings = {"EDGE_LIMITS__QUEUE_LENGTH": str(count), "EDGE_GOVERNOR__ENABLED": "false"}
    if prefix_bytes is not None:
        settings["EDGE_ENGINE__PREFIX_BYTES"] = str(prefix_bytes)
    async with (
        broker_process() as (port, _),
        daemon_process(bundle, port, **settings) as daemon,
        contextlib.AsyncExitStack() as stack,
    ):
        made = [Client(Broker(port=port), DEVICE, (f"edge/{DEVICE}/status",)) for _ in range(count)]
        clients = [await stack.enter_async_context(client) for client in made]
        await wait_until_online(clients[0], daemon)
        yield clients


async def through_mqtt(clients: Sequence[Client], prompts: Sequence[str], tokens: int) -> list[Ended]:
    """As many clients as prompts, all at once, each reading its stream. EdgeError where one gets no answer."""
    started = time.monotonic()
    for client in clients:
        client.at_state = ends_where_offline

    async def one(client: Client, prompt: str) -> Ended:
        first = None
        async for body in client.ask({"prompt": prompt, "max_tokens": tokens, **AS_DIRECTLY}):
            seconds = time.monotonic() - started
            if body["type"] == "reply":
                if body["code"] != 200:
                    raise EdgeError(f"the board answers {body['code']}: {body['error']['message']}")
                return ended(body, first or seconds, seconds)
            first = first or (seconds if body["type"] == "delta" else None)
        raise RuntimeError("the answer did not end")

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return list(await asyncio.gather(*map(one, clients[: len(prompts)], prompts)))
    except TimeoutError as error:
        raise EdgeError(f"no answer after {ANSWER_SECONDS} s") from error


def ends_where_offline(state: str) -> None:
    """A board that is gone while it is measured measures nothing."""
    if state == "offline":
        raise BrokerError("the board went offline while it was measured")


def ended(reply: Mapping[str, Any], first_seconds: float, seconds: float) -> Ended:
    """An answer's figures; ProtocolError where its terminal message has none."""
    try:
        usage, prefill = reply["usage"], float(reply["timings"]["prefill_seconds"])
        return Ended(int(usage["completion_tokens"]), int(usage["prompt_tokens"]), first_seconds, seconds, prefill)
    except UNREADABLE as error:
        raise ProtocolError(f"the board's reply has no tokens and times that can be read ({error!r})") from error


def summary(rates: Rates) -> dict[str, Any]:
    """Medians by way and number of clients, and what MQTT costs where both ways were measured."""
    medians = {
        f"{way}_{count}": {name: round(statistics.median(each[name] for each in found), 4) for name in found[0]}
        for (way, count), found in sorted(rates.items())
    }
    one = next((count for way, count in rates if way == "direct"), None)
    if one is None:
        return {"rates": medians}
    pairs = zip(rates["mqtt", one], rates["direct", one], strict=True)
    name = "decode_tokens_per_second"
    ratio = statistics.median(through[name] / straight[name] for through, straight in pairs)
    return {"rates": medians, "decode_mqtt_over_direct": round(ratio, 4)}


@contextlib.contextmanager
def energy_of_run() -> Iterator[dict[str, float]]:
    """A figure `joules` that is there at the end, where the board can tell."""
    figures: dict[str, float] = {}
    wattmeter = Wattmeter(fast_meters(Mailbox(by_ioctl)))
    wattmeter.start()
    wattmeter.settle()
    wattmeter.began(0)
    try:
        yield figures
    finally:
        wattmeter.close()
    if found := wattmeter.ended(0):
        figures["joules"] = round(found.gross_joules, 1)


COLUMNS = {
    "tokens_per_second": "tokens/s in all",
    "decode_tokens_per_second": "decode, one",
    "prefill_tokens_per_second": "prefill, one",
    "first_token_seconds": "first token, s",
}


MEANINGS = """
tokens/s in all   what all answers get together; 4 tokens are about 3 English words
decode, one       how fast one answer grows; people read 5 to 10 a second
prefill, one      how fast a prompt is read before its answer begins
first token, s    how long one waits for the first word; all ask at the same moment\
"""


def table(figures: dict[str, Any]) -> str:
    """For people."""
    lines = [visible(figures["measured"]), "", f"{'':12}" + "".join(f"{name:>18}" for name in COLUMNS.values())]
    for name, found in figures["rates"].items():
        way, count = name.split("_")
        lines.append(f"{way:7}{count:>4} " + "".join(f"{found[column]:18.2f}" for column in COLUMNS))
    lines.append(MEANINGS)
    if (ratio := figures.get("decode_mqtt_over_direct")) is not None:
        lines.append(f"through MQTT an answer grows at {ratio:.1%} of its speed straight at the engine")
    return "\n".join([*lines, f"energy: {figures['joules']} J"] if "joules" in figures else lines)
