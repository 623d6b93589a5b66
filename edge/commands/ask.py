"""`edge ask`: a question on the command line or piped in, the answer as it comes, the outcome as exit status.

`--embed` asks for vectors of texts instead (`vectors.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edge.commands.answering import ASKING, add_answering, add_wishes, fields
from edge.commands.boards import boards, unknown
from edge.commands.connection import add_connection, connected_settings
from edge.commands.inputs import from_stdin, said, uri_of
from edge.commands.logs import visible
from edge.commands.printing import Printing
from edge.commands.running import Ending, run
from edge.commands.summaries import summary
from edge.commands.vectors import lines, requests_for
from edge.config import Settings
from edge.errors import BrokerError, ConfigError, OutputError
from edge.mqtt.client import UNREADABLE, Client

EXIT_STATUS = {200: 0, 408: 4, 499: 130, 503: 75}
"""By the reply's code; any other is 1. 75 is sysexits' "try again later"."""
AGAIN = EXIT_STATUS[503]
Replied = Callable[[dict[str, Any]], None]
"""Called with each terminal message."""
WAIT_SECONDS = 2.0
"""Without a word, for a board's status."""
REPLY_SECONDS = 10.0
"""How much later than a request's deadline the board's word of it may come."""
CANCEL_SECONDS = 5.0
"""For the board to say that it cancelled."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The question and how it is to be answered."""
    parser.epilog = (
        "Exit statuses: 0 answered, and standard output is the answer; 1 refused or failed, 2 wrong usage, 4 out of"
        " time, 69 no broker or no such board, 74 standard output takes no more, 75 try again later, 76 the board"
        " speaks another language, 78 a setting, file or question that cannot be used, 130 cancelled, 141 nobody reads"
        " standard output any more, 143 ended by SIGTERM. Ctrl-C and SIGTERM cancel the request on the board; a second"
        " one does not wait for its word."
    )
    parser.add_argument("prompt", nargs="?", type=said, help="the question; - or nothing reads standard input")
    add_answering(parser)
    add_wishes(parser, ASKING)
    parser.add_argument(
        "--embed",
        metavar="TEXT",
        type=said,
        nargs="*",
        help="print a line of JSON for the vector of each text; of each line of standard input where there is none",
    )
    add_connection(parser, "ask")


def main(options: argparse.Namespace) -> int:
    """Ask, print, and end with 0 for an answer, 4 out of time, 75 try later, 130 cancelled, 1 for the rest."""
    settings = connected_settings(options)
    requests = [build_request(options)] if options.embed is None else requests_for(options)
    return asked(settings, options, requests)


def asked(
    settings: Settings,
    options: argparse.Namespace,
    requests: list[dict[str, Any]],
    replied: Replied = lambda _reply: None,
) -> int:
    """Ask to the end; the exit status."""
    ending = Ending()
    status = run(ask(settings, options, requests, ending, replied), ending)
    is_ours = ending.first is not None and status == EXIT_STATUS[499]
    return 128 + (ending.first or 0) if is_ours else status


def build_request(options: argparse.Namespace) -> dict[str, Any]:
    """The payload; ConfigError where a file or standard input cannot be read, or there is no question."""
    prompt = options.prompt if options.prompt not in (None, "-") else from_stdin()
    if not prompt.strip():
        raise ConfigError("nothing was asked: give the question as an argument or pipe it in")
    request: dict[str, Any] = {"id": uuid.uuid4().hex[:12], "stream": options.stream and not options.json}
    request["stream"] &= options.n is None  # the pieces of several answers would be in each other's way
    request |= {"messages": [shown(options.image, options.detail, prompt)]} if options.image else {"prompt": prompt}
    return request | fields(options)


def shown(files: list[Path], detail: str | None, prompt: str) -> dict[str, Any]:
    """A turn with pictures before the question."""
    looked_at = {"detail": detail} if detail else {}
    images = [{"type": "image_url", "image_url": {"url": uri_of(file), **looked_at}} for file in files]
    return {"role": "user", "content": [*images, {"type": "text", "text": prompt}]}


async def ask(
    settings: Settings, options: argparse.Namespace, requests: list[dict[str, Any]], ending: Ending, replied: Replied
) -> int:
    """Send one request after another and print what comes; the first that is not answered is the last.

    The first signal cancels what is asked on the board. Raises BrokerError where the board is not there, OutputError
    where nobody takes the answer any more.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + options.timeout
    async with Client(settings.broker, settings.device) as client:
        shown = Shown(client, options, replied)
        if not await is_there(client, settings, until):
            shown.note(f"the board {settings.device!r} is {client.state or 'not heard'}, and the time is over")
            return EXIT_STATUS[408]
        client.at_state = shown.state
        status = 0
        for request in requests:
            request["deadline_ms"] = max(1, int((until - loop.time()) * 1000))
            ending.gently = partial(cancel, client, request["id"], ending, shown)
            if status := await answered(client, shown, request, until):
                break
        return status


async def answered(client: Client, shown: Shown, request: dict[str, Any], until: float) -> int:
    """Send one and print what comes of it; the exit status. until: on the loop's clock."""
    try:
        async with asyncio.timeout_at(until + REPLY_SECONDS):
            return await shown.all(request)
    except TimeoutError:
        shown.note(f"no answer on {client.topics.request(client.name)}; the board is {client.state}")
        return EXIT_STATUS[408]
    except OutputError:
        client.cancel(request["id"])
        raise


async def is_there(client: Client, settings: Settings, until: float) -> bool:
    """Wait for the board; False where it is away for too long. BrokerError where the broker does not know it."""
    try:
        async with asyncio.timeout_at(until):
            await wait_for_board(client, settings)
    except TimeoutError:
        if client.state is None and settings.device not in (found := await boards(settings)):
            raise BrokerError(unknown(settings.device, found)) from None
        return False
    return True


def cancel(client: Client, name: str, ending: Ending, shown: Shown) -> None:
    """Cancel a request on its board, which then says so; where it does not soon, end without its word."""
    client.cancel(name)
    shown.note("cancelling; once more to end without waiting for the board")
    asyncio.get_running_loop().call_later(CANCEL_SECONDS, ending.end)


async def wait_for_board(client: Client, settings: Settings) -> None:
    """Return once the board's status says that it listens: what is published before that, the broker drops."""
    listening = asyncio.create_task(board_listens(client))
    try:
        if not (await asyncio.wait({listening}, timeout=WAIT_SECONDS))[0]:
            why = f"it is {visible(client.state)}" if client.state else unknown(settings.device, await boards(settings))
            print(f"edge ask: waiting for the board {client.topics.device!r} to come online: {why}", file=sys.stderr)
        await listening
    finally:
        listening.cancel()


async def board_listens(client: Client) -> None:
    """Return at the first status that is not `offline`."""
    async for _ in client.messages():
        if client.state not in (None, "offline"):
            return


class Shown:
    """What a person and a script see of a request: the answer on standard output, all else on standard error."""

    def __init__(self, client: Client, options: argparse.Namespace, replied: Replied) -> None:
        self._client, self._options, self._replied = client, options, replied
        self._printing = Printing()
        self._is_away = False
        self._vectors = 0
        self._noted: set[str] = set()
        client.at_strange = self.note

    def note(self, text: str) -> None:
        """Say something beside the answer, on a line of its own, once."""
        if text in self._noted:
            return
        self._noted.add(text)
        is_within = self._printing.is_within_line and sys.stdout.isatty() and sys.stderr.isatty()
        print(f"{chr(10) if is_within else ''}edge {self._options.command}: {visible(text)}", file=sys.stderr)

    def state(self, state: str) -> None:
        """The board said how it is; an answer waits for one that is away."""
        if (state == "offline") != self._is_away:
            self._is_away = state == "offline"
            self._noted -= {AWAY, BACK}
            self.note(AWAY if self._is_away else BACK)

    async def all(self, request: dict[str, Any]) -> int:
        """Print pieces as they come and the terminal message's rest; the exit status."""
        async for body in self._client.ask(request):
            if body["type"] == "queued":
                print(f"waiting, {body['place']} before us", file=sys.stderr)
            elif body["type"] == "delta":
                self._printing.piece(body["index"], body["text"])
            else:
                self._replied(body)
                return self.terminal(request, body)
        return 1

    def terminal(self, request: Mapping[str, Any], body: dict[str, Any]) -> int:
        """Print what is left to print at the end of a request; the exit status."""
        if self._options.json:
            return finish_json(body)
        if body["code"] == 200 and "input" in request:
            return self.vectors(body, len(request["input"]))
        return self.finish(body)

    def vectors(self, reply: dict[str, Any], count: int) -> int:
        """A line for the vector of each of so many texts, behind those of earlier requests."""
        for line in lines(reply, self._vectors, count):
            print(line)
        sys.stdout.flush()
        self._vectors += count
        for text in reply["warnings"]:
            self.note(text)
        if self._options.verbose:
            print(visible(summary(reply)), file=sys.stderr)
        return EXIT_STATUS[200]

    def finish(self, reply: dict[str, Any]) -> int:
        """What the terminal message adds: the text where none was streamed, the error, the times."""
        is_answer = reply["code"] == 200
        fault = self._printing.end(text_of(reply), reply["index"], is_answer)
        notes = [*used(reply), *reply["warnings"], *([fault] if fault else [])]
        if reply.get("finish_reason") == "loop":
            notes.append("the answer said the same over and over, so the board ended it")
        if not is_answer:
            notes.append(f"{reply['code']}: {reply['error']['message']}")
        for text in notes:
            self.note(text)
        if self._options.verbose:
            print(visible(summary(reply)), file=sys.stderr)
        is_whole = not fault or sys.stdout.isatty()
        return EXIT_STATUS.get(reply["code"], 1) if is_whole or not is_answer else AGAIN


def text_of(reply: dict[str, Any]) -> str:
    """The answer; of several each, with a line between them that says which the next is."""
    try:
        texts = [str(each["text"]) for each in reply.get("choices") or [reply]]
    except UNREADABLE:
        return str(reply["text"])
    return "".join(f"\n--- {number}\n{text}" if number else text for number, text in enumerate(texts))


AWAY, BACK = "the board went offline; it answers when it is back", "the board is back"


def finish_json(reply: dict[str, Any]) -> int:
    """The terminal message as it came, on a line."""
    is_unicode = sys.stdout.encoding.lower().startswith("utf")
    print(json.dumps(reply, ensure_ascii=not is_unicode), flush=True)
    return EXIT_STATUS.get(reply["code"], 1)


def used(reply: dict[str, Any]) -> list[str]:
    """A line for each tool of the board's that was used for an answer."""
    try:
        return [
            f"{call['name']} {json.dumps(call['arguments'], ensure_ascii=False)}: {call.get('result') or call['error']}"
            for call in reply.get("board_calls") or ()
        ]
    except UNREADABLE:
        return ["the tools that were used cannot be read"]
