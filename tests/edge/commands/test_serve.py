"""The real model through the real daemon over both brokers, as processes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.clients import V311, User
from tests.conftest import serving

QUESTION = "What is the capital of France?"
ENDLESS = {"max_tokens": 2000, "loop_guard": False}
STORY = "Tell a long story about a lighthouse."
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 40},
        "population": {"type": "integer", "minimum": 0, "maximum": 99999999},
    },
    "required": ["city", "population"],
    "additionalProperties": False,
}


@pytest.fixture
def board(broker, bundle, tmp_path):
    """The daemon, online, over each broker."""
    with serving(bundle, broker, tmp_path, EDGE_TELEMETRY__PERIOD_SECONDS="0.5") as daemon:
        with User(broker) as user:
            user.wait_online()
        yield daemon


def test_a_day_in_the_life(board):
    """Ask in every way, stream, hold to a schema, sample with a seed, stop, cancel, read telemetry, end cleanly."""
    with User(board.port, "edge/test/reply/#", "answers/here", "edge/test/telemetry") as user:
        streams(user)
        bare_text(user)
        properties(user)
        schema(user)
        sampling(user)
        stop_strings(user)
        cancel(user)
        telemetry(user)
    with User(board.port, "edge/test/reply", protocol=V311) as old:
        old_version(old)
    assert board.stop() == 0
    with User(board.port, "edge/test/status") as user:
        assert json.loads(user.next().payload)["state"] == "offline"


def streams(user: User) -> None:
    """Deltas are numbered from 0, add up to the text, and one terminal message ends them."""
    user.publish("edge/test/request/me", {"prompt": QUESTION, "id": "q1", "max_tokens": 40})
    deltas, reply = user.answer(name="q1")
    assert "Paris" in reply["text"]
    assert reply["code"] == 200
    assert [delta["index"] for delta in deltas] == list(range(reply["index"]))
    assert "".join(delta["text"] for delta in deltas) == reply["text"]
    assert reply["usage"]["prompt_tokens"] == 37
    assert 0 < reply["timings"]["first_token_seconds"] < 60


def bare_text(user: User) -> None:
    """A bare text is a prompt; without a client level the answer is on the device's own reply topic."""
    user.publish("edge/test/request", QUESTION)
    message = user.next(60)
    while message.topic != "edge/test/reply":
        message = user.next(60)
    _, reply = user.answer()
    assert "Paris" in reply["text"]


def properties(user: User) -> None:
    """MQTT 5: the answer goes to the response topic with the correlation data on every message."""
    user.publish(
        "edge/test/request",
        {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4, "stream": False, "colour": "red"},
        ResponseTopic="answers/here",
        CorrelationData=b"\x00\xff42",
    )
    while (message := user.next(60)).topic != "answers/here":
        pass
    body = json.loads(message.payload)
    assert (body["type"], body["finish_reason"]) == ("reply", "length")
    assert message.properties.CorrelationData == b"\x00\xff42"
    assert message.properties.ContentType == "application/json"
    assert ("edge-type", "reply") in message.properties.UserProperty
    assert body["warnings"] == ["the field 'colour' is not known and was ignored"]


def schema(user: User) -> None:
    """An answer held to a JSON schema parses and has what the schema wants."""
    response_format = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    asked = {"prompt": "Describe Paris.", "id": "q2", "max_tokens": 96, "response_format": response_format}
    user.publish("edge/test/request/me", asked)
    answer = json.loads(user.answer(name="q2")[1]["text"])
    assert set(answer) == {"city", "population"}
    assert isinstance(answer["population"], int)


def sampling(user: User) -> None:
    """The same seed gives the same answer, another seed another one."""
    texts = []
    for number, seed in enumerate((7, 7, 8)):
        asked = {"prompt": "Tell a story.", "id": f"s{number}", "max_tokens": 24, "seed": seed}
        user.publish("edge/test/request/me", {**asked, "temperature": 1.0, "top_k": 50, "top_p": 0.95})
        texts.append(user.answer(name=f"s{number}")[1]["text"])
    assert texts[0] == texts[1] != texts[2]


def stop_strings(user: User) -> None:
    """The answer ends before the stop string, and no delta shows a piece of it."""
    user.publish("edge/test/request/me", {"prompt": QUESTION, "id": "q3", "stop": " Paris"})
    deltas, reply = user.answer(name="q3")
    assert (reply["text"], reply["finish_reason"]) == ("The capital of France is", "stop")
    assert "".join(delta["text"] for delta in deltas) == reply["text"]


def cancel(user: User) -> None:
    """A cancel stops the running answer; its terminal message has 499 and the text so far."""
    user.publish("edge/test/request/me", {"prompt": "Write a very long story.", "id": "q4", **ENDLESS})
    while json.loads(user.next(60).payload).get("id") != "q4":
        pass
    user.publish("edge/test/cancel/me", {"id": "q4"})
    _, reply = user.answer(name="q4")
    assert (reply["code"], reply["finish_reason"]) == (499, "cancelled")
    assert 0 < reply["usage"]["completion_tokens"] < 2000
    assert reply["text"]


def telemetry(user: User) -> None:
    """A reading has memory, load and the model's speed; what this machine lacks is named, not invented."""
    while (message := user.next(60)).topic != "edge/test/telemetry":
        pass
    reading = json.loads(message.payload)
    assert reading["memory"]["total_bytes"] > reading["memory"]["available_bytes"] > 0
    assert reading["inference"]["decode_tokens_per_second"] > 0
    assert reading["inference"]["engine_memory_bytes"] > 50e6
    assert ("thermal" in reading) != ("thermal" in reading["absent"])
    assert reading["failed"] == {}


def old_version(user: User) -> None:
    """MQTT 3.1.1: id and response topic are in the payload."""
    user.client.subscribe("answers/old", 1)
    asked = {"prompt": QUESTION, "id": "q5", "response_topic": "answers/old", "max_tokens": 12}
    user.publish("edge/test/request", asked)
    while (message := user.next(60)).topic != "answers/old":
        pass
    assert json.loads(message.payload)["id"] == "q5"


def test_the_daemon_speaks_either_version(broker, bundle, tmp_path):
    """Set to MQTT 3.1.1 it serves clients of both versions, and its Will tells when it is killed."""
    with serving(bundle, broker, tmp_path, EDGE_BROKER__PROTOCOL="3.1.1") as daemon:
        with User(broker, "edge/test/reply/me") as user:
            user.wait_online()
            user.publish("edge/test/request/me", {"prompt": QUESTION, "max_tokens": 12, "id": "a"})
            assert "Paris" in user.answer(name="a")[1]["text"]
        with User(broker, protocol=V311) as user:
            user.client.subscribe("edge/test/status", 1)
            user.next()
            daemon.process.kill()
            assert json.loads(user.next(60).payload)["state"] == "offline"


def test_a_dead_engine_is_answered_for_and_replaced(bundle, tmp_path):
    """Killed once, the engine comes back and begins again; killed twice, its request gets 500, the next its answer."""
    from tests.conftest import embedded_broker

    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path) as daemon, User(port) as user:
        user.wait_online()
        user.client.subscribe("edge/test/reply/me", 1)
        user.publish("edge/test/request/me", {"prompt": "Write a long story.", "id": "a", **ENDLESS})
        for _ in range(2):
            while (body := json.loads(user.next(60).payload)).get("type") != "delta" or body["index"]:
                pass
            os.kill(child_of(daemon.process.pid), signal.SIGKILL)
        _, reply = user.answer(name="a")
        assert (reply["code"], reply["error"]["message"]) == (
            500,
            "the engine process ended while it was answering (signal 9)",
        )
        user.publish("edge/test/request/me", {"prompt": QUESTION, "id": "b", "max_tokens": 12})
        assert "Paris" in user.answer(name="b")[1]["text"]


def test_stopping_lets_the_running_answer_end(bundle, tmp_path):
    """SIGTERM: the running answer is finished, the waiting one refused with 503, the exit status is 0."""
    from tests.conftest import embedded_broker

    one_at_a_time = {"EDGE_ENGINE__ROWS": "1"}
    with (
        embedded_broker(tmp_path) as port,
        serving(bundle, port, tmp_path, **one_at_a_time) as daemon,
        User(port) as user,
    ):
        user.wait_online()
        user.client.subscribe("edge/test/reply/me", 1)
        for name in ("a", "b"):
            asked = {
                "prompt": STORY,
                "id": name,
                "max_tokens": 100,
                "stream": name == "b",
            }
            user.publish("edge/test/request/me", asked)
        assert json.loads(user.next(60).payload) == {"type": "queued", "id": "b", "place": 1, "seconds": 0.0}
        daemon.process.send_signal(signal.SIGTERM)
        refused = user.answer(name="b")[1]
        assert (refused["code"], refused["error"]["retry_after"]) == (503, 30)
        assert user.answer(name="a")[1]["code"] == 200
        assert daemon.process.wait(30) == 0


@pytest.mark.slow
def test_a_signal_to_everything_lets_the_running_answer_end(bundle, tmp_path):
    """SIGTERM and SIGINT to daemon and engine, as a service manager or a terminal sends them."""
    from tests.conftest import embedded_broker

    for number in (signal.SIGTERM, signal.SIGINT):
        folder = tmp_path / number.name
        folder.mkdir()
        with (
            embedded_broker(folder) as port,
            serving(bundle, port, folder) as daemon,
            User(port, "edge/test/reply/me") as user,
        ):
            user.wait_online()
            user.publish(
                "edge/test/request/me",
                {"prompt": STORY, "id": "a", **ENDLESS, "max_tokens": 200},
            )
            while json.loads(user.next(60).payload).get("type") != "delta":
                pass
            children = Path(f"/proc/{daemon.process.pid}/task/{daemon.process.pid}/children").read_text().split()
            for pid in [*map(int, children), daemon.process.pid]:
                os.kill(pid, number)
            reply = user.answer(name="a")[1]
            assert (reply["code"], reply["usage"]["completion_tokens"] > 50) == (200, True)
            assert daemon.process.wait(30) == 0
        assert daemon.log.read_text().count("model ready") == 1


def test_a_long_prefill_can_be_cancelled(bundle, tmp_path):
    """A cancel during a prompt of 3,000 tokens takes effect between two slices, before the first token."""
    from tests.conftest import embedded_broker

    slices = {"EDGE_ENGINE__PREFILL_SLICE_TOKENS": "64"}
    with embedded_broker(tmp_path) as port, serving(bundle, port, tmp_path, **slices), User(port) as user:
        user.wait_online()
        user.client.subscribe("edge/test/reply/me", 1)
        user.publish("edge/test/request/me", {"prompt": "word " * 3000, "id": "a"})
        time.sleep(0.5)
        user.publish("edge/test/cancel/me", "a")
        _, reply = user.answer(name="a")
        assert (reply["code"], reply["usage"]["completion_tokens"]) == (499, 0)


@pytest.mark.parametrize(
    ("settings", "status", "words"),
    [
        ({"EDGE_BROKER__PORT": "none"}, 78, "EDGE_BROKER__PORT"),
        ({"EDGE_BROKR__PORT": "1"}, 78, "EDGE_BROKR__PORT is not a setting"),
        ({"EDGE_ENGINE__BUNDLE": "/nowhere"}, 65, "/nowhere is not a bundle"),
        ({"EDGE_ENGINE__PROVIDER": "cuda"}, 65, "is a bundle for the provider cpu, but cuda is configured"),
    ],
    ids=["wrong value", "unknown variable", "no bundle", "foreign provider"],
)
def test_a_wrong_start_says_what_is_wrong(bundle, tmp_path, settings, status, words):
    """The exit status tells a unit what kind of fault it is, the last line tells a person which."""
    with serving(bundle, 1, tmp_path, **settings) as daemon:
        assert daemon.process.wait(30) == status
        assert words in daemon.log.read_text()


def child_of(pid: int) -> int:
    """The one child of a process."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:  # noqa: PTH123 - a proc file
        return int(file.read().split()[0])
