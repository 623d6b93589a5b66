"""What a program asks in OpenAI's Responses API, in the wire's words.

Nothing of an answer is kept, so whatever refers to an earlier one is refused by name, as are tools that a service would
run by itself. Source: `ResponseCreateParams` of OpenAI's Python library, 3.57.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, StrictBool, StrictStr, ValidationError

from edge.errors import BadRequest
from edge.wire.shape import Integer, Shape, first_fault, warnings_of

ALONE = "answers are not kept here: send the whole conversation as input"
REFUSED = {
    "previous_response_id": ALONE,
    "conversation": ALONE,
    "prompt": "prompts are not kept here: send instructions and input",
    "messages": "are the chat API's: send input, or ask /v1/chat/completions",
    "context_management": "nothing of a conversation is left out here: send what is to be read",
}
"""Fields that nothing can be done about, each with the reason."""
LOGPROBS = "message.output_text.logprobs"
UNTOLD = ("reasoning.encrypted_content", LOGPROBS)
"""What `include` may say without a warning: the first of them there is none of."""
TEXTS = ("input_text", "output_text", "text")
NAMES = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "system": "instructions",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
"""The wire's words whose places are elsewhere here."""


class Item(Shape):
    """A piece of the input: what its type does not have is not there."""

    type: StrictStr = "message"
    role: StrictStr = ""
    content: Any = ""
    call_id: StrictStr = ""
    name: StrictStr | None = None
    arguments: StrictStr = "{}"
    output: Any = ""
    id: Any = None
    status: Any = None
    phase: Any = None
    summary: Any = None
    encrypted_content: Any = None


class Text(Shape):
    """How the answer is to look."""

    format: dict[str, Any] = Field(default={"type": "text"})
    verbosity: StrictStr = "medium"


class Reasoning(Shape):
    """How much is to be thought, of which boards do nothing."""

    effort: StrictStr | None = None
    summary: StrictStr | None = None
    generate_summary: StrictStr | None = None


class Create(Shape):
    """The body of `/v1/responses`; what is not here is passed on under the wire's own name, or told as not known."""

    input: StrictStr | list[Item] = ""
    model: StrictStr | None = None
    instructions: StrictStr | None = None
    max_output_tokens: Any = None
    tools: list[dict[str, Any]] = Field([], max_length=32)
    tool_choice: StrictStr | dict[str, Any] = "auto"
    text: Text = Text()
    reasoning: Reasoning = Reasoning()
    include: list[StrictStr] = Field([], max_length=16)
    top_logprobs: Integer = 0
    stream: StrictBool = False
    stream_options: dict[str, Any] = Field({})
    store: StrictBool = False
    background: StrictBool = False
    truncation: StrictStr = "disabled"
    metadata: dict[str, Any] = Field({}, max_length=16)
    max_tool_calls: Any = None


@dataclass(frozen=True, slots=True)
class Understood:
    """A request. fields: as docs/wire.md has them. said: what the answer tells again of it.

    turns: which piece of the input each turn comes from, so that what is wrong with it can be told by its place.
    """

    fields: dict[str, Any]
    warnings: tuple[str, ...]
    is_streamed: bool
    said: dict[str, Any]
    turns: tuple[str, ...] = field(default=())

    def asked_name(self, name: str) -> str:
        """What a field of the wire is called here."""
        first, _, rest = name.partition(".")
        if first == "messages" and rest:
            number, _, within = rest.partition(".")
            place = self.turns[int(number)] if number.isdecimal() and int(number) < len(self.turns) else "input"
            return f"{place}.{within.removesuffix('.url')}".rstrip(".")
        if first == "tools":
            return name.replace(".function", "", 1)
        if first == "tool_choice":
            return name.replace(".function", "", 1)
        return "input" if first == "messages" else NAMES.get(first, first) + name.removeprefix(first)


def understood(body: Mapping[str, Any]) -> Understood:
    """What a body asks. Raises BadRequest."""
    asked = _read(body)
    extra = dict(asked.model_extra or {})
    (asked.model_extra or {}).clear()
    turns, places = _turns(asked.input)
    fields = extra | {"messages": turns, **dict(_plain(asked)), **_logprobs(asked)}
    if asked.tools:
        fields |= {"tools": list(_tools(asked.tools)), "tool_choice": _tool_choice(asked.tool_choice)}
    warnings = (*_ignored(asked), *warnings_of(asked))
    return Understood(fields, warnings, asked.stream, _said(asked, body), tuple(places))


def _read(body: Mapping[str, Any]) -> Create:
    for name, reason in REFUSED.items():
        if body.get(name) is not None:
            raise BadRequest(f"{name} cannot be followed: {reason}", name)
    try:
        asked = Create.model_validate(body)
    except ValidationError as error:
        fault = first_fault(error, body)
    else:
        if asked.background:
            raise BadRequest("background cannot be true: an answer is told to who waits for it", "background")
        if not asked.input:
            raise BadRequest("input is missing", "input")
        return asked
    raise fault


def _plain(asked: Create) -> Iterator[tuple[str, Any]]:
    """Fields that are the wire's by another name."""
    given = {
        "model": asked.model,
        "system": asked.instructions or None,
        "max_tokens": asked.max_output_tokens,
        "response_format": _response_format(asked.text.format),
        "verbosity": None if asked.text.verbosity == "medium" else asked.text.verbosity,
        "reasoning_effort": asked.reasoning.effort,
        "stream": asked.stream,
    }
    yield from ((name, value) for name, value in given.items() if value is not None)


def _logprobs(asked: Create) -> dict[str, Any]:
    return {"logprobs": True, "top_logprobs": asked.top_logprobs} if LOGPROBS in asked.include else {}


def _response_format(wanted: dict[str, Any]) -> dict[str, Any] | None:
    kind = wanted.get("type", "text")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json_schema" or not isinstance(wanted.get("schema"), dict | bool):
        raise BadRequest("text.format should be text, json_object, or json_schema with its schema", "text.format")
    return {"type": "json_schema", "json_schema": {"schema": wanted["schema"]}}


def _tools(tools: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, tool in enumerate(tools):
        if (kind := tool.get("type")) != "function":
            place = f"tools.{number}.type"
            raise BadRequest(f"{place} {str(kind)[:64]!r} is not to be had here: declare a function", place)
        function = {name: tool[name] for name in ("name", "description", "parameters", "strict") if name in tool}
        yield {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _tool_choice(choice: str | dict[str, Any]) -> Any:
    if isinstance(choice, str):
        return choice
    if choice.get("type") != "function":
        kind = str(choice.get("type"))[:64]
        raise BadRequest(f"tool_choice {kind!r} cannot be followed: name a function", "tool_choice.type")
    return {"type": "function", "function": {"name": choice.get("name")}}


def _turns(given: str | list[Item]) -> tuple[list[dict[str, Any]], list[str]]:
    """The input as the wire's turns, and the place that each comes from."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}], ["input"]
    turns: list[dict[str, Any]] = []
    places: list[str] = []
    names: dict[str, str | None] = {}
    for number, item in enumerate(given):
        place = f"input.{number}"
        if item.type == "function_call":
            names[item.call_id] = item.name
        if item.type == "function_call" and turns and turns[-1]["role"] == "assistant":
            turns[-1].setdefault("tool_calls", []).append(_call(item))
        elif (turn := _turn(item, place, names)) is not None:
            turns.append(turn)
            places.append(place)
    return turns, places


def _turn(item: Item, place: str, names: Mapping[str, str | None]) -> dict[str, Any] | None:
    """One piece as a turn; None for what a model does not read."""
    if item.type == "message":
        return {"role": item.role, "content": _content(item.content, f"{place}.content")}
    if item.type == "function_call":
        return {"role": "assistant", "tool_calls": [_call(item)]}
    if item.type == "function_call_output":
        said = {"role": "tool", "tool_call_id": item.call_id, "content": _content(item.output, f"{place}.output")}
        return said | {"name": item.name or names.get(item.call_id)}
    if item.type == "reasoning":
        return None
    raise BadRequest(f"{place}.type {item.type[:64]!r} is not known here", f"{place}.type")


def _call(item: Item) -> dict[str, Any]:
    return {"id": item.call_id, "function": {"name": item.name, "arguments": item.arguments}}


def _content(given: Any, place: str) -> Any:
    """What a piece says: a text, or texts and pictures."""
    if not isinstance(given, list):
        return given
    return [_part(part, f"{place}.{number}") for number, part in enumerate(given)]


def _part(part: Any, place: str) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXTS:
        return {"type": "text", "text": part.get("text")}
    if kind == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    if kind == "input_image" and part.get("image_url") is not None:
        detail = {} if part.get("detail") is None else {"detail": part["detail"]}
        return {"type": "image_url", "image_url": {"url": part["image_url"], **detail}}
    raise BadRequest(f"{place} should be input_text, or input_image with its image_url", place)


def _ignored(asked: Create) -> Iterator[str]:
    """What was understood and is not done."""
    if asked.store:
        yield "store was ignored: answers are not kept here"
    if asked.truncation != "disabled":
        yield "truncation was ignored: what is longer than the context is refused"
    if asked.max_tool_calls is not None:
        yield "max_tool_calls was ignored: an answer has one call at most"
    yield from (f"include {name[:64]!r} was ignored" for name in asked.include if name not in UNTOLD)


def _said(asked: Create, body: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer tells again of its request, with the API's defaults."""
    return {
        "instructions": asked.instructions,
        "max_output_tokens": asked.max_output_tokens,
        "metadata": asked.metadata,
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "reasoning": {"effort": asked.reasoning.effort, "summary": asked.reasoning.summary},
        "temperature": body.get("temperature"),
        "text": {"format": asked.text.format, "verbosity": asked.text.verbosity},
        "tool_choice": asked.tool_choice,
        "tools": asked.tools,
        "top_logprobs": asked.top_logprobs,
        "top_p": body.get("top_p"),
        "truncation": "disabled",
    }
