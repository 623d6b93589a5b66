"""`edge demo`: a broker, the daemon and three prompts, all real processes on this machine's loopback."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

from edge.commands.ask import shown
from edge.commands.connection import port
from edge.commands.printing import Printing
from edge.commands.running import Ending, run
from edge.commands.status_lines import describe_telemetry, readable
from edge.commands.summaries import summary
from edge.config import Broker
from edge.errors import BrokerError, BundleError, EdgeError, Interrupted
from edge.mqtt.client import Client, json_object

DEVICE = "demo"
QUESTION = "What is the capital of France?"
SCHEMA_QUESTION = "Which city is the capital of France, and in which country is it?"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 40}, "country": {"type": "string", "maxLength": 40}},
    "required": ["city", "country"],
    "additionalProperties": False,
}
IMAGE_QUESTION = "What does this picture show?"
READY_SECONDS = 120
ANSWER_SECONDS = 600
"""A picture takes a small board minutes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which bundle, which port, and whether to go on serving."""
    parser.add_argument("--bundle", type=Path, required=True, help="the bundle to serve")
    parser.add_argument("--port", type=port, help="the broker's port (default 1883); a free one where it is taken")
    parser.add_argument("--image", type=Path, help="a picture to ask about as well, where the bundle sees pictures")
    parser.add_argument("--once", action="store_true", help="end after the answers instead of serving on")


def main(options: argparse.Namespace) -> int:
    """Run the demo; Ctrl-C ends it with exit status 0."""
    turn = None if options.image is None else shown([options.image], None, IMAGE_QUESTION)
    return run_to_ctrl_c(demo(options.bundle, options.port, options.once, turn))


def run_to_ctrl_c(work: Coroutine[Any, Any, int]) -> int:
    """Work's exit status; 0 where Ctrl-C ends it, which is how it is meant to end. Interrupted for another signal."""
    ending = Ending()
    try:
        return run(work, ending)
    except Interrupted:
        if ending.first != signal.SIGINT:
            raise
    return 0


async def demo(bundle: Path, wanted_port: int | None, once: bool, turn: dict[str, Any] | None) -> int:
    """Start the parts, ask, tell how to go on, serve. turn: about a picture, where there is one."""
    async with (
        broker_process(wanted_port or 1883, 9001) as (port, websocket_port),
        daemon_process(bundle, port) as daemon,
    ):
        async with Client(Broker(port=port), DEVICE, extra_topics=(f"edge/{DEVICE}/#",)) as client:
            await wait_until_online(client, daemon)
            await ask_streamed(client)
            await ask_bare(client)
            await ask_json(client)
            if turn is not None:
                await ask_about(client, turn)
            await show_telemetry(client)
        if not once:
            print(next_steps(port, websocket_port), flush=True)
            await serve_on(daemon)
    return 0


@contextlib.asynccontextmanager
async def broker_process(wanted: int = 0, websocket: int = 0, *options: str) -> AsyncIterator[tuple[int, int]]:
    """The embedded broker, listening: its port and its WebSocket's, free ones where the usual are taken.

    options: further ones of `edge broker`.
    """
    arguments = ["broker", f"--port={wanted}", f"--websocket-port={websocket}", "--or-free", "--log-level=warning"]
    async with child([*arguments, *options], {}, asyncio.subprocess.PIPE) as it:
        assert it.stdout is not None
        line = (await it.stdout.readline()).decode()
        if not line:
            raise BrokerError("the broker did not start; the line above says why")
        port, websocket_port = (int(word) for word in re.findall(r":(\d+)", line))
        print(f"broker    127.0.0.1:{port} (WebSocket {websocket_port})", flush=True)
        yield port, websocket_port


@contextlib.asynccontextmanager
async def daemon_process(bundle: Path, port: int, **changed: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The daemon, loading its model; `changed` holds settings by their variables' names."""
    settings = {
        "EDGE_DEVICE": DEVICE,
        "EDGE_BROKER__PORT": str(port),
        "EDGE_ENGINE__BUNDLE": str(bundle),
        "EDGE_TELEMETRY__PERIOD_SECONDS": "2",
        "EDGE_LOG_LEVEL": "warning",
        **changed,
    }
    with tempfile.TemporaryDirectory(prefix="edge-state-") as folder:
        folders = {"EDGE_JOURNAL__FOLDER": folder, "EDGE_ENGINE__CACHE_FOLDER": folder, "EDGE_ENGINE__PACKS": "false"}
        async with child(["serve"], {**folders, **settings}, None) as process:
            yield process


@contextlib.asynccontextmanager
async def child(
    arguments: list[str], settings: dict[str, str], stdout: int | None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another `edge` command, in a session of its own so that Ctrl-C reaches it through us, in order."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EDGE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "edge",
        *arguments,
        env={**environment, **settings},
        stdout=stdout,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.returncode is None:  # not by `send_signal`, which would take its status from asyncio
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), 30)
        except TimeoutError:
            process.kill()
            await process.wait()


async def wait_until_online(
    client: Client, daemon: asyncio.subprocess.Process, within_seconds: float = READY_SECONDS
) -> None:
    """Show that the model loads until it says it is online."""
    shown = asyncio.create_task(show_waiting("daemon    loading the model"))
    try:
        async with asyncio.timeout(within_seconds):
            dead = asyncio.create_task(daemon.wait())
            online = asyncio.create_task(status_is_online(client))
            done, _ = await asyncio.wait([dead, online, shown], return_when=asyncio.FIRST_COMPLETED)
            online.cancel()
            for task in done - {dead}:
                task.result()
            if dead.done():
                raise BundleError("the daemon ended; the line above says why")
            dead.cancel()
    except TimeoutError as error:
        raise EdgeError(f"the daemon was not online after {within_seconds:g} s") from error
    finally:
        shown.cancel()
    print("\ndaemon    online", flush=True)


async def status_is_online(client: Client) -> None:
    """Return when the daemon's status says so."""
    async for message in client.messages():
        if message.topic == client.topics.status and client.state == "online":
            return


async def show_waiting(text: str) -> None:
    """A line that grows by a dot a second."""
    print(text, end="", flush=True)
    while True:
        await asyncio.sleep(1)
        print(".", end="", flush=True)


async def ask_streamed(client: Client) -> None:
    """A question as JSON on our own request topic, printed as it comes."""
    print(f"\n> {QUESTION}", flush=True)
    await answer(client, client.ask({"prompt": QUESTION, "max_tokens": 64}))


async def ask_bare(client: Client) -> None:
    """The same as `mosquitto_pub -t edge/demo/request -m …` does: a bare text, answered on the board's reply topic."""
    print(f"\n> {QUESTION}   (a bare text on {client.topics.request()})", flush=True)
    client.publish(client.topics.request(), QUESTION.encode())
    await answer(client, client.replies())


async def ask_json(client: Client) -> None:
    """A question whose answer is held to a JSON schema."""
    print(f"\n> {SCHEMA_QUESTION}   (held to a JSON schema)", flush=True)
    schema = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    reply = await answer(client, client.ask({"prompt": SCHEMA_QUESTION, "max_tokens": 96, "response_format": schema}))
    print(judged(reply), end="", flush=True)


def judged(reply: dict[str, Any]) -> str:
    """A line where an answer that is held to a schema is no JSON yet: the model came to no end. EdgeError otherwise.

    A small model may go on within a text until its tokens are spent, or its guard against loops steps in.
    """
    try:
        json.loads(reply["text"])
    except ValueError as error:
        if reply["finish_reason"] == "stop":
            raise EdgeError(f"an answer that was held to a schema is no JSON: {reply['text']}") from error
        return f"  (cut off, {reply['finish_reason']}, before the JSON was whole; more max_tokens may end it)\n"
    return ""


async def answer(client: Client, bodies: AsyncIterator[dict[str, Any]]) -> dict[str, Any]:
    """Print an answer piece by piece and its figures; EdgeError where it is none."""
    printing = Printing()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            async for body in bodies:
                if body["type"] == "delta":
                    printing.piece(body["index"], body["text"])
                elif body["type"] == "reply":
                    printing.end(body["text"], body["index"], body["code"] == 200)
                    if body["code"] != 200:
                        raise EdgeError(f"{body['code']}: {body['error']['message']}")
                    print(f"  {summary(body)}", flush=True)
                    return body
    except TimeoutError as error:
        raise EdgeError(f"no answer after {ANSWER_SECONDS} s on {client.topics.device}") from error
    raise EdgeError("the answers ended")


async def ask_about(client: Client, turn: dict[str, Any]) -> None:
    """A question about a picture."""
    print(f"\n> {IMAGE_QUESTION}   (and the picture)", flush=True)
    await answer(client, client.ask({"messages": [turn], "max_tokens": 96}))


async def show_telemetry(client: Client) -> None:
    """The next reading of the board."""
    async for message in client.messages():
        if message.topic == client.topics.telemetry:
            print(f"\nboard     {readable(describe_telemetry, json_object(message.payload) or {})}", flush=True)
            return


def next_steps(port: int, websocket_port: int) -> str:
    """Commands for another terminal."""
    edge = Path(sys.argv[0]).with_name("edge") if Path(sys.argv[0]).name == "edge" else Path(".venv/bin/edge")
    board = f"--broker 127.0.0.1:{port} --device {DEVICE}"
    return f"""
It goes on serving. From another terminal:

  {edge} ask {board} 'Tell me a joke.'
  {edge} status {board}
  mosquitto_sub -p {port} -t 'edge/{DEVICE}/#' -v
  mosquitto_pub -p {port} -t edge/{DEVICE}/request -m 'What is a firmware?'

A browser speaks to ws://127.0.0.1:{websocket_port}. Ctrl-C ends it."""


async def serve_on(daemon: asyncio.subprocess.Process) -> None:
    """Until Ctrl-C, SIGTERM, or the daemon's end."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    ended = [asyncio.create_task(stopping.wait()), asyncio.create_task(daemon.wait())]
    await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    print("\nstopping", flush=True)
    if not stopping.is_set():
        raise EdgeError("the daemon ended by itself; the lines above say why")
