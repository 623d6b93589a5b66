"""What is asked, with the OpenAI chat API's names: fields to a checked request, a wrong one told by its name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)

from edge.errors import BadRequest
from edge.wire import tools as functions
from edge.wire.parts import ImagePart, Parts
from edge.wire.pictures import Picture
from edge.wire.tools import NamedTool, Tool, ToolCall, ToolChoice


class ChatMessage(BaseModel):
    """One turn of a conversation; `tool` is the result of a call."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "user", "assistant", "tool"]
    content: Parts | None = None
    tool_calls: Annotated[list[ToolCall], Field(max_length=8)] = []
    tool_call_id: StrictStr | None = None
    name: StrictStr | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ChatMessage:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise ValueError("content is missing")
        if self.role != "user" and any(isinstance(part, ImagePart) for part in self.content or ()):
            raise ValueError("only the user's turns have pictures")
        return self

    def text(self) -> str:
        """All its parts, a line each."""
        return "\n".join(part.words() for part in self.content or ())

    def images(self) -> list[ImagePart]:
        """Its pictures."""
        return [part for part in self.content or () if isinstance(part, ImagePart)]

    def turn(self) -> dict[str, str]:
        """As a chat template reads it: calls as the model wrote them, results as the user's word."""
        if self.role == "tool":
            return {"role": "user", "content": f"Result of {self.name or 'the call'}: {self.text()}"}
        said = [self.text()] if self.content else []
        return {"role": self.role, "content": "\n".join([*said, *(call.function.text() for call in self.tool_calls)])}


class JsonSchema(BaseModel):
    """The schema that an answer must match; `name` and `strict` are the OpenAI API's and change nothing here."""

    model_config = ConfigDict(populate_by_name=True)

    schema_: dict[str, Any] = Field(alias="schema")
    name: str = ""
    strict: bool = True


class ResponseFormat(BaseModel):
    """`text`, `json_object` (any JSON object) or `json_schema`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> ResponseFormat:
        if self.type == "json_schema" and self.json_schema is None:
            raise ValueError("json_schema needs the field json_schema with a schema in it")
        return self

    def schema_of_answer(self) -> dict[str, Any] | None:
        """What the engine is held to; None for free text."""
        if self.type == "json_schema" and self.json_schema:
            return self.json_schema.schema_
        return {"type": "object"} if self.type == "json_object" else None


Priority = Literal["high", "normal", "low"]
Tokens = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]


class ChatRequest(BaseModel):
    """A request's payload, with the OpenAI chat API's names.

    temperature: 0 to 2, 0 is greedy. top_p, min_p: 0 to 1. top_k: 1 up, 0 for off. repetition_penalty: 0.5 to 2.
    None takes the bundle's own. loop_guard: end an answer that says the same over and over.
    logprobs: tell each token's, and those of as many others as top_logprobs says.
    max_tokens: None takes the daemon's default. deadline_ms: milliseconds from arrival. priority: whose turn is first.
    """

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=256)] = []
    prompt: StrictStr | None = None
    system: StrictStr | None = None
    model: StrictStr | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(strict=True, ge=0, le=100_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.5, le=2)] | None = None
    loop_guard: StrictBool = True
    logprobs: StrictBool = False
    top_logprobs: Annotated[int, Field(strict=True, ge=0, le=20)] = 0
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] | None = None
    stop: Annotated[list[Annotated[StrictStr, Field(min_length=1, max_length=256)]], Field(max_length=8)] = []
    stream: StrictBool = True
    response_format: ResponseFormat = ResponseFormat(type="text")
    tools: Annotated[list[Tool], Field(max_length=32)] = []
    tool_choice: ToolChoice = "auto"
    id: Annotated[StrictStr, Field(min_length=1, max_length=256)] | None = None
    response_topic: StrictStr | None = None
    deadline_ms: Annotated[int, Field(strict=True, ge=1, le=10**9)] | None = None
    priority: Priority = "normal"

    @model_validator(mode="before")
    @classmethod
    def _one_stop_is_a_list_of_one(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("stop"), str):
            return {**value, "stop": [value["stop"]]}
        return value

    @model_validator(mode="after")
    def _asks_something(self) -> ChatRequest:
        if bool(self.messages) == (self.prompt is not None):
            raise ValueError("give either prompt or messages")
        asked = self.prompt if self.prompt is not None else self.messages[-1].turn()["content"]
        if not asked.strip():
            raise ValueError("the prompt is empty")
        if isinstance(self.tool_choice, NamedTool) and not self.offered_tools():
            raise ValueError(f"tool_choice names {self.tool_choice.function.name!r}, which is not in tools")
        if self.tool_choice == "required" and not self.tools:
            raise ValueError("tool_choice requires a call, but there are no tools")
        return self

    def conversation(self) -> list[dict[str, str]]:
        """The turns, whichever way they were given, with what the model must know of its tools."""
        turns = [turn.turn() for turn in self.messages]
        if self.prompt is not None:
            turns = [{"role": "user", "content": self.prompt}]
        own = [self.system] if self.system else []
        tools = self.offered_tools()
        if tools and turns[0]["role"] == "system":
            own.append(turns.pop(0)["content"])
        if tools:
            own.append(functions.system_text(tools))
        return [{"role": "system", "content": "\n\n".join(own)}, *turns] if own else turns

    def images(self) -> list[ImagePart]:
        """The pictures of all turns."""
        return [image for turn in self.messages for image in turn.images()]

    def pictures(self) -> list[Picture]:
        """The same as the engine takes them."""
        return [image.picture() for image in self.images()]

    def offered_tools(self) -> list[Tool]:
        """The functions that may be called."""
        return functions.offered(self.tools, self.tool_choice)

    def guidance(self) -> tuple[dict[str, Any], bool] | None:
        """The JSON schema of the answer, and whether free text would do as well; None where only that is asked."""
        if tools := self.offered_tools():
            return functions.schema(tools), self.tool_choice == "auto"
        schema = self.response_format.schema_of_answer()
        return None if schema is None else (schema, False)


def validated(fields: dict[str, Any]) -> ChatRequest:
    """The fields as a request, null being as good as not said; BadRequest naming the first that is wrong."""
    try:
        return ChatRequest.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        fault = first_fault(error)
    raise fault  # out here, so that it does not refer to pydantic's error, whose cycles Python cannot collect


def first_fault(error: ValidationError) -> BadRequest:
    """The first thing that pydantic found wrong, by its field's name."""
    first = error.errors(include_url=False, include_input=False)[0]
    param = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    return BadRequest(f"{param}: {reason}" if param else reason, param or None)
