"""Stop strings never leak a piece of themselves, however the text is cut."""

from __future__ import annotations

import random

from edge.engine.text.stop_text import StopText


def test_any_cutting_gives_the_same_text():
    """What is shown is always what lies before the first stop string."""
    chance = random.Random(0)
    for _ in range(2000):
        text = "".join(chance.choices("abc", k=20))
        stops = ["".join(chance.choices("abc", k=chance.randrange(1, 5))) for _ in range(chance.randrange(3))]
        found = [at for stop in stops if (at := text.find(stop)) >= 0]
        stream, shown, left = StopText(stops), "", text
        while left:
            size = chance.randrange(1, 5)
            shown += stream.push(left[:size])
            left = left[size:]
        shown += stream.flush()
        if not found:
            assert shown == text
        else:
            assert stream.stopped
            assert not any(stop in shown for stop in stops)
            assert text.startswith(shown)
