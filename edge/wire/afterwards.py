"""What a client says of what it has asked: that it is to be forgotten, or that an answer was good."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import ValidationError

from edge.errors import BadRequest
from edge.wire.chat import Name
from edge.wire.fields import parse_fields
from edge.wire.message import JSON, Message
from edge.wire.shape import Shape, first_fault
from edge.wire.topics import Topics

FORGET_BYTES_MAX, RATING_BYTES_MAX = 256, 4096
Verdict = Literal["good", "bad"]


class Forget(NamedTuple):
    """Nothing is to stay of what a client has asked. client: its level in the topic; None: of all who have none."""

    client: str | None


class Rating(NamedTuple):
    """What a client thinks of an answer. base: of the device, or of its fleet. id: its request's."""

    base: str
    client: str | None
    id: str
    verdict: Verdict


class Rated(Shape):
    """A rating's payload."""

    id: Name
    rating: Verdict


def parse_forget(message: Message, topics: Topics) -> Forget:
    """A message on a forget topic; what it says does not matter. BadRequest where it is kept by the broker, or long."""
    if message.retain:
        raise BadRequest("a retained forget would be obeyed again at every connect; publish without retain")
    if len(message.payload) > FORGET_BYTES_MAX:
        raise BadRequest(f"a forget says nothing, or {FORGET_BYTES_MAX} bytes at most")
    return Forget(topics.parse(message.topic).client)


def parse_rating(message: Message, topics: Topics) -> Rating:
    """A message on a rating topic, `{"id": …, "rating": "good"}` or `"bad"`. BadRequest where it is none, or kept."""
    if message.retain:
        raise BadRequest("a retained rating would be counted again at every connect; publish without retain")
    if len(message.payload) > RATING_BYTES_MAX:
        raise BadRequest("a rating holds an id and a word, no more")
    if message.media_type != JSON:
        raise BadRequest('a rating is a JSON object, {"id": …, "rating": "good"}', "content_type")
    fields = parse_fields(message.payload, False, True, message.content_type)
    try:
        rated = Rated.model_validate(fields)
    except ValidationError as error:
        fault = first_fault(error, fields)
    else:
        place = topics.parse(message.topic)
        return Rating(place.base, place.client, rated.id, rated.rating)
    raise fault
