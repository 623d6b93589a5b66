"""The board's own tools: who may have them used, what is done and told, and that nothing else is ever done."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.board.instruments import Instruments
from edge.config import Settings
from edge.engine import Job
from edge.service.board_tools import HEARD_BYTES_MAX, BoardTools, Refused
from edge.service.daemon import Daemon
from edge.service.journal_file import JournalFile
from edge.service.seat import Seat
from edge.service.served import Served
from edge.testing import MemoryTransport, ScriptedEngine, SimulatedLoop, scripted_manifest
from edge.wire.message import Delivery, Message

TOOLS: dict[str, dict[str, Any]] = {
    "lamp": {
        "kind": "publish",
        "description": "Switch a lamp.",
        "clients": ["kiosk"],
        "topic": "home/{room}/lamp",
        "levels": {"room": ["hall", "kitchen"]},
        "payload": ["ON", "OFF"],
    },
    "blind": {
        "kind": "publish",
        "description": "Move a blind.",
        "clients": ["*"],
        "topic": "home/blind-{number}/set",
        "levels": {"number": "[a-z0-9]{1,8}|all rooms"},
        "payload": {
            "type": "object",
            "properties": {"position": {"type": "integer", "minimum": 0, "maximum": 100}, "why": {"type": "string"}},
            "required": ["position"],
        },
        "qos": 0,
    },
    "weather": {"kind": "retained", "description": "The weather.", "clients": ["*"], "topic": "weather/now"},
    "heat": {
        "kind": "telemetry",
        "description": "How warm the board is.",
        "clients": ["*"],
        "values": ["thermal.hottest_celsius", "inference.running"],
    },
}
LAMP = '{"name":"lamp","arguments":{"room":"hall","payload":"ON"}}'
WORDS = ("It is ", "done.")
OWN = {"type": "function", "function": {"name": "own"}}


class Picky(MemoryTransport):
    """A broker that treats what goes into the home otherwise than the rest."""

    home: Delivery | None = Delivery.TAKEN

    def publish(self, message: Message, done: Callable[[Delivery], None] | None = None) -> None:
        """As told."""
        before, self.delivery = self.delivery, self.home if message.topic.startswith("home/") else self.delivery
        super().publish(message, done)
        self.delivery = before

    def sent(self) -> list[tuple[str, bytes]]:
        """What went into the home."""
        return [(each.topic, each.payload) for each in self.published if each.topic.startswith("home/")]


class Rig:
    """A running daemon with tools, and its two ends."""

    def __init__(self, says: Callable[[Job], Sequence[str]], tools: dict[str, Any], **limits: Any) -> None:
        self.transport, self.engine = Picky(), ScriptedEngine()
        self.engine.says = says
        self.engine.rows = 2
        made = Settings(device="pi", tools=tools, limits={"stop_seconds": 1, **limits})
        self.journal = JournalFile(None)
        seat = Seat(Served(scripted_manifest(), self.engine))
        self.service = Daemon(made, seat, self.transport, Instruments(), self.journal)

    def ask(self, name: str = "q", client: str = "kiosk", properties: Any = (), **fields: Any) -> None:
        """A request that offers all tools unless it says otherwise."""
        payload = json.dumps({"prompt": "It is dark.", "id": name, "board_tools": True, **fields}).encode()
        self.transport.arrive(Message(f"edge/pi/request/{client}", payload, user_properties=properties))

    async def reply(self, count: int = 1) -> dict[str, Any]:
        """The last of so many terminal messages."""
        return (await self.transport.wait_for("reply", count, 30))[-1]


def once(*said: str) -> Callable[[Job], Sequence[str]]:
    """Says each in its turn, a round each, and words from then on."""
    rounds = iter(said)
    return lambda _job: (found,) if (found := next(rounds, "")) else WORDS


@contextlib.asynccontextmanager
async def rig(says: Callable[[Job], Sequence[str]], tools: Any = None, **limits: Any) -> AsyncIterator[Rig]:
    """A daemon that runs for the length of the block."""
    made = Rig(says, TOOLS if tools is None else tools, **limits)
    task = asyncio.create_task(made.service.run())
    try:
        yield made
    finally:
        made.service.stop()
        await asyncio.wait_for(task, 10)


def run(work, loop: Any = None) -> None:
    """An async test; on a loop whose time is its own where that is given."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(work(), 300 if loop else 30))


# --- what is done ---


def test_a_call_is_carried_out_and_the_answer_is_what_follows():
    """Published as declared; deltas of the words alone; call and result are turns for the model; usage is of all."""

    async def work():
        async with rig(once(LAMP)) as it:
            it.ask()
            reply = await it.reply()
            assert it.transport.sent() == [("home/hall/lamp", b"ON")]
            assert (reply["code"], reply["finish_reason"], reply["text"]) == (200, "stop", "It is done.")
            call = {"name": "lamp", "arguments": {"room": "hall", "payload": "ON"}, "result": "done"}
            assert reply["board_calls"] == [call]
            assert [each["text"] for each in it.transport.bodies("delta")] == list(WORDS)
            assert reply["usage"]["prompt_tokens"] == 2
            assert reply["usage"]["completion_tokens"] == 3
            first, second = it.engine.jobs
            assert second.messages[: len(first.messages)] == first.messages
            assert [turn["content"] for turn in second.messages[2:]] == [LAMP, "Result of lamp: done"]
            assert first.may_be_text
            assert second.may_be_text

    run(work)


def test_without_a_word_of_it_there_are_no_tools():
    """A request that does not ask for them gets none, and its reply does not speak of them."""

    async def work():
        async with rig(once(LAMP)) as it:
            it.ask(board_tools=None)
            reply = await it.reply()
            assert reply["text"] == LAMP
            assert "board_calls" not in reply
            assert "lamp" not in json.dumps(it.engine.jobs[0].messages)
            assert (it.engine.jobs[0].guidance, it.transport.sent()) == (None, [])
            it.ask("r", tool_choice="none")
            reply = await it.reply(2)
            assert reply["board_calls"] == reply["warnings"] == []
            assert it.engine.jobs[-1].guidance is None

    run(work)


def test_rounds_are_bounded():
    """After limits.tool_rounds calls an answer must not begin as a call does; what is said then is text in any case."""
    numbers = itertools.count()

    def says(_job: Job) -> Sequence[str]:
        return (f'{{"name":"blind","arguments":{{"number":"b{next(numbers)}","payload":{{"position":1}}}}}}',)

    async def work():
        async with rig(says, tool_rounds=3) as it:
            it.ask()
            reply = await it.reply()
            assert [topic for topic, _ in it.transport.sent()] == [f"home/blind-b{number}/set" for number in range(3)]
            assert len(reply["board_calls"]) == 3
            assert reply["text"].startswith('{"name":"blind"')
            assert it.engine.jobs[-1].guidance == {"type": "string"}
            assert it.engine.jobs[-1].messages[0] == it.engine.jobs[0].messages[0]  # so that its beginning is found

    run(work)


def test_the_same_call_is_not_done_twice():
    """It is told in the answer, the model is not told of it, and the next thing that it says is words."""

    async def work():
        async with rig(once(LAMP, LAMP)) as it:
            it.ask()
            reply = await it.reply()
            assert it.transport.sent() == [("home/hall/lamp", b"ON")]
            assert ["result" in call for call in reply["board_calls"]] == [True, False]
            assert "not done again" in reply["board_calls"][1]["error"]
            second, third = it.engine.jobs[1:]
            assert second.messages == third.messages
            assert third.guidance == {"type": "string"}

    run(work)


def test_a_forced_call_is_the_first_alone():
    """`required`, or a tool by its name; then the model decides, among the same tools."""

    async def work():
        async with rig(once(LAMP, "", LAMP)) as it:
            it.ask("q1", tool_choice="required")
            await it.reply()
            it.ask("q2", tool_choice={"type": "function", "function": {"name": "lamp"}})
            await it.reply(2)
            jobs = it.engine.jobs
            assert [job.may_be_text for job in jobs] == [False, True, False, True]
            assert len(jobs[0].guidance["anyOf"]) == 4
            assert len(jobs[2].guidance["anyOf"]) == 1
            assert jobs[2].messages[0] == jobs[3].messages[0]

    run(work)


def test_what_a_topic_says_is_read():
    """Nothing yet, then its last payload: cut, without control characters; an empty one is none."""
    said = '{"name":"weather","arguments":{}}'

    async def work():
        def says(job: Job) -> Sequence[str]:
            return WORDS if "Result of" in job.messages[-1]["content"] else (said,)

        async with rig(says) as it:
            heard = [None, b"rain\x00\xff", "€".encode() * 1000, b""]
            results = []
            for count, payload in enumerate(heard, 1):
                if payload is not None:
                    it.transport.arrive(Message("weather/now", payload))
                it.ask(f"q{count}")
                (call,) = (await it.reply(count))["board_calls"]
                results.append(call.get("result") or call["error"])
            assert results[0] == results[3] == "nothing is on its topic"
            assert results[1] == "rain \ufffd"
            assert results[2].startswith("€€€")
            assert results[2].endswith("…")
            assert len(results[2].encode()) < HEARD_BYTES_MAX + 10
            assert "Result of weather: rain" in it.engine.jobs[3].messages[-1]["content"]

    run(work)


def test_a_value_of_the_telemetry_is_read():
    """One that the board has, with its name and age; one that it does not have is told so."""
    said = [json.dumps({"name": "heat", "arguments": {"value": value}}) for value in TOOLS["heat"]["values"]]

    async def work():
        async with rig(once(*said)) as it:
            it.ask()
            hot, running = (await it.reply())["board_calls"]
            assert hot["error"] == "the board does not know its thermal.hottest_celsius"
            assert re.fullmatch(r"inference\.running: \d+ \(\d+ s ago\)", running["result"])

    run(work)


# --- who may ---


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"client": "me", "board_tools": ["lamp"]}, 404, "board_tools"),
        ({"board_tools": ["lamp", "door"]}, 404, "board_tools"),
        ({"board_tools": ["no spaces"]}, 400, "board_tools.0"),
        ({"board_tools": 3}, 400, "board_tools"),
        ({"board_tools": ["lamp"], "tools": [{"type": "function", "function": {"name": "lamp"}}]}, 400, None),
        ({"tool_choice": {"type": "function", "function": {"name": "door"}}}, 400, "tool_choice.function.name"),
        ({"prompt": None, "messages": [{"role": "assistant", "content": "It"}]}, 400, "board_tools"),
    ],
)
def test_what_may_not_be_asked_for_is_refused(fields, code, param):
    """Before it waits: tools that there are not, or not for this client, and names that mean two things."""

    async def work():
        async with rig(once()) as it:
            it.ask(**fields)
            reply = await it.reply()
            assert reply["code"] == code
            assert reply["error"]["param"] == (param or "tools.0.function.name")
            assert it.engine.jobs == []

    run(work)


def test_whatever_there_is_may_be_none():
    """`true` of a client that may have none: a warning, and an answer; a forced call cannot be."""

    async def work():
        async with rig(once(), {"lamp": TOOLS["lamp"]}) as it:
            it.ask(client="me")
            reply = await it.reply()
            assert (reply["code"], reply["board_calls"]) == (200, [])
            assert reply["warnings"] == ["board_tools: this board has none for this client"]
            it.ask("r", client="me", tool_choice="required")
            assert (await it.reply(2))["code"] == 404

    run(work)


def test_beside_the_askers_own_tools():
    """A call of the asker's own ends the answer, in one delta, after what the board's have done."""
    said = '{"name":"own","arguments":{}}'

    async def work():
        async with rig(once(LAMP, said)) as it:
            it.ask(tools=[OWN])
            reply = await it.reply()
            assert reply["finish_reason"] == "tool_calls"
            assert [call["function"]["name"] for call in reply["tool_calls"]] == ["own"]
            assert [call["name"] for call in reply["board_calls"]] == ["lamp"]
            assert [each["text"] for each in it.transport.bodies("delta")] == [said]

    run(work)


def test_an_answer_by_a_schema_is_no_call():
    """What begins like a call and is none comes whole."""
    form = {"type": "json_object"}

    async def work():
        async with rig(lambda _job: ('{"a"', ":1}")) as it:
            it.ask(response_format=form)
            reply = await it.reply()
            assert (reply["text"], reply["board_calls"]) == ('{"a":1}', [])
            assert [each["text"] for each in it.transport.bodies("delta")] == ['{"a":1}']

    run(work)


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("delivery", "said"),
    [
        (Delivery.REFUSED, "the broker refused it"),
        (Delivery.LOST, "not known whether"),
        (Delivery.UNHEARD, "done, but nobody listens there now"),
        (None, "did not say within 5 s"),
    ],
)
def test_what_the_broker_says_is_told(delivery, said):
    """Refused, lost, without a word, or to nobody; the answer comes all the same, and nothing is sent again."""

    async def work():
        async with rig(once(LAMP)) as it:
            it.transport.home = delivery
            it.ask()
            reply = await it.reply()
            (call,) = reply["board_calls"]
            assert said in (call.get("result") or call["error"])
            assert reply["code"] == 200
            assert len(it.transport.sent()) == 1
            assert said in it.engine.jobs[1].messages[-1]["content"]

    run(work, SimulatedLoop)


def test_a_broker_that_is_away_is_told():
    """Nothing is published, and nothing is left for later."""

    async def work():
        async with rig(lambda _job: ()) as it:

            def says(_job: Job) -> Sequence[str]:
                it.transport.is_connected = False
                return (LAMP,) if len(it.engine.jobs) == 1 else WORDS

            it.engine.says = says
            it.ask()
            while len(it.engine.jobs) < 2:
                await asyncio.sleep(0.01)
            it.transport.start()
            assert "nothing was published" in (await it.reply())["board_calls"][0]["error"]
            assert it.transport.sent() == []

    run(work)


def test_an_engine_that_dies_after_a_call_does_not_publish_again():
    """The request is begun again and goes on with what is known."""

    async def work():
        async with rig(lambda _job: ()) as it:

            def says(_job: Job) -> Sequence[str]:
                it.engine.dies_of = "Result of lamp: done" if len(it.engine.jobs) == 2 else None
                return (LAMP,) if len(it.engine.jobs) == 1 else WORDS

            it.engine.says = says
            it.ask()
            reply = await it.reply()
            assert (reply["text"], len(reply["board_calls"])) == ("It is done.", 1)
            assert len(it.transport.sent()) == 1
            assert len(it.engine.jobs) == 3

    run(work)


def test_a_cancel_tells_what_was_done():
    """While the board waits for its broker's word: 499, with the call, and the model is not asked again."""

    async def work():
        async with rig(once(LAMP)) as it:
            it.transport.home = None
            it.ask()
            while not it.transport.sent():
                await asyncio.sleep(0.01)
            it.transport.arrive(Message("edge/pi/cancel/kiosk", b"q"))
            await asyncio.sleep(0.1)
            it.transport.settle(Delivery.TAKEN)
            reply = await it.reply()
            assert (reply["code"], reply["text"], len(it.engine.jobs)) == (499, "", 1)
            assert reply["board_calls"][0]["result"] == "done"

    run(work)


def test_half_a_call_is_no_answer():
    """A cancel in the middle of one leaves no piece of it as text."""

    async def work():
        async with rig(lambda _job: (LAMP[:10], LAMP[10:])) as it:
            it.engine.pause_seconds = 0.2
            it.ask()
            while not it.engine.jobs:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.25)
            it.transport.arrive(Message("edge/pi/cancel/kiosk", b"q"))
            reply = await it.reply()
            assert (reply["code"], reply["text"]) == (499, "")
            assert it.transport.bodies("delta") == it.transport.sent() == []

    run(work)


def test_what_a_dead_board_may_have_done_is_not_done_again():
    """A fleet's request that another board had before publishes nothing; reading it may."""
    read = '{"name":"weather","arguments":{}}'

    async def work():
        async with rig(once(LAMP, read)) as it:
            it.transport.arrive(Message("weather/now", b"rain"))
            it.ask(properties=(("inherited", "1"),))
            lamp, weather = (await it.reply())["board_calls"]
            assert "another board had this request" in lamp["error"]
            assert weather["result"] == "rain"
            assert it.transport.sent() == []

    run(work)


def test_two_at_once_do_not_mix():
    """Each has its own calls and results, whatever the other does meanwhile."""
    other = LAMP.replace("hall", "kitchen")

    def says(job: Job) -> Sequence[str]:
        if "Result of" in job.messages[-1]["content"]:
            return WORDS
        return (other if "kitchen" in job.messages[1]["content"] else LAMP,)

    async def work():
        async with rig(says) as it:
            it.engine.pause_seconds = 0.02
            for name, room in (("a", "hall"), ("b", "kitchen"), ("c", "hall")):
                it.ask(name, prompt=f"It is dark in the {room}.")
            await it.reply(3)
            replies = {each["id"]: each for each in it.transport.bodies("reply")}
            rooms = {
                name: [call["arguments"]["room"] for call in each["board_calls"]] for name, each in replies.items()
            }
            assert rooms == {"a": ["hall"], "b": ["kitchen"], "c": ["hall"]}
            assert len(it.transport.sent()) == 3

    run(work)


# --- whatever a model says ---

LEAVES = st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=True) | st.text(max_size=12)
NEARLY = st.sampled_from(["hall", "kitchen", "hall/lamp", "+", "#", "$SYS", "", "all rooms", "b\n", "ON", "b7", "edge"])
VALUES = st.recursive(
    LEAVES | NEARLY,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["position", "why", "x"]) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = st.sampled_from(["room", "payload", "number", "value"])
ARGUMENTS = st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=4) | st.fixed_dictionaries(
    {"room": NEARLY, "payload": NEARLY | VALUES, "number": NEARLY}
).map(lambda found: {name: found[name] for name in list(found)[: 1 + len(str(found)) % 3]})


@settings(max_examples=1500)
@given(name=st.sampled_from(sorted(TOOLS)) | st.text(max_size=4), arguments=ARGUMENTS)
def test_nothing_is_published_that_was_not_declared(name, arguments):
    """Any arguments at all: what is sent is on a declared topic, and a declared text or one that fits the schema."""
    transport = Picky()
    transport.is_connected = True
    tools = BoardTools(Settings(device="pi", tools=TOOLS).tools, transport)

    async def work():
        with contextlib.suppress(Refused):
            await tools.use(name, arguments)

    asyncio.run(work())
    for topic, payload in ((each.topic, each.payload) for each in transport.published):
        if name == "lamp":
            assert topic in ("home/hall/lamp", "home/kitchen/lamp")
            assert payload in (b"ON", b"OFF")
        else:
            assert name == "blind"
            assert re.fullmatch(r"home/blind-([a-z0-9]{1,8}|all rooms)/set", topic)
            closed = {**TOOLS["blind"]["payload"], "additionalProperties": False}
            jsonschema.validate(json.loads(payload), closed)


def test_what_is_declared_is_published():
    """So that the test before this one is not green for nothing."""
    transport = Picky()
    transport.is_connected = True
    tools = BoardTools(Settings(device="pi", tools=TOOLS).tools, transport)

    async def work():
        for name, arguments in (
            ("lamp", {"room": "kitchen", "payload": "OFF"}),
            ("blind", {"number": "all rooms", "payload": {"position": 100, "why": "“sun”\n"}}),
        ):
            await tools.use(name, arguments)

    asyncio.run(work())
    expected = '{"position":100,"why":"“sun”\\n"}'.encode()
    assert transport.sent() == [("home/kitchen/lamp", b"OFF"), ("home/blind-all rooms/set", expected)]
