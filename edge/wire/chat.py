"""What is asked, with the OpenAI chat API's names: fields to a checked request, a wrong one told by its name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)

from edge.wire import tools as functions
from edge.wire.choosing import Choosing
from edge.wire.embeddings import ForVectors
from edge.wire.foreign import asks_nothing, refusals
from edge.wire.parts import ImagePart
from edge.wire.pictures import Picture
from edge.wire.schema import Schema, Unfit, check
from edge.wire.shape import Integer, Number, Shape, first_fault, warnings_of, wrong
from edge.wire.tools import NamedTool, Tool, ToolChoice
from edge.wire.topics import LEVEL
from edge.wire.turns import ChatMessage
from edge.wire.volatile import Forms, laid, split


class JsonSchema(Shape):
    """The schema that an answer must match; `name` and `strict` are the OpenAI API's and change nothing here."""

    schema_: Schema = Field(alias="schema")
    name: StrictStr = ""
    strict: StrictBool = True


class ResponseFormat(Shape):
    """`text`, `json_object` (any JSON object, or what a schema says) or `json_schema`.

    schema_: the other place where programs put a schema, llama.cpp's server among them.
    """

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None
    schema_: Schema | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def _has_one_schema(self) -> ResponseFormat:
        inner = None if self.json_schema is None else self.json_schema.schema_
        if self.schema_ is not None and inner is not None and self.schema_ != inner:
            raise wrong("is another schema than json_schema has", "schema")
        self.schema_ = inner if self.schema_ is None else self.schema_
        if self.type == "json_schema" and self.schema_ is None:
            raise wrong("is missing: it should be an object with a schema in it", "json_schema")
        if self.type == "text" and self.schema_ is not None:
            raise wrong("should be 'json_schema' where there is a schema", "type")
        return self

    def schema_of_answer(self) -> dict[str, Any] | None:
        """What the engine is held to; None for free text."""
        return {"type": "object"} if self.type == "json_object" and self.schema_ is None else self.schema_


Priority = Literal["high", "normal", "low"]
Tokens = Annotated[Integer, Field(ge=1, le=1_000_000)]
Name = Annotated[StrictStr, Field(min_length=1, max_length=256)]
Stop = Annotated[StrictStr, Field(min_length=1, max_length=256)]
Index = Annotated[StrictStr, Field(pattern=rf"^{LEVEL.pattern}$")]
"""What a board's documents are called."""
ALL = "*"
BoardToolName = Annotated[StrictStr, Field(pattern=r"^(\*|[A-Za-z0-9_-]{1,64})$")]
"""What a board's tool is called; `*` is all that the asker may use."""
SHORT_CHARACTERS = 40
"""A last question that is shorter may say next to nothing by itself, such as "and where is it kept?"."""
SEEDS = 2**31 - 1
"""How many seeds the engines tell apart: onnxruntime-genai takes 31 bits, and this is a prime, so that seeds which
differ by a power of two stay apart."""


def _in_a_list(stop: Any) -> Any:
    if not isinstance(stop, str | list):
        raise wrong("should be a text or a list of texts")
    return [stop] if isinstance(stop, str) else stop


def _all_or_some(names: Any) -> Any:
    if not isinstance(names, bool | str | list):
        raise wrong("should be true or a list of names")
    return ([ALL] if names else []) if isinstance(names, bool) else _in_a_list(names)


def _of_64_bits(seed: int) -> int:
    if not -(2**63) <= seed < 2**64:
        raise wrong("should be an integer of 64 bits, with a sign or without")
    return seed


def check_lengths(one: int | None, other: int | None, *place: str) -> None:
    """That a length which is given under two names is one. place: where the other is."""
    if one is not None and other not in (None, one):
        raise wrong(f"should be what max_tokens is ({one}), or left out", *place)


class ChatRequest(ForVectors, Choosing):
    """A request's payload, with the OpenAI chat API's names; one with `input` asks for vectors (embeddings.py).

    temperature: 0 to 2, 0 is greedy. top_p, min_p: 0 to 1. top_k: 1 up, 0 for off. repetition_penalty: 0.5 to 2.
    None takes the bundle's own. loop_guard: end an answer that says the same over and over.
    logprobs: tell each token's, and those of as many others as top_logprobs says. seed: of 64 bits, with a sign or not.
    max_tokens: None takes the daemon's default. deadline_ms: milliseconds from arrival. priority: whose turn is first.
    documents: of the board, that the answer is to come from. keep: whether anything of it may stay once it is answered.
    upstream: whether another server is to answer, or is not; None leaves it to the operator's rules.
    keep_alive_seconds: of a model that was loaded for this, how long it stays; -1 for as long as there is memory.
    board_tools: of the board, that the model may have used; `ALL` for whatever its asker may.
    """

    messages: list[ChatMessage] = Field([], max_length=256)
    prompt: StrictStr | None = None
    system: StrictStr | None = None
    model: StrictStr | None = None
    max_tokens: Tokens | None = None
    max_completion_tokens: Tokens | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(gt=0, le=1)] | None = None
    top_k: Annotated[Integer, Field(ge=0, le=100_000)] | None = None
    min_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[Number, Field(ge=0.5, le=2)] | None = None
    loop_guard: StrictBool = True
    logprobs: StrictBool = False
    top_logprobs: Annotated[Integer, Field(ge=0, le=20)] = 0
    seed: Annotated[Integer, AfterValidator(_of_64_bits)] | None = None
    stop: Annotated[list[Stop], BeforeValidator(_in_a_list)] = Field([], max_length=8)
    stream: StrictBool = True
    response_format: ResponseFormat = ResponseFormat(type="text", schema=None)
    tools: list[Tool] = Field([], max_length=32)
    tool_choice: ToolChoice = "auto"
    id: Name | None = None
    response_topic: StrictStr | None = None
    deadline_ms: Annotated[Integer, Field(ge=1, le=10**9)] | None = None
    priority: Priority = "normal"
    documents: Index | None = None
    board_tools: Annotated[list[BoardToolName], BeforeValidator(_all_or_some)] = Field([], max_length=32)
    keep: StrictBool = True
    upstream: StrictBool | None = None
    keep_alive_seconds: Annotated[Number, Field(ge=-1, le=10**9)] | None = None
    _warnings: tuple[str, ...] = PrivateAttr(())
    _forms: Forms = PrivateAttr(default_factory=lambda: Forms(()))
    """Of lines of system prompts that are read as if they had been marked."""

    @model_validator(mode="after")
    def _asks_something(self) -> ChatRequest:
        if self.prompt is not None and self.messages:
            raise wrong("is one too many beside messages: give either prompt or messages", "prompt")
        if self.prompt is None and not self.messages and self.input is None:
            raise wrong("is missing: give either prompt or messages", "messages")
        if self.prompt is not None and not self.prompt.strip():
            raise wrong("is empty", "prompt")
        return self

    @model_validator(mode="after")
    def _ends_with_what_can_be_answered(self) -> ChatRequest:
        """A question, or the beginning of an answer."""
        last = len(self.messages) - 1
        if last < 0:
            return self
        turn = self.messages[last]
        if turn.role == "assistant" and turn.tool_calls:
            raise wrong("should be followed by a turn of role tool, with its result", "messages", last, "tool_calls")
        if not turn.turn()["content"].strip():
            raise wrong("is empty, and it is what should be answered", "messages", last, "content")
        return self

    @model_validator(mode="after")
    def _fields_agree(self) -> ChatRequest:
        check_lengths(self.max_tokens, self.max_completion_tokens, "max_completion_tokens")
        self.max_tokens = self.max_tokens or self.max_completion_tokens
        is_begun = bool(self.messages) and self.messages[-1].role == "assistant"
        if self.board_tools and is_begun:
            raise wrong("should be left out where the answer is begun already", "board_tools")
        if self.board_tools and self.n > 1:
            raise wrong("should be 1 where the board's tools may be used: they are used once", "n")
        if isinstance(self.tool_choice, NamedTool) and not (self.offered_tools() or self.board_tools):
            name = self.tool_choice.function.name
            raise wrong(f"should be one of tools, and {name!r} is none", "tool_choice", "function", "name")
        if self.tool_choice == "required" and not (self.tools or self.board_tools):
            raise wrong("requires a call of one of tools, but there are no tools", "tool_choice")
        for name, refusal in refusals(self.model_extra or {}):
            raise wrong(refusal, name)
        return self

    @model_validator(mode="after")
    def _schemas_can_be_followed(self) -> ChatRequest:
        if (schema := self.response_format.schema_of_answer()) is not None:
            _check(schema, None, "response_format")
        offered = self.offered_tools()
        for number, tool in enumerate(self.tools):
            if tool in offered:
                _check(tool.function.parameters, "object", "tools", number, "function", "parameters")
        return self

    @model_validator(mode="after")
    def _tells_what_it_ignores(self) -> ChatRequest:
        unknown = self.model_extra or {}
        for name in [name for name, value in unknown.items() if asks_nothing(name, value)]:
            del unknown[name]
        self._warnings = (*warnings_of(self), *self._idle, *self.idle_beside_one())
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """What of the request was ignored."""
        return self._warnings

    @property
    def dice(self) -> int | None:
        """The seed as the engines take it, the same one for any below `SEEDS`."""
        return None if self.seed is None else self.seed % SEEDS

    @property
    def answers(self) -> int:
        """How many are made."""
        return 1 if self.input is not None else self.n

    @property
    def rows(self) -> int:
        """Texts that grow for it at once, as far as there are rows."""
        return max(self.answers, self.rows_to_begin)

    @property
    def rows_to_begin(self) -> int:
        """So many it must have before it is begun."""
        return 1 if self.input is not None else self.num_beams

    def conversation(self) -> list[dict[str, str]]:
        """The turns, whichever way they were given, with what the model must know of its tools.

        The last is the assistant's where the answer goes on with it.
        """
        system, moved, marked = self._marked()
        turns = laid(marked, moved)
        own = [system] if system else []
        tools = self.offered_tools()
        if tools and turns[0]["role"] == "system":
            own.append(turns.pop(0)["content"])
        if tools:
            own.append(functions.system_text(tools))
        return [{"role": "system", "content": "\n\n".join(own)}, *turns] if own else turns

    def lay_last(self, forms: Forms) -> bool:
        """Have lines of system prompts that are of some forms read as if they had been marked; whether there are any.

        Its fields stay as they are: who else is sent them gets what was asked.
        """
        self._forms = forms
        _, moved, turns = self._marked()
        return bool(moved) or any(turn is not own for turn, own in zip(turns, self.messages, strict=False))

    def _marked(self) -> tuple[str, list[str], list[ChatMessage]]:
        """`system` without lines of `lay_last`'s forms, these, and the turns with theirs marked.

        Nothing is marked where no turn is the user's, nor behind their last one.
        """
        turns = self.messages or [ChatMessage.model_validate({"role": "user", "content": self.prompt or ""})]
        last = max((number for number, turn in enumerate(turns) if turn.role == "user"), default=None)
        if last is None or not self._forms:
            return self.system or "", [], turns
        kept, moved = split(self.system or "", self._forms.fit)
        return kept, moved, [*(turn.marked(self._forms) for turn in turns[:last]), *turns[last:]]

    def questions(self) -> list[str]:
        """What documents are looked for by: what the user said last; where that is little, also with what was before.

        A short one may go on about the same matter or begin another, and nobody but the asker knows which.
        """
        users = [turn for turn in self.messages if turn.role == "user"]
        said = [turn.said() for turn in users if not turn.cache] or [turn.said() for turn in users]
        said = said or [self.prompt or ""]
        last = said[-1].strip()
        is_short = len(last) < SHORT_CHARACTERS and len(said) > 1
        return [last, f"{said[-2]}\n{last}"] if is_short else [last]

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
        schema = self.response_format.schema_of_answer()
        if tools := self.offered_tools():
            is_free = self.tool_choice == "auto"
            return functions.schema(tools, schema if is_free else None), is_free and schema is None
        return None if schema is None else (schema, False)


def _check(schema: dict[str, Any], kind: str | None, *place: str | int) -> None:
    try:
        check(schema, kind)
    except Unfit as unfit:
        reason = str(unfit)
    else:
        return
    raise wrong(f"cannot be followed: {reason}", *place)


def validated(fields: dict[str, Any]) -> ChatRequest:
    """The fields as a request; BadRequest naming the first that is wrong."""
    try:
        chat = ChatRequest.model_validate(fields)
    except ValidationError as error:
        fault = first_fault(error, fields)
    else:
        return chat
    raise fault  # out here, so that it does not refer to pydantic's error, whose cycles Python cannot collect
