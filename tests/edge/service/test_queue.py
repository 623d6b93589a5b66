"""Whose turn it is, and how long until then."""

from __future__ import annotations

import random

import pytest

from edge.service.fair_order import Turns
from edge.service.speed import Speed
from edge.wire.chat import ChatRequest
from edge.wire.reply import Outcome, Timings, Usage
from edge.wire.request import Address, Request


def line(*asked: str) -> Turns[str]:
    """Requests by names such as `a1`, of client a; a capital is urgent."""
    turns: Turns[str] = Turns(2)
    for name in asked:
        turns.put(name, name[0].lower(), 0 if name[0].isupper() else 1)
    return turns


def test_clients_take_turns():
    """One that asks a lot does not make one that asks once wait for all of it."""
    turns = line("a1", "a2", "a3", "b1", "c1", "c2")
    assert list(turns) == ["a1", "b1", "c1", "a2", "c2", "a3"]
    assert [turns.take() for _ in range(6)] == ["a1", "b1", "c1", "a2", "c2", "a3"]


def test_a_client_that_was_served_goes_to_the_end():
    """One that asks again and again comes after each of the others."""
    turns = line("a1", "b1")
    assert turns.take() == "a1"
    turns.put("a2", "a", 1)
    turns.put("c1", "c", 1)
    assert list(turns) == ["b1", "a2", "c1"]


def test_the_urgent_first():
    """Whoever asked for it, and in turns among themselves."""
    turns = line("a1", "B1", "C1", "B2", "b3")
    assert list(turns) == ["B1", "C1", "B2", "a1", "b3"]
    turns.put_first("a0", "a")
    assert turns.first() == "a0"


def test_order_told_is_order_taken():
    """After any puts, takes and removals the order that is told is the order that comes, and nothing is lost."""
    chance = random.Random(0)
    turns: Turns[str] = Turns(3)
    inside: set[str] = set()
    for number in range(2000):
        if chance.random() < 0.55:
            client = chance.choice("abcde")
            turns.put(f"{client}{number}", client, chance.randrange(3))
            inside.add(f"{client}{number}")
        elif inside and chance.random() < 0.5:
            gone = chance.choice(sorted(inside))
            assert turns.remove(gone)
            inside.remove(gone)
        elif inside:
            told = next(iter(turns))
            assert turns.first() == told == turns.take()
            inside.remove(told)
        assert len(turns) == len(inside)
    told = list(turns)
    assert set(told) == inside
    assert [turns.take() for _ in told] == told
    with pytest.raises(IndexError):
        turns.take()


def request(prompt: str, max_tokens: int | None = None) -> Request:
    """A request for so many tokens."""
    return Request(Address("edge/pi/reply", "q"), ChatRequest(prompt=prompt, max_tokens=max_tokens))


def test_the_speed_is_learned():
    """Nothing is foretold before the first answer; then by bytes of the prompt and tokens of the answer."""
    speed = Speed()
    assert speed.seconds(request("x" * 1000), 512) == 0
    outcome = Outcome(200, "stop", usage=Usage(50, 20), timings=Timings(0, prefill_seconds=2, decode_seconds=4))
    speed.learn(request("x" * 100), outcome)
    assert speed.seconds(request("x" * 200), 512) == pytest.approx(4 + 4)
    assert speed.seconds(request("x" * 200, max_tokens=5), 512) == pytest.approx(4 + 1)
    speed.learn(request("x"), Outcome(499, "cancelled"))
    assert speed.seconds(request("x" * 200), 512) == pytest.approx(8)


def test_each_model_has_its_own_speed():
    """What a slow one takes is not foretold of the board's own, whatever the name that a request has for it."""
    speed = Speed(named=lambda chat: "big" if chat.model in ("big", "bge") else None)
    own, big = request("x" * 100), request("x" * 100)
    big.chat.model = "bge"
    speed.learn(big, Outcome(200, "stop", usage=Usage(50, 20), timings=Timings(0, 20, 40)))
    assert speed.seconds(own, 512) == 0
    big.chat.model = "big"
    assert speed.seconds(big, 512) == pytest.approx(20 + 40)
    speed.learn(own, Outcome(200, "stop", usage=Usage(50, 20), timings=Timings(0, 2, 4)))
    assert (speed.seconds(own, 512), speed.seconds(big, 512)) == (pytest.approx(6), pytest.approx(60))


def test_documents_count_before_they_are_found():
    """By the budget that the board gives them: a deadline that they could not keep is refused at once."""
    speed, plain = Speed(documents_tokens=100), request("x" * 200)
    asked = Request(plain.address, ChatRequest(prompt="x" * 200, documents="museum"))
    assert speed.prompt_bytes(asked) == speed.prompt_bytes(plain) + 400
    speed.learn(asked, Outcome(200, "stop", usage=Usage(150, 20), timings=Timings(0, 3, 4)))
    assert speed.seconds(asked, 512) == pytest.approx(3 + 4)
    assert speed.seconds(plain, 512) == pytest.approx(1 + 4)


def test_answers_of_one_token_do_not_make_it_look_fast():
    """Their one token comes with the prompt; alone they tell nothing of how fast an answer grows."""
    speed = Speed()
    one = Outcome(200, "length", usage=Usage(50, 1), timings=Timings(0, prefill_seconds=2, decode_seconds=0.00002))
    speed.learn(request("x" * 100), one)
    assert (speed.decode_tokens_per_second, speed.prefill_tokens_per_second) == (None, 25)
    speed.learn(request("x" * 100), Outcome(200, "stop", usage=Usage(50, 20), timings=Timings(0, 2, 4)))
    assert speed.decode_tokens_per_second == pytest.approx(5, rel=0.01)
