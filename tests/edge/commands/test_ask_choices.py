"""Several answers as `edge ask` prints them."""

from __future__ import annotations

from edge.commands.ask import text_of


def test_answers_stand_one_below_the_other():
    """Of one, the text; of several each, with a line between them; what cannot be read is not."""
    assert text_of({"text": "an owl"}) == "an owl"
    several = [{"text": "an owl"}, {"text": "a wren"}]
    assert text_of({"text": "an owl", "choices": several}) == "an owl\n--- 1\na wren"
    assert text_of({"text": "an owl", "choices": 5}) == "an owl"
