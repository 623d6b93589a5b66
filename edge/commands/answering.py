"""How a question is to be answered: options of `edge ask` and `edge run`, a row each, and the fields they become."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.commands.connection import finite, how_many, seconds
from edge.commands.inputs import read_schema, said
from edge.wire.pictures import CROPS

Kind = Callable[[str], Any]
EARLY: dict[str, bool | str] = {"true": True, "false": False, "never": "never"}


@dataclass(frozen=True)
class Wish:
    """An option that is one field of a request (docs/wire.md), left out where it is not said.

    kind: what makes the field's value of a word; None for `--NAME` and `--no-NAME`. is_list: each saying of it is one
    more.
    """

    field: str
    words: str
    kind: Kind | None = None
    metavar: str = "N"
    is_list: bool = False


def names(text: str) -> list[str]:
    """Words between commas."""
    return [name.strip() for name in said(text).split(",")]


def numbers(text: str) -> list[int]:
    """Whole numbers between commas; ValueError where one is none."""
    return [int(word) for word in text.split(",")]


def biases(text: str) -> dict[str, float]:
    """`TOKEN=BIAS,…` by the token's id; ValueError where it is not written so."""
    pairs = (word.split("=") for word in text.split(","))
    return {str(int(token)): finite(bias) for token, bias in pairs}


def early(text: str) -> bool | str:
    """When a search ends; ArgumentTypeError for another word."""
    if text not in EARLY:
        raise argparse.ArgumentTypeError(f"{text} is none of {', '.join(EARLY)}")
    return EARLY[text]


ANSWERING = (
    Wish("system", "a system prompt", said, "TEXT"),
    Wish("max_tokens", "length of the answer", how_many),
    Wish("min_tokens", "before so many it does not end by itself", int),
    Wish("temperature", "0 is greedy (default: the bundle's own)", finite, "T"),
    Wish("top_k", "draw from so many likeliest tokens; 0 is off", int),
    Wish("top_p", "draw from the likeliest that have this much together; 1 is off", finite, "P"),
    Wish("min_p", "draw from those that are so likely beside the likeliest; 0 is off", finite, "P"),
    Wish("seed", "makes sampling repeatable", int),
    Wish("repetition_penalty", "of tokens that prompt or answer have; 1 is off", finite, "R"),
    Wish("presence_penalty", "taken off tokens that the answer has", finite, "R"),
    Wish("frequency_penalty", "the same for each time that it has them", finite, "R"),
    Wish("logit_bias", "added to the logits of these tokens", biases, "TOKEN=BIAS,…"),
    Wish("stop", "a text that ends the answer; again for more", said, "TEXT", is_list=True),
    Wish("stop_token_ids", "tokens that end the answer", numbers, "TOKEN,…"),
    Wish("n", "answers to make, told one below the other", how_many),
    Wish("num_beams", "search for the best text, so many at a time", how_many),
    Wish("length_penalty", "of such a search: above 0 long texts gain (default: 1)", finite, "R"),
    Wish("early_stopping", "of such a search: true ends it once there are enough texts", early, "true|false|never"),
    Wish("logprobs", "have each token's told, which --json shows"),
    Wish("top_logprobs", "and those of so many others", int),
    Wish("loop_guard", "end an answer that says the same over and over (default)"),
    Wish(
        "board_tools",
        "let the model have these tools of the board's used; * for all that it may (docs/tools.md)",
        names,
        "NAME,…",
    ),
    Wish("scorers", "have these functions of the board's weigh the answer (docs/scorers.md)", names, "NAME,…"),
)
"""Of both commands."""
ASKING = (
    Wish("model", "another bundle of the board's, or NAME:ADAPTER (docs/models.md)", said, "NAME"),
    Wish("documents", "answer from these documents of the board's (docs/documents.md)", said, "NAME"),
    Wish("priority", "whose turn comes first: high, normal or low", said, "WHICH"),
    Wish("keep", "have the board keep of it what it keeps of others (default)"),
    Wish("upstream", "have another server answer, or see that none does (docs/upstream.md)"),
    Wish("keep_alive_seconds", "how long another bundle stays loaded from then on", finite, "SECONDS"),
)
"""Of `edge ask` alone: they are about a board that is there."""


def add_answering(parser: argparse.ArgumentParser) -> None:
    """How the question is to be answered, and how the answer is printed."""
    parser.add_argument(
        "--stream", action=argparse.BooleanOptionalAction, default=True, help="print as it comes (default)"
    )
    parser.add_argument("--json", action="store_true", help="print the reply as one JSON object, once it is there")
    parser.add_argument(
        "--image", metavar="FILE", type=Path, action="append", default=[], help="a picture to ask about; again for more"
    )
    parser.add_argument("--detail", choices=list(CROPS), help="how closely to look at the pictures (default: auto)")
    held = parser.add_mutually_exclusive_group()
    held.add_argument("--json-schema", metavar="FILE", type=Path, help="hold the answer to this JSON schema")
    held.add_argument("--json-object", action="store_true", help="hold the answer to a JSON object, whatever is in it")
    parser.add_argument("--timeout", type=seconds, default=600, metavar="SECONDS", help="give up after (default: 600)")
    parser.add_argument("--verbose", action="store_true", help="print tokens and times to standard error")
    add_wishes(parser, ANSWERING)


def add_wishes(parser: argparse.ArgumentParser, wishes: tuple[Wish, ...]) -> None:
    """An option for each, beside those that the parser has; `fields` looks at them all."""
    parser.set_defaults(wishes=(*(parser.get_default("wishes") or ()), *wishes))
    for wish in wishes:
        name = f"--{wish.field.replace('_', '-')}"
        if wish.kind is None:
            parser.add_argument(name, action=argparse.BooleanOptionalAction, help=wish.words)
            continue
        action = "append" if wish.is_list else "store"
        parser.add_argument(name, metavar=wish.metavar, type=wish.kind, action=action, help=wish.words)


def fields(options: argparse.Namespace) -> dict[str, Any]:
    """What was said of how to answer, as a request has it. ConfigError where a schema's file cannot be read."""
    found = given(options, options.wishes)
    if options.json_object:
        found["response_format"] = {"type": "json_object"}
    if options.json_schema is not None:
        schema = {"schema": read_schema(options.json_schema)}
        found["response_format"] = {"type": "json_schema", "json_schema": schema}
    return found


def given(options: argparse.Namespace, wishes: Iterable[Wish]) -> dict[str, Any]:
    """The fields of those that were said."""
    found = {wish.field: getattr(options, wish.field) for wish in wishes}
    return {name: value for name, value in found.items() if value is not None}
