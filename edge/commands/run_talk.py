"""What `edge run` asks: one question, or a conversation at a prompt, which is sent whole with each question."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import Any

from edge.commands.ask import asked, build_request
from edge.commands.bundle_made import tell
from edge.commands.inputs import said
from edge.config import Settings

PROMPT, MORE = ">>> ", "... "
BYE, CLEAR, HELP, QUOTES = ("/bye", "/exit"), "/clear", ("/?", "/help"), '"""'
HELP_TEXT = (
    "/bye or Ctrl-D ends; Ctrl-C stops an answer; /clear forgets what was said;"
    ' a question of several lines stands between """ and """'
)
TOO_LONG = 413
TURNS_MAX = 200
"""Of the 256 that a request may have (docs/wire.md); older ones are left out."""


def is_conversation(options: argparse.Namespace) -> bool:
    """Whether there is no question, and a person who may have some."""
    return options.prompt is None and sys.stdin.isatty()


def question(options: argparse.Namespace) -> dict[str, Any] | None:
    """The one request of the command line or of standard input; None for a conversation. ConfigError for neither."""
    if is_conversation(options):
        return None
    if options.prompt is not None:
        options.prompt = said(options.prompt)
    return build_request(options)


def talk(settings: Settings, options: argparse.Namespace, request: dict[str, Any] | None, model: str | None) -> int:
    """Ask, or have a conversation; the exit status. model: what the board calls it, where it has several."""
    named = {} if model is None else {"model": model}
    if request is not None:
        return asked(settings, options, [{**request, **named}])
    tell(HELP_TEXT)
    return Conversation(settings, options, named).go_on()


class Conversation:
    """Questions and answers so far. What was cut off by Ctrl-C stays as far as it came; what failed was never said."""

    def __init__(self, settings: Settings, options: argparse.Namespace, named: dict[str, Any]) -> None:
        self._settings, self._named = settings, named
        self._system = [{"role": "system", "content": options.system}] if options.system else []
        self._options = argparse.Namespace(**{**vars(options), "system": None})
        self._turns: list[dict[str, Any]] = []
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - lines can be edited and come again, where Python was built with it

    def go_on(self) -> int:
        """Until /bye, or the end of what is typed; 0."""
        while (text := typed()) is not None:
            word = text.strip()
            if word in BYE:
                break
            if word == CLEAR:
                self._turns.clear()
            elif word in HELP:
                tell(HELP_TEXT)
            elif word:
                self.ask(text)
        return 0

    def ask(self, text: str) -> None:
        """One question; where it is too long with all before it, once more without the oldest turns."""
        del self._turns[:-TURNS_MAX]
        request = self._request(text)
        turn = request["messages"][-1]
        while True:
            replies: list[dict[str, Any]] = []
            request["messages"] = [*self._system, *self._turns, turn]
            asked(self._settings, self._options, [dict(request)], replies.append)
            is_too_long = bool(replies) and replies[0]["code"] == TOO_LONG
            if not (is_too_long and self._turns):
                break
            del self._turns[:2]
            request["id"] += "-"
            tell("the oldest question and its answer are left out")
        if replies and replies[0]["text"]:
            self._turns += [turn, {"role": "assistant", "content": replies[0]["text"]}]
            self._options.image = []

    def _request(self, text: str) -> dict[str, Any]:
        self._options.prompt = text
        request = {**build_request(self._options), **self._named}
        if "prompt" in request:
            request["messages"] = [{"role": "user", "content": request.pop("prompt")}]
        return request


def typed() -> str | None:
    """What a person asks next; None where they are done. Ctrl-C only forgets the line."""
    try:
        text = input(PROMPT)
        if text.strip().startswith(QUOTES):
            text = text.strip().removeprefix(QUOTES)
            while not text.rstrip().endswith(QUOTES):
                text += "\n" + input(MORE)
            text = text.rstrip().removesuffix(QUOTES)
    except EOFError:
        print()
        return None
    except KeyboardInterrupt:
        print()
        return ""
    return text
