"""`edge ask`: a question on the command line or piped in, the answer as it comes, the outcome as exit status."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

from edge.commands.connection import add_connection, connected_settings, how_many, seconds
from edge.config import Settings
from edge.errors import ConfigError
from edge.mqtt.client import Client
from edge.wire.pictures import CROPS, MEDIA_TYPES, data_uri, media_type
from edge.wire.topics import Topics

EXIT_STATUS = {200: 0, 408: 4, 499: 130, 503: 75}
"""By the reply's code; any other is 1. 75 is sysexits' "try again later"."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The question and how it is to be answered."""
    parser.epilog = (
        "Exit statuses: 0 answered, 4 out of time, 75 try again later, 130 cancelled, 69 no broker, 78 wrong setting,"
        " 1 for the rest. Ctrl-C cancels the request on the board."
    )
    parser.add_argument("prompt", nargs="?", help="the question; - or nothing reads standard input")
    parser.add_argument(
        "--stream", action=argparse.BooleanOptionalAction, default=True, help="print as it comes (default)"
    )
    parser.add_argument("--json", action="store_true", help="print the reply as one JSON object, once it is there")
    parser.add_argument("--system", metavar="TEXT", help="a system prompt")
    parser.add_argument(
        "--image", metavar="FILE", type=Path, action="append", default=[], help="a picture to ask about; again for more"
    )
    parser.add_argument("--detail", choices=list(CROPS), help="how closely to look at the pictures (default: auto)")
    parser.add_argument("--json-schema", metavar="FILE", type=Path, help="hold the answer to this JSON schema")
    parser.add_argument("--max-tokens", type=how_many, metavar="N", help="length of the answer")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 is greedy (default: the bundle's own)")
    parser.add_argument("--seed", type=int, metavar="N", help="makes sampling repeatable")
    parser.add_argument(
        "--loop-guard",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="end an answer that says the same over and over (default)",
    )
    parser.add_argument("--timeout", type=seconds, default=600, metavar="SECONDS", help="give up after (default: 600)")
    parser.add_argument("--verbose", action="store_true", help="print tokens and times to standard error")
    add_connection(parser, "ask")


def main(options: argparse.Namespace) -> int:
    """Ask, print, and end with 0 for an answer, 4 out of time, 75 try later, 130 cancelled, 1 for the rest."""
    settings = connected_settings(options)
    request = build_request(options)
    return asyncio.run(ask(settings, options, request))


def build_request(options: argparse.Namespace) -> dict[str, Any]:
    """The payload; ConfigError where the schema cannot be read or there is no question."""
    prompt = options.prompt if options.prompt not in (None, "-") else sys.stdin.read()
    if not prompt.strip():
        raise ConfigError("nothing was asked: give the question as an argument or pipe it in")
    request: dict[str, Any] = {"id": uuid.uuid4().hex[:12], "stream": options.stream and not options.json}
    request |= {"messages": [shown(options.image, options.detail, prompt)]} if options.image else {"prompt": prompt}
    if not options.loop_guard:
        request["loop_guard"] = False
    request["deadline_ms"] = int(options.timeout * 1000)
    for name in ("system", "max_tokens", "temperature", "seed"):
        if getattr(options, name) is not None:
            request[name] = getattr(options, name)
    if options.json_schema is not None:
        request["response_format"] = {
            "type": "json_schema",
            "json_schema": {"schema": read_schema(options.json_schema)},
        }
    return request


def shown(files: list[Path], detail: str | None, prompt: str) -> dict[str, Any]:
    """A turn with pictures before the question."""
    looked_at = {"detail": detail} if detail else {}
    images = [{"type": "image_url", "image_url": {"url": uri_of(file), **looked_at}} for file in files]
    return {"role": "user", "content": [*images, {"type": "text", "text": prompt}]}


def uri_of(file: Path) -> str:
    """A picture's bytes as a URI; ConfigError where it is none that boards read."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    kind = media_type(data)
    if kind is None:
        raise ConfigError(f"{file} is none of {', '.join(MEDIA_TYPES)}")
    return data_uri(kind, data)


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is not a JSON schema: {error}") from error
    if not isinstance(schema, dict):
        raise ConfigError(f"{path} is not a JSON schema: it should hold an object")
    return schema


async def ask(settings: Settings, options: argparse.Namespace, request: dict[str, Any]) -> int:
    """Send the request and print what comes; Ctrl-C cancels it on the board."""
    topics = Topics(settings.device)
    async with Client(settings.broker, settings.device, (topics.status,)) as client:
        try:
            async with asyncio.timeout(options.timeout + 10):
                await wait_for_board(client)
                cancel_on_interrupt(client, request["id"])
                return await show(client, request, options)
        except TimeoutError:
            topic = client.topics.request(client.name)
            print(f"edge ask: no answer on {topic}; is `edge serve` running there?", file=sys.stderr)
            return EXIT_STATUS[408]


def cancel_on_interrupt(client: Client, name: str) -> None:
    """The first Ctrl-C cancels the request on the board, which then says so; a second one ends us."""
    loop = asyncio.get_running_loop()

    def cancel() -> None:
        client.cancel(name)
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, cancel)


async def wait_for_board(client: Client) -> None:
    """Return once the board's status says that it listens: what is published before that, the broker drops."""
    listening = asyncio.create_task(board_listens(client))
    if not (await asyncio.wait({listening}, timeout=2))[0]:
        print(f"edge ask: waiting for the board {client.topics.device!r} to come online", file=sys.stderr)
    await listening


async def board_listens(client: Client) -> None:
    """Return at the first status that is not `offline`."""
    async for message in client.messages():
        if message.topic == client.topics.status and json.loads(message.payload)["state"] != "offline":
            return


async def show(client: Client, request: dict[str, Any], options: argparse.Namespace) -> int:
    """Print pieces as they come and the terminal message's rest."""
    printed = 0
    async for body in client.ask(request):
        if body["type"] == "queued":
            print(f"waiting, {body['place']} before us", file=sys.stderr)
        elif body["type"] == "delta":
            print(body["text"], end="", flush=True)
            printed += len(body["text"])
        else:
            return finish_json(body) if options.json else finish(body, printed, options.verbose)
    return 1


def finish_json(reply: dict[str, Any]) -> int:
    """The terminal message as it came, on a line."""
    print(json.dumps(reply, ensure_ascii=False), flush=True)
    return EXIT_STATUS.get(reply["code"], 1)


def finish(reply: dict[str, Any], printed: int, verbose: bool) -> int:
    """What the terminal message adds: the text where none was streamed, the error, the times."""
    text = reply["text"]
    print(text[printed:] if printed <= len(text) else "", flush=True)
    for warning in reply["warnings"]:
        print(f"edge ask: {warning}", file=sys.stderr)
    if reply["finish_reason"] == "loop":
        print("edge ask: the answer said the same over and over, so the board ended it", file=sys.stderr)
    if verbose:
        print(summary(reply), file=sys.stderr)
    if reply["code"] != 200:
        print(f"edge ask: {reply['code']}: {reply['error']['message']}", file=sys.stderr)
    return EXIT_STATUS.get(reply["code"], 1)


def summary(reply: dict[str, Any]) -> str:
    """Tokens and times of a terminal message in a line."""
    usage, times = reply["usage"], reply["timings"]
    made, seconds = usage["completion_tokens"], times["decode_seconds"]
    first = times["first_token_seconds"]
    rate = f"{made / seconds:.1f} tokens/s" if seconds else "no tokens"
    seen = f" ({sum(usage['picture_tokens'])} of pictures)" if "picture_tokens" in usage else ""
    tokens = f"{usage['prompt_tokens']}{seen} + {made} tokens"
    return f"{tokens}, first after {first or 0:.2f} s, {rate} ({reply['finish_reason']})"
