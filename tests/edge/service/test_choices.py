"""Several answers to one request, over the whole daemon without a broker and without a model."""

from __future__ import annotations

import pytest

from edge.config import Limits
from edge.errors import BadRequest
from edge.service.queue import Queue
from edge.service.speed import Speed
from edge.service.waiting import Waiting
from edge.testing import ScriptedEngine
from edge.wire.chat import validated
from edge.wire.request import Address, Request
from tests.edge.service.test_daemon import rig, run


def test_each_streams_and_all_end_once():
    """A delta says whose it is; the reply has all of them, and the first as any reply has it."""

    async def work():
        async with rig() as it:
            it.ask(n=3)
            (reply,) = await it.replies()
            assert (reply["code"], reply["text"], reply["index"]) == (200, "Hello world", 6)
            assert [each["text"] for each in reply["choices"]] == ["Hello world"] * 3
            assert [each["index"] for each in reply["choices"]] == [0, 1, 2]
            assert {each["finish_reason"] for each in reply["choices"]} == {"stop"}
            assert reply["usage"]["completion_tokens"] == 6
            deltas = it.transport.bodies("delta")
            assert [each["index"] for each in deltas] == list(range(6))
            assert [each["choice"] for each in deltas] == [0, 1, 2, 0, 1, 2]

    run(work)


def test_a_cancel_ends_all_of_them():
    """What there is of each is told."""

    async def work():
        async with rig(ScriptedEngine(("a",) * 50, pause_seconds=0.02)) as it:
            it.ask(n=2)
            await it.transport.wait_for("delta", 4)
            it.ask("gone", topic="edge/pi/cancel", id="q")
            (reply,) = await it.replies()
            assert (reply["code"], reply["finish_reason"]) == (499, "cancelled")
            assert [each["finish_reason"] for each in reply["choices"]] == ["cancelled"] * 2
            assert all(set(each["text"]) == {"a"} for each in reply["choices"])

    run(work)


def test_an_engine_that_dies_begins_all_of_them_anew():
    """Nothing of the first attempt is in the reply."""

    async def work():
        engine = ScriptedEngine(("a", "b", "c"))
        engine.dies_after = 2
        async with rig(engine) as it:
            it.ask(n=2)
            await it.transport.wait_for("delta", 4)
            engine.dies_after = None
            (reply,) = await it.replies()
            assert [each["text"] for each in reply["choices"]] == ["abc", "abc"]
            assert reply["index"] == 6

    run(work)


def test_each_may_be_a_call():
    """Calls have names of their own, and the first is the reply's, too."""

    async def work():
        engine = ScriptedEngine(('{"name": "look", "arguments": {}}',))
        async with rig(engine) as it:
            tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
            it.ask(n=2, tools=[tool], tool_choice="required")
            (reply,) = await it.replies()
            names = [each["tool_calls"][0]["id"] for each in reply["choices"]]
            assert len(set(names)) == 2
            assert reply["tool_calls"][0]["id"] == names[0]
            assert {each["finish_reason"] for each in reply["choices"]} == {"tool_calls"} == {reply["finish_reason"]}

    run(work)


def test_a_search_is_not_overtaken():
    """It waits until as many rows are free as it has beams, or all; who came after waits behind it."""

    async def work():
        for beams in (2, 9):
            queue = Queue(Limits(), Speed())
            queue.rows = 3
            early, late, search, after = waiting(1), waiting(2), waiting(3, num_beams=beams), waiting(4)
            for each in (early, late, search, after):
                queue.put(each)
            assert [queue.begin(), queue.begin()] == [early, late]
            assert not queue.is_ready
            queue.end(early)
            assert queue.is_ready == (beams == 2)
            queue.end(late)
            assert queue.begin() is search
            assert queue.is_ready == (beams == 2)

    run(work)


@pytest.mark.parametrize(
    ("param", "fields"),
    [
        ("n", {"n": 3}),
        ("temperature", {"temperature": 0.5}),
        ("logprobs", {"logprobs": True}),
        ("board_tools", {"board_tools": True}),
        ("early_stopping", {"early_stopping": "soon"}),
        ("length_penalty", {"length_penalty": 9}),
        ("num_beams", {"num_beams": 17}),
    ],
)
def test_what_a_search_cannot(param, fields):
    """Is refused by the name of what is to be left out."""
    with pytest.raises(BadRequest) as raised:
        validated({"prompt": "x", "num_beams": 2, **fields})
    assert raised.value.param == param


def test_what_is_of_a_search_alone():
    """Is told where there is none."""
    (one, other) = validated({"prompt": "x", "length_penalty": 2, "early_stopping": "never"}).warnings
    assert ("length_penalty" in one, "early_stopping" in other) == (True, True)
    assert validated({"prompt": "x", "num_beams": 2, "length_penalty": 2, "early_stopping": "never"}).warnings == ()


def waiting(number: int, **fields) -> Waiting:
    """A request that is on disk."""
    request = Request(Address("a", str(number), f"c{number}"), validated({"prompt": "x", **fields}))
    return Waiting(number, request, 0.0, is_written=True)


@pytest.mark.parametrize("count", [2, 9])
def test_the_queue_counts_rows(count):
    """One that grows several texts takes as many places, or all there are; who comes after waits for one of them."""

    async def work():
        queue = Queue(Limits(), Speed())
        queue.rows = 3
        first, second, third = waiting(1, n=count), waiting(2), waiting(3)
        for each in (first, second, third):
            queue.put(each)
        assert queue.begin() is first
        assert queue.is_ready == (count == 2)
        assert [queue.place(each) for each in (second, third)] == ([0, 1] if count == 2 else [1, 1])
        queue.end(first)
        assert [queue.begin(), queue.begin()] == [second, third]

    run(work)
