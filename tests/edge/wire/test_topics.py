"""Where answers may go: never where the asker could not publish itself, never what ends the board's connection."""

from __future__ import annotations

import pytest

from edge.wire.topics import Topics

OWN, FLEET = Topics("pi"), Topics("pi", "kitchen")
ALLOWED = [
    (OWN, "me", "answers/me"),
    (OWN, "me", "answers/me/1/2"),
    (OWN, "me", "reply/me/x"),
    (OWN, "me", "response/me"),
    (OWN, "me", "edge/pi/reply/me"),
    (FLEET, "me", "edge/kitchen/reply/me"),
    (OWN, None, "answers/anything"),
    (OWN, None, "response"),
    (OWN, None, "edge/pi/reply"),
    (Topics("pi", response_topics=("site/7/",)), "me", "site/7/bob"),
    (Topics("pi", response_topics=("site/{client}/in",)), "me", "site/me/in/1"),
]
REFUSED = [
    (OWN, "me", "answers"),
    (OWN, "me", "answers/"),
    (OWN, "me", "answers/bob"),
    (OWN, "me", "answers/mex"),
    (OWN, "me", "answers/me2/1"),
    (OWN, "me", "answers//me"),
    (OWN, "me", "answers/ME"),
    (OWN, "me", "response/bob/me"),
    (OWN, "me", "reply"),
    (OWN, "me", "edge/pi/reply"),
    (OWN, "me", "edge/pi/reply/bob"),
    (OWN, "me", "edge/pi/reply/me/x"),
    (OWN, "me", "edge/other/reply/me"),
    (OWN, "me", "edge/pi/status"),
    (OWN, "me", "edge/pi/request/me"),
    (OWN, "me", "edge"),
    (OWN, None, "edge/pi/reply/bob"),
    (OWN, None, "edge/other/reply"),
    (OWN, None, "answersx"),
    (OWN, "me", "$SYS/broker"),
    (OWN, "me", ""),
    (OWN, "me", "/answers/me"),
    (Topics("pi", response_topics=("answers/{client}",)), "me", "edge/pi/reply/me"),
    (Topics("pi", response_topics=("site/{client}/in",)), "me", "site/bob/in"),
    *((OWN, "me", f"answers/me/{bad}") for bad in ("#", "+/x", "\0", "\x01", "\x7f", "\x9f", "\n", "\ufffe", "\ud800")),
    (OWN, "me", "answers/me/" + "x" * 2000),
    (OWN, "me", "answers/me" + "/x" * 40),
]


@pytest.mark.parametrize(("topics", "client", "topic"), ALLOWED)
def test_where_answers_may_go(topics, client, topic):
    """A client's own levels; what an operator lists without `{client}` is everybody's."""
    assert topics.refusal(topic, client) is None


@pytest.mark.parametrize(("topics", "client", "topic"), REFUSED)
def test_where_answers_may_not_go(topics, client, topic):
    """Another's topics, a board's own, and what a broker would end the connection over."""
    assert topics.refusal(topic, client)
