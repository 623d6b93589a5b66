"""A board that a test plays by hand: what it says, and when, is the test's to choose."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edge.wire.message import dumps
from tests.clients import User

SECONDS = 20
"""For anything to happen; a program that hangs is found by it."""


class Board:
    """One at a broker, under a name; retained `state` says how it is."""

    def __init__(self, user: User, name: str) -> None:
        self._user, self.name = user, name

    def tell(self, state: str) -> None:
        """Its status, retained."""
        self._user.publish(f"edge/{self.name}/status", {"state": state, "version": "1"}, retain=True)

    def is_asked(self) -> bool:
        """Whether a request waits for `request`."""
        return not self._user.inbox.empty()

    def request(self, client: str = "me") -> tuple[bytes, dict[str, Any]]:
        """The next request that comes, and must be this client's: its bytes, and what they say."""
        message = self._user.next(SECONDS)
        assert message.topic == f"edge/{self.name}/request/{client}"
        return message.payload, json.loads(message.payload)

    def cancelled(self) -> str:
        """The id that is to be stopped."""
        message = self._user.next(SECONDS)
        assert message.topic == f"edge/{self.name}/cancel/me"
        return message.payload.decode()

    def say(self, body: Any, client: str = "me") -> None:
        """Something on the reply topic; bytes and text as they are, all else as a board writes it."""
        self._user.publish(f"edge/{self.name}/reply/{client}", body if isinstance(body, bytes | str) else dumps(body))

    def delta(self, name: str, index: int, text: str, client: str = "me") -> None:
        """A piece."""
        self.say({"type": "delta", "id": name, "index": index, "text": text}, client)

    def reply(self, name: str, text: str, code: int = 200, message: str = "", client: str = "me") -> None:
        """The end."""
        error = {"error": {"message": message, "param": None, "retry_after": 6}} if message else {}
        reason = "stop" if code == 200 else "error"
        body = {"type": "reply", "id": name, "code": code, "finish_reason": reason, "text": text, "index": 2}
        usage = {"prompt_tokens": 1, "completion_tokens": 2, "cached_tokens": 0}
        self.say({**body, "usage": usage, "energy": None, "warnings": [], **error}, client)


@contextmanager
def board(port: int, name: str, state: str = "online") -> Iterator[Board]:
    """It is there, in this state."""
    with User(port, f"edge/{name}/request/#", f"edge/{name}/cancel/#") as user:
        made = Board(user, name)
        made.tell(state)
        yield made


def reads(process: subprocess.Popen[str], text: str) -> str:
    """What a program prints until it has printed this much; AssertionError where it does not."""
    assert process.stdout is not None
    printed, until = b"", time.monotonic() + SECONDS
    while text.encode() not in printed and time.monotonic() < until:
        if select.select([process.stdout], [], [], 0.1)[0]:
            if not (more := os.read(process.stdout.fileno(), 4096)):
                break
            printed += more
    assert text.encode() in printed, (printed, process.poll())
    return printed.decode()
