"""What moves an answer's tokens beside sampling: penalties for what was said, tokens' weights, its end; how many."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from edge.wire.shape import Integer, Number, Shape, wrong

BIASES_MAX, STOP_IDS_MAX = 1024, 64
ANSWERS_MAX = 16
BIAS_MAX = 100.0
"""A token with 100 more is all but certain, with 100 less it does not come; the OpenAI API's bound."""
TOKENS_MAX = 2**31 - 1

Penalty = Annotated[Number, Field(ge=-2, le=2)]
TokenId = Annotated[Integer, Field(ge=0, le=TOKENS_MAX)]


def _by_id(biases: Any) -> Any:
    """JSON's names are texts; those that are no ids are told by what they are."""
    if not isinstance(biases, dict):
        raise wrong("should be an object of token ids, each with a number")
    if len(biases) > BIASES_MAX:
        raise wrong(f"should have {BIASES_MAX} tokens at most, and has {len(biases)}")
    for name in biases:
        if not (isinstance(name, str) and name.isascii() and name.isdigit() and len(name) < 10):
            raise wrong(f"has {str(name)[:40]!r}, which is no token's id")
    return {int(name): bias for name, bias in biases.items()}


class Choosing(Shape):
    """Fields of a request, with the OpenAI API's names and vLLM's.

    presence_penalty, frequency_penalty: taken off a token's logit that the answer has, once and for each time. -2 to 2.
    logit_bias: added to logits, by token id: -100 to 100. min_tokens: before which the answer does not end by itself.
    stop_token_ids: that end it beside the model's own, and are not told. n: answers to make, each by dice of its own.
    """

    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: Annotated[dict[int, Annotated[Number, Field(ge=-BIAS_MAX, le=BIAS_MAX)]], BeforeValidator(_by_id)] = (
        Field({})
    )
    min_tokens: Annotated[Integer, Field(ge=0, le=1_000_000)] = 0
    stop_token_ids: list[TokenId] = Field([], max_length=STOP_IDS_MAX)
    n: Annotated[Integer, Field(ge=1, le=ANSWERS_MAX)] = 1
