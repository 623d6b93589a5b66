"""The JSON Schemas: what is printed is in the repository, is a schema, and takes what a real board says and no less."""

from __future__ import annotations

import json

import jsonschema
import pytest
from jsonschema.validators import Draft202012Validator

from edge.commands.schema import SCHEMAS, schema_of, text_of
from edge.service.happenings import Happenings
from edge.wire.event import Event
from edge.wire.message import Message
from tests.clients import User
from tests.conftest import ROOT, embedded_broker, serving
from tests.edge.commands.program import scripted

FOLDER = ROOT / "docs/schemas"
CHANGES = [
    ("throttled", {"is_on": True, "reason": "the firmware lowers the clock"}),
    ("under_voltage", {"is_on": False}),
    ("low_memory", {"is_on": True}),
    ("sensor_failed", {"is_on": True, "sensor": "thermal", "reason": "EIO: Input/output error"}),
    ("engine_restarted", {"reason": "killed"}),
    ("engine_recycled", {}),
    ("model_loaded", {"reason": "eyes was asked for"}),
    ("model_unloaded", {"reason": "eyes: memory is short"}),
    ("governor", {"state": "slowed", "reason": "81 °C in 30 s"}),
    ("bundle_tried", {"bundle": "x", "version": "2", "digest": "0" * 64}),
    ("bundle_kept", {"bundle": "x", "version": "2", "digest": "0" * 64}),
    ("bundle_rolled_back", {"bundle": "x", "version": "2", "digest": "0" * 64, "reason": "it was too slow"}),
]


def held(name: str, body: object) -> None:
    """It is as the schema in the repository says."""
    jsonschema.validate(body, json.loads((FOLDER / f"{name}.json").read_text()), Draft202012Validator)


@pytest.mark.checkout
@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_in_the_repository_are_those_of_the_code(name):
    """To the byte; `edge schema NAME > docs/schemas/NAME.json` makes one anew."""
    assert (FOLDER / f"{name}.json").read_text() == text_of(name) + "\n"


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_of_its_draft(name):
    """Held to the draft's own schema, and refusing what is no message at all."""
    Draft202012Validator.check_schema(schema_of(name))
    for strange in ({}, [], None, {"type": "x"}):
        assert not Draft202012Validator(schema_of(name)).is_valid(strange)


@pytest.mark.checkout
def test_what_a_real_board_says_is_as_the_schemas_have_it(bundle, tmp_path):
    """Status from its loading to its end, info, and all that comes back of a request and of a refusal."""
    topics = [f"edge/test/{kind}" for kind in ("status", "info", "event", "reported", "reply/#")]
    heard: dict[str, list[dict]] = {}
    with embedded_broker(tmp_path) as port, User(port, *topics) as user:
        with serving(bundle, port, tmp_path) as daemon:
            while heard.get("status", [{}])[-1].get("state") != "online":
                taken(user, heard)
            asked = {
                "prompt": "The capital of France?",
                "max_tokens": 4,
                "logprobs": True,
                "top_logprobs": 2,
                "id": "a",
            }
            user.publish("edge/test/request", asked)
            user.publish("edge/test/request", {"prompt": 1, "id": "b"})
            ended: set[str] = set()
            while len(ended) < 2:
                body = taken(user, heard)[1]
                ended |= {body["id"]} if body.get("type") == "reply" else set()
            assert daemon.stop() == 0
        while heard["status"][-1]["state"] != "offline":
            taken(user, heard)
    assert {"status", "info", "reported", "reply"} <= set(heard)
    assert {body["state"] for body in heard["status"]} == {"loading", "online", "stopping", "offline"}
    assert {body["type"] for body in heard["reply"]} >= {"delta", "reply"}


@pytest.mark.checkout
def test_a_real_reading_is_as_the_schema_has_it(tmp_path):
    """Of the daemon on this machine, before and after an answer."""
    with (
        embedded_broker(tmp_path) as port,
        scripted(port, tmp_path),
        User(port, "edge/test/telemetry", "edge/test/reply") as user,
    ):
        user.publish("edge/test/request", {"prompt": "hi", "stream": False})
        while taken(user, {})[0] != "reply":
            pass
        assert taken(user, {})[0] == "telemetry"


def taken(user: User, heard: dict[str, list[dict]]) -> tuple[str, dict]:
    """The next message, held to its schema."""
    message = user.next(60)
    kind, body = message.topic.split("/")[2], json.loads(message.payload)
    held(kind, body)
    heard.setdefault(kind, []).append(body)
    return kind, body


@pytest.mark.parametrize(("name", "details"), CHANGES)
def test_an_event_is_as_its_schema_has_it(name, details):
    """Each of them, with what it tells."""
    told: list[Message] = []
    Happenings("edge/test/event", told.append).tell(name, **details)
    body = json.loads(told[0].payload)
    held("event", body)
    assert body == {"time": body["time"], "event": name, **details}


@pytest.mark.parametrize("details", [{"is_on": True}, {"state": "odd"}, {"state": "free", "sensor": "x"}, {}])
def test_an_event_tells_what_is_its_own(details):
    """Another field, or none where one belongs, is a fault of ours."""
    with pytest.raises(ValueError, match="governor"):
        Event.model_validate({"event": "governor", "time": 1.0, **details})


def test_every_event_is_tried():
    """The table above has all that there are."""
    mapping = schema_of("event")["discriminator"]["mapping"]
    assert set(mapping) == {name for name, _ in CHANGES}
