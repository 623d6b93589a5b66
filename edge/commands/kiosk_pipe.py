"""Chromium's DevTools protocol over two pipes: no port that another program of the board could reach.

Chromium reads commands at its descriptor 3 and writes answers and events at its descriptor 4, each a JSON text that
ends with a zero byte (`--remote-debugging-pipe`).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any, BinaryIO

from edge.errors import StartError

MESSAGE_BYTES_MAX = 4 << 20
"""A title and an address are in messages, and the page chooses both."""
ANSWER_SECONDS = 30.0

Event = Callable[[str, dict[str, Any]], None]


class LostError(StartError):
    """The browser has ended, or is silent: it must be begun anew."""


class RefusedError(StartError):
    """The browser refuses a command, in its own words."""


class Pipe:
    """Commands to a browser, its answers and its events."""

    def __init__(self, commands: BinaryIO, event: Event) -> None:
        os.set_blocking(commands.fileno(), False)
        self._commands, self._event = commands, event
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0

    async def call(
        self, method: str, session: str | None = None, seconds: float = ANSWER_SECONDS, **parameters: Any
    ) -> dict[str, Any]:
        """The answer to one command. LostError where there is none in time, RefusedError where it is no."""
        number = self.tell(method, session, **parameters)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(seconds):
                return dict(await answer)
        except TimeoutError as error:
            raise LostError(f"Chromium has been silent for {seconds:g} s, asked for {method}") from error
        finally:
            del self._waiting[number]

    def tell(self, method: str, session: str | None = None, **parameters: Any) -> int:
        """One command, whose number is returned. LostError where the browser takes none."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        data = json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0"
        try:
            written = os.write(self._commands.fileno(), data)
        except OSError as error:  # full of what it has not read, or closed
            raise LostError(f"Chromium takes no commands: {error.strerror}") from error
        if written < len(data):
            raise LostError("Chromium takes no commands: its pipe is full")
        return self._number

    async def read(self, answers: BinaryIO) -> None:
        """Take what comes until the browser ends; always raises LostError."""
        reader = asyncio.StreamReader(limit=MESSAGE_BYTES_MAX)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, answers)
        try:
            while True:
                self._take((await reader.readuntil(b"\0"))[:-1])
        except (asyncio.IncompleteReadError, OSError) as error:
            raise LostError("Chromium has ended") from error
        except (asyncio.LimitOverrunError, ValueError) as error:
            raise LostError(f"Chromium said what is no message of its protocol: {error}") from error
        finally:
            transport.close()

    def _take(self, data: bytes) -> None:
        message = json.loads(data)
        waiting = self._waiting.get(message.get("id"))
        if waiting is None:
            if "method" in message:
                self._event(message["method"], message.get("params", {}))
        elif not waiting.done():
            if "error" in message:
                waiting.set_exception(RefusedError(f"Chromium refuses: {message['error'].get('message')}"))
            else:
                waiting.set_result(message.get("result", {}))
