"""Functions that a model may call, as the OpenAI chat API names them: offered in the prompt, held to by a grammar.

No chat template of ours has tools of its own, so they are told in the system prompt; an answer that begins with `{`
is a call, any other is text, and a grammar sees to it that nothing between the two can be said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

FunctionName = Annotated[StrictStr, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Function(BaseModel):
    """What can be called. parameters: a JSON schema of its arguments."""

    name: FunctionName
    description: Annotated[StrictStr, Field(max_length=4096)] = ""
    parameters: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


class Tool(BaseModel):
    """A function; the API knows no other kind."""

    type: Literal["function"]
    function: Function


class NamedFunction(BaseModel):
    """The name alone."""

    name: FunctionName


class NamedTool(BaseModel):
    """The one that must be called."""

    type: Literal["function"]
    function: NamedFunction


ToolChoice = Literal["none", "auto", "required"] | NamedTool


class Call(BaseModel):
    """What a model says where it calls a function."""

    model_config = ConfigDict(extra="forbid")

    name: FunctionName
    arguments: dict[str, Any]


class CalledFunction(BaseModel):
    """A call of an earlier turn. arguments: as JSON text, the API's way."""

    name: FunctionName
    arguments: StrictStr

    def text(self) -> str:
        """As the model wrote it."""
        return f'{{"name": "{self.name}", "arguments": {self.arguments}}}'


class ToolCall(BaseModel):
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
    lines = [json.dumps(tool.function.model_dump(), ensure_ascii=False) for tool in tools]
    form = '{"name": …, "arguments": {…}}'
    return "\n".join(["You may call one of these functions:", *lines, f"To call one, answer with nothing but {form}."])


def schema(tools: Iterable[Tool]) -> dict[str, Any]:
    """The JSON schema of a call of one of them."""
    calls = [
        {
            "type": "object",
            "properties": {"name": {"const": tool.function.name}, "arguments": tool.function.parameters},
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    return {"anyOf": calls}


def called(text: str, name: str) -> list[dict[str, Any]] | None:
    """The call that an answer is, in the API's form; None where it is none, or was cut off. name: the call's id."""
    if not text.startswith("{"):
        return None
    try:
        call = Call.model_validate_json(text)
    except ValidationError:
        return None
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return [{"id": name, "type": "function", "function": {"name": call.name, "arguments": arguments}}]
