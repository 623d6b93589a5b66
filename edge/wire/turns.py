"""A turn of a conversation, with the OpenAI chat API's names."""

from __future__ import annotations

from itertools import chain
from typing import Literal

from pydantic import Field, StrictStr, model_validator

from edge.wire.parts import ImagePart, Parts, TextPart
from edge.wire.shape import Shape, wrong
from edge.wire.tools import ToolCall
from edge.wire.volatile import Cache, Forms


class ChatMessage(Shape):
    """One turn of a conversation; `tool` is the result of a call, `developer` is `system` by its newer name.

    cache: `volatile` where all of it changes from call to call.
    """

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Parts | None = None
    tool_calls: list[ToolCall] = Field([], max_length=8)
    tool_call_id: StrictStr | None = None
    name: StrictStr | None = None
    cache: Cache | None = None

    @model_validator(mode="after")
    def _says_something(self) -> ChatMessage:
        if self.content is None and not (self.role == "assistant" and self.tool_calls):
            raise wrong("is missing", "content")
        for number, part in enumerate(self.content or () if self.role != "user" else ()):
            if isinstance(part, ImagePart):
                raise wrong("should be a text: only the user's turns have pictures", "content", number)
        return self

    @model_validator(mode="after")
    def _can_be_laid_elsewhere(self) -> ChatMessage:
        marked = [("content", number, "cache") for number, part in enumerate(self.content or ()) if part.is_volatile]
        place = ("cache",) if self.cache else next(iter(marked), None)
        if place and self.role in ("assistant", "tool"):
            raise wrong(f"should be left out: what {self.role} says is never laid elsewhere", *place)
        if self.cache and self.images():
            raise wrong("should be on its texts: a turn with a picture is not laid elsewhere", "cache")
        return self

    def volatile(self) -> list[str]:
        """Its texts that change from call to call."""
        return [part.words() for part in self.content or () if self.cache or part.is_volatile]

    def lasting(self) -> ChatMessage | None:
        """The same without them; None where nothing is left."""
        if not self.volatile():
            return self
        kept = [] if self.cache else [part for part in self.content or () if not part.is_volatile]
        return self.model_copy(update={"content": kept}) if kept else None

    def marked(self, forms: Forms) -> ChatMessage:
        """Itself; of a system prompt that has lines of some forms a copy in which these are marked."""
        if self.cache or self.role not in ("system", "developer"):
            return self
        each = (part.cut(forms.fit) if isinstance(part, TextPart) else [part] for part in self.content or ())
        content = [*chain.from_iterable(each)]
        return self if content == self.content else self.model_copy(update={"content": content})

    def text(self) -> str:
        """All its parts, a line each."""
        return "\n".join(part.words() for part in self.content or ())

    def said(self) -> str:
        """The same without its pictures, and without what changes from call to call where there is more."""
        texts = [part for part in self.content or () if not isinstance(part, ImagePart)]
        return "\n".join(part.words() for part in [each for each in texts if not each.is_volatile] or texts)

    def images(self) -> list[ImagePart]:
        """Its pictures."""
        return [part for part in self.content or () if isinstance(part, ImagePart)]

    def turn(self) -> dict[str, str]:
        """As a chat template reads it: calls as the model wrote them, results as the user's word."""
        if self.role == "tool":
            return {"role": "user", "content": f"Result of {self.name or 'the call'}: {self.text()}"}
        said = [self.text()] if self.content else []
        calls = [call.function.text() for call in self.tool_calls]
        return {"role": "system" if self.role == "developer" else self.role, "content": "\n".join([*said, *calls])}
