"""What a program asks in Ollama's API, in the wire's words.

What both have passes. Of the rest, what would make another answer than was asked for is refused, and what would not is
ignored with a warning; fields that Ollama does not have are the wire's own (`documents`, `keep`, `tool_choice`, …).
Source: `api/types.go` and `docs/api.md` of ollama/ollama, of August 2026.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import Field, StrictBool, StrictStr, ValidationError

from edge.errors import BadRequest
from edge.wire.pictures import media_type
from edge.wire.shape import Number, Shape, first_fault, warnings_of

LATEST = ":latest"
"""The tag that Ollama gives a model which has none."""
HERE = "[img]"
"""What programs write into a text where one of its pictures belongs."""
OPTIONS = {
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
    "min_p": "min_p",
    "repeat_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "stop": "stop",
    "seed": "seed",
    "num_predict": "max_tokens",
}
"""Ollama's options that a board has, by the wire's name of each."""
OTHERS = {"response_format": "format"}
PICTURE = re.compile(r"(messages\.\d+)\.content\.\d+\.image_url")
"""Where the wire has a picture of a turn."""
IDLE_OPTIONS: dict[str, Sequence[Any]] = {
    "typical_p": (0, 1),
    "tfs_z": (0, 1),
    "mirostat": (0,),
    "seed": (-1,),
}
"""Values of options that ask for nothing."""
HEAD_CHARACTERS = 32
"""Of a picture in base64, which say what kind it is."""
OPTIONS_TOLD = 16
"""Options that a warning each is given for."""
DURATION = re.compile(r"[+-]?([0-9]{1,9}|([0-9]{1,9}(\.[0-9]{0,9})?(h|m|s|ms|us|µs|ns)){1,7})")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
"""Of a duration as Go writes it (`time.ParseDuration`); in a text, a number without one is seconds, too."""
SECONDS_MAX = 1e9
OPEN = ("additionalProperties", "patternProperties", "$ref", "anyOf", "allOf", "oneOf")
"""What says, in a tool's parameters, that others may come beside those which are listed, or that more is to be read."""

T = TypeVar("T", bound=Shape)


@dataclass(frozen=True, slots=True)
class Understood:
    """A request. fields: as docs/wire.md has them. warnings: what of Ollama's was ignored.

    model: as it was asked for. is_streamed: whether pieces are wanted. is_empty: whether nothing is asked, so that the
    model is to be loaded, or unloaded where `is_unloaded`.
    """

    fields: dict[str, Any]
    warnings: tuple[str, ...]
    model: str
    is_streamed: bool
    is_empty: bool
    is_unloaded: bool


class Called(Shape):
    """A function and what it is called with. index: which of several calls; their order says it, too."""

    name: StrictStr
    arguments: dict[str, Any] = Field({})
    index: Any = None


class Call(Shape):
    """A call of an earlier turn."""

    id: StrictStr = ""
    type: StrictStr = "function"
    function: Called


class Turn(Shape):
    """A turn of a conversation. images: each in base64. thinking: of an earlier answer, and of no use to this one."""

    role: StrictStr
    content: StrictStr = ""
    images: list[StrictStr] = Field([], max_length=63)
    tool_calls: list[Call] = Field([], max_length=8)
    tool_name: StrictStr | None = None
    tool_call_id: StrictStr | None = None
    thinking: StrictStr = ""


class Asks(Shape):
    """What both ways to ask have. format: `json` or a schema. keep_alive: how long the model is to stay loaded."""

    model: StrictStr = ""
    stream: StrictBool = True
    format: Any = ""
    options: dict[str, Any] = Field({})
    keep_alive: StrictStr | Number | None = None
    think: StrictBool | StrictStr = False
    truncate: StrictBool | None = None
    shift: StrictBool | None = None


class Chat(Asks):
    """The body of `/api/chat`."""

    messages: list[Turn] = Field([], max_length=256)
    tools: list[dict[str, Any]] = Field([], max_length=32)


class Generate(Asks):
    """The body of `/api/generate`."""

    prompt: StrictStr = ""
    system: StrictStr = ""
    images: list[StrictStr] = Field([], max_length=63)
    suffix: StrictStr = ""
    template: StrictStr = ""
    context: list[Any] = Field([])
    raw: StrictBool = False


def chat(body: Mapping[str, Any], about: Mapping[str, Any], is_beside: bool = False) -> Understood:
    """What a body of `/api/chat` asks. about: the model's info message. Raises BadRequest.

    is_beside: whether it is one that comes and goes, which keep_alive says something of.
    """
    asked = _read(Chat, body)
    fields = {"messages": list(_turns(asked.messages)), "tools": [_tool(each) for each in asked.tools]}
    return _understood(asked, about, fields, not asked.messages, is_beside)


def generate(body: Mapping[str, Any], about: Mapping[str, Any], is_beside: bool = False) -> Understood:
    """What a body of `/api/generate` asks, as `chat`'s."""
    asked = _read(Generate, body)
    _check_generated(asked)
    fields: dict[str, Any] = {"prompt": asked.prompt}
    if asked.images:
        fields = {"messages": [{"role": "user", "content": _content(asked.prompt, asked.images, "images")}]}
    if asked.system:
        fields["system"] = asked.system
    warnings = ["template was ignored: the model's own is used"] if asked.template else []
    return _understood(asked, about, fields, not asked.prompt, is_beside, warnings)


def asked_name(name: str) -> str:
    """What a field of the wire is called in Ollama's API."""
    first, dot, rest = name.partition(".")
    if picture := PICTURE.match(name):
        return f"{picture[1]}.images"
    return {**{ours: f"options.{theirs}" for theirs, ours in OPTIONS.items()}, **OTHERS}.get(first, first) + dot + rest


def _read(kind: type[T], body: Mapping[str, Any]) -> T:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        fault = first_fault(error, body)
    raise fault


def _check_generated(asked: Generate) -> None:
    if asked.raw:
        raise BadRequest("raw cannot be true: a prompt is always laid into the model's chat template here", "raw")
    if asked.suffix:
        raise BadRequest(f"{asked.model!r} does not support insert: suffix should be left out", "suffix")
    if asked.context:
        raise BadRequest("context is not kept here: send the turns of a conversation to /api/chat", "context")


def _understood(
    asked: Asks,
    about: Mapping[str, Any],
    fields: dict[str, Any],
    is_empty: bool,
    is_beside: bool,
    warnings: Sequence[str] = (),
) -> Understood:
    if not asked.model:
        raise BadRequest("model is required", "model")
    if asked.think:
        raise BadRequest(f"{asked.model!r} does not support thinking", "think")
    ours = dict(asked.model_extra or {})
    (asked.model_extra or {}).clear()
    options, ignored = _options(asked.options, about)
    ours |= {"model": asked.model, "stream": asked.stream, **options, **_format(asked.format), **fields}
    is_unloaded = is_empty and _is_nothing(asked.keep_alive)
    if is_beside and asked.keep_alive is not None:
        ours["keep_alive_seconds"] = seconds_of(asked.keep_alive)
    told = (*warnings, *ignored, *(() if is_beside else _kept(asked.keep_alive)), *warnings_of(asked))
    return Understood(ours, told, asked.model, asked.stream, is_empty, is_unloaded)


def _options(options: Mapping[str, Any], about: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Those that a board has, by their names there, and what is said of the others."""
    said = {name: value for name, value in options.items() if value is not None and not _is_idle(name, value)}
    ours = {OPTIONS[name]: value for name, value in said.items() if name in OPTIONS}
    length = ours.get("max_tokens", 1)
    if _is_number(length) and length <= 0 and length == int(length):  # as long as the context goes
        ours["max_tokens"] = about.get("max_tokens_ceiling") or about["context_length"]
    others = sorted(name for name in said if name not in OPTIONS and name != "num_ctx")
    told = [f"options.{name[:64]} was ignored" for name in others[:OPTIONS_TOLD]]
    told += [f"other options that were ignored: {len(others) - OPTIONS_TOLD}"] if len(others) > OPTIONS_TOLD else []
    return ours, [*told, *_context(said.get("num_ctx"), about["context_length"])]


def _context(wanted: Any, there_is: int) -> Iterator[str]:
    if wanted is None:
        return
    if not _is_number(wanted):
        raise BadRequest("options.num_ctx should be an integer", "options.num_ctx")
    if wanted > there_is:
        yield f"options.num_ctx was ignored: the context has {there_is} tokens"


def _is_idle(name: str, value: Any) -> bool:
    return not isinstance(value, bool) and value in IDLE_OPTIONS.get(name, ())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _kept(keep_alive: str | float | None) -> Iterator[str]:
    """A board keeps its model whatever is asked; that is a surprise only where it should go."""
    if _is_nothing(keep_alive):
        yield "keep_alive was ignored: the model stays loaded, as the board's operator has it"


def seconds_of(keep_alive: object) -> float:
    """How long a model is to stay, in seconds; -1 for as long as may be. Raises BadRequest for what is no duration.

    A number is seconds; a text is a duration of Go's, such as `1h30m` or `500ms`; either may be negative.
    """
    if isinstance(keep_alive, int | float) and not isinstance(keep_alive, bool):
        return -1.0 if keep_alive < 0 else float(min(keep_alive, SECONDS_MAX))
    if not isinstance(keep_alive, str) or not DURATION.fullmatch(keep_alive):
        raise BadRequest('keep_alive should be seconds, or a duration such as "5m"', "keep_alive")
    parts = re.findall(r"([0-9.]+)([a-zµ]*)", keep_alive)
    seconds = sum(float(number) * UNITS[unit or "s"] for number, unit in parts)
    return -1.0 if keep_alive.startswith("-") else min(seconds, SECONDS_MAX)


def _is_nothing(keep_alive: str | float | None) -> bool:
    """Whether it is 0, or a duration of 0 such as `0s`."""
    if isinstance(keep_alive, str):
        return keep_alive.rstrip("hmsnuµ") in ("0", "0.0")
    return keep_alive == 0


def _format(wanted: Any) -> dict[str, Any]:
    if wanted == "":
        return {}
    if wanted == "json":
        return {"response_format": {"type": "json_object"}}
    if isinstance(wanted, dict):
        return {"response_format": {"type": "json_schema", "json_schema": {"schema": wanted}}}
    raise BadRequest('format should be "json" or a JSON schema', "format")


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool as the wire has it: arguments that are not listed may not come, which Ollama's form cannot say."""
    function = tool.get("function")
    if not isinstance(function, dict):
        return tool
    parameters = function.get("parameters")
    if isinstance(parameters, dict):
        parameters = {name: value for name, value in parameters.items() if value is not None}
        closed = {} if any(name in parameters for name in OPEN) else {"additionalProperties": False}
        function = {**function, "parameters": {**parameters, **closed}}
    return {"type": "function", **tool, "function": function}


def _turns(turns: Sequence[Turn]) -> Iterator[dict[str, Any]]:
    """Turns as the wire has them; a result without a name is that of the first call which has none yet."""
    open_calls: list[Call] = []
    for number, turn in enumerate(turns):
        open_calls = list(turn.tool_calls) or open_calls
        said: dict[str, Any] = {"role": turn.role.lower()}
        said["content"] = _content(turn.content, turn.images, f"messages.{number}.images")
        if turn.tool_calls:
            said["tool_calls"] = [
                {"id": each.id, "function": {"name": each.function.name, "arguments": each.function.arguments}}
                for each in turn.tool_calls
            ]
        if said["role"] == "tool":
            said["name"] = turn.tool_name or _answered(open_calls, turn.tool_call_id)
        yield said


def _answered(open_calls: list[Call], call_id: str | None) -> str | None:
    """The name of the function whose result it is, which is open no more; None where no call is."""
    found = [each for each in open_calls if call_id and each.id == call_id] or open_calls[:1]
    for each in found:
        open_calls.remove(each)
        return each.function.name
    return None


def _content(text: str, images: Sequence[str], place: str) -> str | list[dict[str, Any]]:
    """A turn's text and its pictures, each where the text says `[img]`, those for which it does not before it."""
    if not images:
        return text
    first, *pieces = text.split(HERE, len(images))
    pictures = [_picture(data, f"{place}.{number}") for number, data in enumerate(images)]
    parts = [*pictures[len(pieces) :], _text(first)]
    for picture, piece in zip(pictures, pieces, strict=False):
        parts += [picture, _text(piece)]
    return [part for part in parts if part.get("text") != ""]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _picture(data: str, place: str) -> dict[str, Any]:
    """A picture, whose kind its first bytes say; whether the others are base64 the wire sees."""
    data = data.replace("\r", "").replace("\n", "")
    try:
        kind = media_type(base64.b64decode(data[:HEAD_CHARACTERS], validate=True))
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"{place} is no base64", place) from error
    if kind is None:
        raise BadRequest(f"{place} is no JPEG, PNG or WebP", place)
    return {"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}
