"""The OpenAI chat API's fields that boards do not have: what becomes of a request that says one.

One is ignored with a warning where the answer is the same without it; where it would be another answer than was asked
for, and nobody would see that, the request is refused. What asks for nothing beyond what a board does anyway, as
`"store": false`, is taken in silence. Source: `CompletionCreateParams` of OpenAI's Python library, 3.57.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Foreign(NamedTuple):
    """A field. harmless: values that ask for nothing. refusal: why any other cannot be; None where it is ignored."""

    harmless: tuple[Any, ...] = ()
    refusal: str | None = None


TOOLS_INSTEAD = "is the API's old way to offer functions: say tools and tool_choice"
FOREIGN = {
    "audio": Foreign(),
    "function_call": Foreign(("none", "auto"), TOOLS_INSTEAD),
    "functions": Foreign(([],), TOOLS_INSTEAD),
    "metadata": Foreign(({},)),
    "modalities": Foreign((["text"],), 'should be ["text"]: answers are text alone'),
    "moderation": Foreign((), "cannot be followed here: nothing on a board judges texts"),
    "parallel_tool_calls": Foreign((True, False)),
    "prediction": Foreign(),
    "prompt_cache_key": Foreign(),
    "prompt_cache_options": Foreign(),
    "prompt_cache_retention": Foreign(),
    "reasoning_effort": Foreign(("none",)),
    "safety_identifier": Foreign(),
    "service_tier": Foreign(("auto", "default")),
    "store": Foreign((False,)),
    "stream_options": Foreign(({"include_usage": True},)),
    "user": Foreign(),
    "verbosity": Foreign(),
    "web_search_options": Foreign((), "cannot be followed here: boards search nothing"),
}


def refusals(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of fields that are not ours, those that cannot be ignored, each with the reason."""
    for name, value in fields.items():
        refusal = FOREIGN[name].refusal if name in FOREIGN else None
        if refusal is not None and not asks_nothing(name, value):
            yield name, refusal


def asks_nothing(name: str, value: Any) -> bool:
    """Whether a field that is not ours says what a board does anyway."""
    return name in FOREIGN and any(_same(value, each) for each in FOREIGN[name].harmless)


def _same(one: Any, other: Any) -> bool:
    """As JSON has it, where true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
