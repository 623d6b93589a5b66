"""Functions that a model may call, as the OpenAI chat API names them: offered in the prompt, held to by a grammar.

No chat template of ours has tools of its own, so they are told in the system prompt; an answer that begins with `{`
is a call, any other is text, and a grammar sees to it that nothing between the two can be said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, StrictBool, StrictStr, Tag
from pydantic import ValidationError as Invalid

from edge.wire.schema import Schema, embedded
from edge.wire.shape import INNER, Shape, wrong

FunctionName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Function(Shape):
    """What can be called. parameters: a JSON schema of its arguments, which are always held to it, `strict` or not."""

    name: FunctionName
    description: Annotated[StrictStr, Field(max_length=4096)] = ""
    parameters: Schema = Field({"type": "object", "properties": {}, "additionalProperties": False})
    strict: StrictBool = True

    def told(self) -> dict[str, Any]:
        """What a model is told of it."""
        return {"name": self.name, "description": self.description, "parameters": self.parameters}


class Tool(Shape):
    """A function; the API knows no other kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(Shape):
    """The name alone."""

    name: FunctionName


class NamedTool(Shape):
    """The one that must be called."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(f"{INNER}word")] | Annotated[NamedTool, Tag(f"{INNER}named")],
    Discriminator(lambda choice: f"{INNER}named" if isinstance(choice, dict | NamedTool) else f"{INNER}word"),
]


class Call(BaseModel):
    """What a model says where it calls a function."""

    model_config = ConfigDict(extra="forbid")

    name: FunctionName
    arguments: dict[str, Any]


def _as_text(arguments: Any) -> Any:
    if not isinstance(arguments, str | dict):
        raise wrong("should be an object, or a text that says one")
    return json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments


class CalledFunction(Shape):
    """A call of an earlier turn. arguments: as JSON text, the API's way, or as the object that it says."""

    name: FunctionName
    arguments: Annotated[StrictStr, BeforeValidator(_as_text)]

    def text(self) -> str:
        """As the model wrote it."""
        return f'{{"name": "{self.name}", "arguments": {self.arguments}}}'


class ToolCall(Shape):
    """A call of an earlier turn, with the id that its result refers to."""

    id: StrictStr = ""
    type: Literal["function"] = "function"
    function: CalledFunction


def offered(tools: Sequence[Tool], choice: ToolChoice) -> list[Tool]:
    """Those that may be called."""
    if choice == "none":
        return []
    if isinstance(choice, NamedTool):
        return [tool for tool in tools if tool.function.name == choice.function.name]
    return list(tools)


def system_text(tools: Iterable[Tool]) -> str:
    """What the model is told of its tools."""
    lines = [json.dumps(tool.function.told(), ensure_ascii=False) for tool in tools]
    form = '{"name": …, "arguments": {…}}'
    return "\n".join(["You may call one of these functions:", *lines, f"To call one, answer with nothing but {form}."])


def schema(tools: Iterable[Tool], instead: dict[str, Any] | None = None) -> dict[str, Any]:
    """The JSON schema of a call of one of them. instead: of an answer that may come in place of a call."""
    calls = [_call_of(tool.function, number) for number, tool in enumerate(tools)]
    return {"anyOf": calls if instead is None else [*calls, embedded(instead, "answer")]}


def _call_of(function: Function, number: int) -> dict[str, Any]:
    arguments = {**embedded(function.parameters, f"tool-{number}"), "type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def called(text: str, name: str) -> list[dict[str, Any]] | None:
    """The call that an answer is, in the API's form; None where it is none, or was cut off. name: the call's id."""
    if not text.startswith("{"):
        return None
    try:
        call = Call.model_validate_json(text)
    except Invalid:
        return None
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return [{"id": name, "type": "function", "function": {"name": call.name, "arguments": arguments}}]
