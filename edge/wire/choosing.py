"""What moves an answer's tokens beside sampling: penalties for what was said, tokens' weights, its end; how many."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictStr, model_validator

from edge.wire.shape import Integer, Number, Shape, wrong

BIASES_MAX, STOP_IDS_MAX = 1024, 64
ANSWERS_MAX = BEAMS_MAX = 16
BIAS_MAX = 100.0
"""A token with 100 more is all but certain, with 100 less it does not come; the OpenAI API's bound."""
TOKENS_MAX = 2**31 - 1
SCORERS_MAX = 16

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


def _early(value: Any) -> Any:
    if not isinstance(value, bool) and value != "never":
        raise wrong("should be true, false or 'never'")
    return value


BESIDE_BEAMS = ("logprobs", "board_tools", "tools")
"""Fields that say what a search for the best text cannot do."""


class Choosing(Shape):
    """Fields of a request, with the OpenAI API's names and vLLM's.

    presence_penalty, frequency_penalty: taken off a token's logit that the answer has, once and for each time. -2 to 2.
    logit_bias: added to logits, by token id: -100 to 100. min_tokens: before which the answer does not end by itself.
    stop_token_ids: that end it beside the model's own, and are not told. n: answers to make, each by dice of its own.
    num_beams: over 1, a search for the best texts with so many at a time, of which `n` come back. length_penalty: the
    power of its length by which a text's weight is divided, -5 to 5. early_stopping: whether to end once there are
    enough texts; "never" where a better one may come. These three have Transformers' names.
    scorers: functions of the board's, by name, that weigh the answer's tokens.
    """

    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: Annotated[dict[int, Annotated[Number, Field(ge=-BIAS_MAX, le=BIAS_MAX)]], BeforeValidator(_by_id)] = (
        Field({})
    )
    min_tokens: Annotated[Integer, Field(ge=0, le=1_000_000)] = 0
    stop_token_ids: list[TokenId] = Field([], max_length=STOP_IDS_MAX)
    n: Annotated[Integer, Field(ge=1, le=ANSWERS_MAX)] = 1
    num_beams: Annotated[Integer, Field(ge=1, le=BEAMS_MAX)] = 1
    length_penalty: Annotated[Number, Field(ge=-5, le=5)] = 1.0
    early_stopping: Annotated[bool | Literal["never"], BeforeValidator(_early)] = False

    scorers: list[Annotated[StrictStr, Field(min_length=1, max_length=64)]] = Field([], max_length=SCORERS_MAX)

    @model_validator(mode="after")
    def _can_be_searched(self) -> Choosing:
        """A search takes the likeliest and draws nothing; a call is one text, and is not searched for."""
        if self.num_beams == 1:
            return self
        if self.n > self.num_beams:
            raise wrong(f"should be num_beams at most ({self.num_beams})", "n")
        if getattr(self, "temperature", None):
            raise wrong("should be 0 or left out beside num_beams: a search draws nothing", "temperature")
        for name in [name for name in BESIDE_BEAMS if getattr(self, name, None)]:
            raise wrong("cannot be had beside num_beams", name)
        return self

    def idle_beside_one(self) -> list[str]:
        """A warning for each field that is said of a search where there is none."""
        said = {"length_penalty": 1.0, "early_stopping": False} if self.num_beams == 1 else {}
        idle = [name for name, usual in said.items() if getattr(self, name) != usual]
        return [f"the field {name!r} is for num_beams and was ignored" for name in idle]
