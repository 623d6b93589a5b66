"""Documents, and what is said of a request afterwards: understood, or a fault that says what is wrong."""

from __future__ import annotations

import contextlib
import json
import random

import pytest

from edge.errors import BadRequest, Fault
from edge.wire.afterwards import Forget, Rating, parse_forget, parse_rating
from edge.wire.message import Message
from edge.wire.replied import Reply
from edge.wire.reply import Outcome, fitted, terminal
from edge.wire.request import Address, Request, parse_request
from edge.wire.topics import Topics

TOPICS = Topics("pi", "hall")
SOURCE = {"path": "a/b.md", "title": "B", "heading": "C > D", "page": None, "text": "words"}


def parse(fields: dict, **properties) -> Request:
    """Through the bytes, as a request comes."""
    return parse_request(Message("edge/pi/request/me", json.dumps(fields).encode(), **properties), TOPICS, 65536)


@pytest.mark.parametrize("name", ["museum", "a", "A.b_c-9", "9" * 64])
def test_documents_are_named(name: str):
    """As devices are; `keep` is true unless it is said otherwise."""
    chat = parse({"prompt": "x", "documents": name, "keep": False}).chat
    assert (chat.documents, chat.keep) == (name, False)
    assert (parse({"prompt": "x"}).chat.documents, parse({"prompt": "x"}).chat.keep) == (None, True)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "-a", "a\n", "9" * 65, "é", 7, True, ["a"]])
def test_documents_are_no_paths(name: object):
    """Nothing but a name leads to a file."""
    with pytest.raises(BadRequest, match="documents"):
        parse({"prompt": "x", "documents": name})


@pytest.mark.parametrize("keep", ["false", 0, "no", []])
def test_keep_is_true_or_false(keep: object):
    """What is meant to leave no trace is never guessed at."""
    with pytest.raises(BadRequest, match="keep should be true or false"):
        parse({"prompt": "x", "keep": keep})


def picture(**properties: str) -> Request:
    """One as the payload, with user properties beside it."""
    pairs = tuple((f"edge-{name}", value) for name, value in {"prompt": "What?", **properties}.items())
    message = Message("edge/pi/request/me", b"\xff\xd8", content_type="image/jpeg", user_properties=pairs)
    return parse_request(message, TOPICS, 65536, 65536)


def test_a_picture_has_them_beside_it():
    """As user properties, which are texts by nature."""
    chat = picture(documents="museum", keep="false").chat
    assert (chat.documents, chat.keep) == ("museum", False)
    for wrong in ({"documents": "a/b"}, {"keep": "no"}):
        with pytest.raises(BadRequest, match=f"edge-{next(iter(wrong))}"):
            picture(**wrong)


def turns(*said: str) -> list[dict]:
    """A conversation, the user's turns and answers between them."""
    both = [({"role": "user", "content": each}, {"role": "assistant", "content": "Yes."}) for each in said]
    return [turn for pair in both for turn in pair][:-1]


LONG = "In which of the cupboards in the hall is the oil for the pump kept?"


@pytest.mark.parametrize(
    ("messages", "questions"),
    [
        (turns(LONG), [LONG]),
        (turns("What is E42?"), ["What is E42?"]),
        (turns("Where is the pump?", LONG), [LONG]),
        (turns(LONG, "and where is it kept?"), ["and where is it kept?", f"{LONG}\nand where is it kept?"]),
        (turns("a", LONG, "and then?"), ["and then?", f"{LONG}\nand then?"]),
        ([*turns(LONG), {"role": "assistant", "content": "In the"}], [LONG]),
        ([{"role": "system", "content": "Be kind."}, *turns(LONG)], [LONG]),
        (
            [
                {
                    "role": "user",
                    "content": [
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        {"type": "text", "text": LONG},
                    ],
                }
            ],
            [LONG],
        ),
    ],
)
def test_what_documents_are_looked_for_by(messages: list[dict], questions: list[str]):
    """What was asked last, also with what was asked before where it is little; neither answers nor pictures."""
    assert parse({"messages": messages}).chat.questions() == questions


def test_sources_are_told_where_documents_were_asked_for():
    """An empty list says that nothing was found, and no list that nobody looked."""
    address = Address("t", "q")
    for sources, told in (([SOURCE], [SOURCE]), ([], []), (None, "none")):
        body = json.loads(terminal(address, Outcome(200, "stop", sources=sources)).payload)
        assert body.get("sources", "none") == told
        Reply.model_validate(body)
    large = terminal(address, Outcome(200, "stop", "yes", sources=[{**SOURCE, "text": "x" * 10_000}]))
    assert "sources" not in json.loads(fitted(large, 4096).payload)


@pytest.mark.parametrize(("topic", "client"), [("edge/pi/forget/me", "me"), ("edge/hall/forget", None)])
@pytest.mark.parametrize("payload", [b"", b"{}", b"\xff" * 256])
def test_a_forget_is_its_topic(topic: str, client: str | None, payload: bytes):
    """What it says does not matter, as long as it is short."""
    assert parse_forget(Message(topic, payload), TOPICS) == Forget(client)


def test_a_forget_that_would_come_again_is_refused():
    """Kept by the broker it would forget at every connect."""
    with pytest.raises(BadRequest, match="retain"):
        parse_forget(Message("edge/pi/forget", b"", retain=True), TOPICS)
    with pytest.raises(BadRequest, match="256"):
        parse_forget(Message("edge/pi/forget", b"x" * 257), TOPICS)


@pytest.mark.parametrize(("topic", "base"), [("edge/pi/rating/me", "edge/pi"), ("edge/hall/rating/me", "edge/hall")])
def test_a_rating_is_an_id_and_a_word(topic: str, base: str):
    """And says under which name it came."""
    message = Message(topic, b'{"id": "q1", "rating": "good"}')
    assert parse_rating(message, TOPICS) == Rating(base, "me", "q1", "good")


@pytest.mark.parametrize(
    ("payload", "properties"),
    [
        (b"", {}),
        (b"good", {}),
        (b'{"id": "q"}', {}),
        (b'{"rating": "good"}', {}),
        (b'{"id": "q", "rating": "great"}', {}),
        (b'{"id": 7, "rating": "good"}', {}),
        (b'{"id": "%s", "rating": "good"}' % (b"q" * 257), {}),
        (b'{"id": "q", "rating": "good", "x": "%s"}' % (b"x" * 5000), {}),
        (b'{"id": "q", "rating": "good"}', {"retain": True}),
        (b'{"id": "q", "rating": "good"}', {"content_type": "image/png"}),
        (b"[" * 4000, {}),
    ],
)
def test_a_wrong_rating_is_told(payload: bytes, properties: dict):
    """Never a crash, never counted."""
    with pytest.raises(BadRequest):
        parse_rating(Message("edge/pi/rating", payload, **properties), TOPICS)


def test_mutated_ratings_never_crash():
    """2,000 seeded mutations: each is understood or a Fault."""
    chance, whole = random.Random(0), b'{"id": "q1", "rating": "good"}'
    for _ in range(2000):
        data = bytearray(whole)
        at = chance.randrange(len(data))
        data[at : at + chance.randrange(3)] = bytes(chance.choices(b'{}[]":,\\u0\xff\x00', k=chance.randrange(3)))
        with contextlib.suppress(Fault):
            assert parse_rating(Message("edge/pi/rating/me", bytes(data)), TOPICS).verdict in ("good", "bad")
