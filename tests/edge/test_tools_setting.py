"""`[tools]` in the settings: what cannot be meant well, or cannot be held to, is refused where it is set."""

from __future__ import annotations

import json
import tomllib
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from edge.commands.serve import print_config
from edge.config import Settings, load_settings
from edge.config.tools import OF_EVERY_KIND, OF_KIND, TelemetryValue, Tool
from edge.engine.text.guidance import grammar
from edge.errors import ConfigError
from edge.wire.telemetry import Telemetry

PUBLISH = {"kind": "publish", "description": "d", "clients": ["*"], "topic": "home/lamp", "payload": ["ON"]}
RETAINED = {"kind": "retained", "description": "d", "clients": ["*"], "topic": "weather/now"}
HEAT = {"kind": "telemetry", "description": "d", "clients": ["me"], "values": ["thermal.hottest_celsius"]}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({**PUBLISH, "topic": "edge/pi/command"}, "topic: its first level"),
    ({**PUBLISH, "topic": "edge"}, "topic: its first level"),
    ({**PUBLISH, "topic": "$SYS/broker"}, "topic: its first level"),
    ({**PUBLISH, "topic": "$share/x/y"}, "topic: its first level"),
    ({**PUBLISH, "topic": "{room}/lamp", "levels": {"room": ["edge"]}}, "topic: its first level"),
    ({**PUBLISH, "topic": "ed{room}/lamp", "levels": {"room": ["ge"]}}, "topic: its first level"),
    ({**PUBLISH, "topic": "home/+/lamp"}, "topic: it must be a plain topic"),
    ({**PUBLISH, "topic": "home/#"}, "topic: it must be a plain topic"),
    ({**PUBLISH, "topic": "home/\0"}, "topic: it must be without null"),
    ({**PUBLISH, "topic": ""}, "topic: it must be 1 to"),
    ({**PUBLISH, "topic": "home/{Room}"}, "a placeholder is"),
    ({**PUBLISH, "topic": "home/{room}"}, "room is not in levels"),
    ({**PUBLISH, "levels": {"room": ["hall"]}}, "room is not in topic"),
    ({**PUBLISH, "topic": "home/{payload}", "levels": {"payload": ["a"]}}, "no placeholder can be called payload"),
    ({**PUBLISH, "topic": "home/{room}", "levels": {"room": ["a/b"]}}, "not within one level"),
    ({**PUBLISH, "topic": "home/{room}", "levels": {"room": ["+"]}}, "not within one level"),
    ({**PUBLISH, "topic": "home/{room}", "levels": {"room": [""]}}, "not within one level"),
    ({**PUBLISH, "topic": "home/{room}", "levels": {"room": []}}, "no text that may be there"),
    ({**PUBLISH, "topic": "home/{room}", "levels": {"room": "["}}, "pattern:"),
    ({**PUBLISH, "payload": []}, "no text may be sent"),
    ({**PUBLISH, "payload": "ON"}, "a list of texts, or a table"),
    ({**PUBLISH, "payload": {"type": "string", "format": "uri"}}, "format is not taken"),
    ({**PUBLISH, "payload": {"type": "string", "minLength": 3, "maxLength": 2}}, "minLength is 3"),
    ({**PUBLISH, "payload": None}, "needs payload"),
    ({**PUBLISH, "values": ["cpu.load_1m"]}, "values is not for a tool of the kind publish"),
    ({**PUBLISH, "clients": []}, "clients"),
    ({**PUBLISH, "clients": ["a/b"]}, "is no client's level"),
    ({**PUBLISH, "qos": 2}, "qos"),
    ({**RETAINED, "topic": "weather/{town}", "levels": {"town": "[a-z]+"}}, "levels are lists"),
    ({**RETAINED, "topic": "w/{a}/{b}", "levels": {n: [str(i) for i in range(9)] for n in "ab"}}, "81 topics"),
    ({**RETAINED, "payload": ["x"]}, "payload is not for"),
    ({**HEAT, "values": []}, "needs values"),
    ({**HEAT, "values": ["inference.secret"]}, "values"),
    ({name: value for name, value in PUBLISH.items() if name != "clients"}, "clients"),
]


@pytest.mark.parametrize(("tool", "said"), WRONG)
def test_what_a_tool_cannot_be_is_told(monkeypatch, tool, said):
    """In words, and with the variable that set it."""
    monkeypatch.setenv("EDGE_TOOLS", json.dumps({"lamp": tool}))
    with pytest.raises(ConfigError) as raised:
        load_settings()
    assert said in str(raised.value)
    assert "the variable EDGE_TOOLS: tools.lamp" in str(raised.value)


def test_a_payload_is_json(monkeypatch, tmp_path):
    """TOML has dates, JSON has none."""
    path = tmp_path / "edge.toml"
    path.write_text(
        '[tools.clock]\nkind = "publish"\ndescription = "d"\nclients = ["*"]\n'
        'topic = "home/clock"\npayload = { enum = [2026-11-28] }\n'
    )
    monkeypatch.setenv("EDGE_CONFIG", str(path))
    with pytest.raises(ConfigError, match=r"line 6: tools\.clock\.payload: it is sent as JSON"):
        load_settings()


def test_a_name_is_one_that_a_model_can_say(monkeypatch):
    """As functions of the wire are called."""
    monkeypatch.setenv("EDGE_TOOLS", json.dumps({"a lamp": PUBLISH}))
    with pytest.raises(ConfigError, match="tools"):
        load_settings()


def test_what_is_wrong_in_a_file_has_its_line(monkeypatch, tmp_path):
    """A table's key, and a table."""
    path = tmp_path / "edge.toml"
    text = (
        '[tools.hall-lamp]\nkind = "publish"\ndescription = "d"\nclients = ["*"]\ntopic = "edge/x"\npayload = ["a"]\n'
    )
    path.write_text(text)
    monkeypatch.setenv("EDGE_CONFIG", str(path))
    with pytest.raises(ConfigError, match=r"edge\.toml, line 5: tools\.hall-lamp\.topic: its first level"):
        load_settings()
    path.write_text(text.replace("edge/x", "home/{x}"))
    with pytest.raises(ConfigError, match=r"edge\.toml, line 1: tools\.hall-lamp: the placeholder x"):
        load_settings()


def test_what_is_printed_can_be_read_again(tmp_path):
    """Every kind, with placeholders, schemas and texts that TOML writes otherwise than JSON."""
    blind = {
        **PUBLISH,
        "description": 'Says "hello" \\ 😀\n',
        "topic": "home/{room}/blind",
        "levels": {"room": "[a-z]{1,9}"},
        "payload": {"type": "object", "properties": {"a-b c": {"type": "number"}}},
    }
    made = Settings(device="pi", tools={"lamp": PUBLISH, "blind": blind, "weather": RETAINED, "heat": HEAT})
    again = Settings(**tomllib.loads(print_config(made)))
    assert again.tools == made.tools


def test_each_key_is_for_a_kind():
    """So that none can be set in vain."""
    assert set(Tool.model_fields) == OF_EVERY_KIND.union(*OF_KIND.values())


def test_values_are_in_the_telemetry():
    """Each is a place in its schema, and a plain value there."""
    for path in get_args(TelemetryValue):
        model: Any = Telemetry
        *above, last = path.split(".")
        for name in above:
            kinds = [model.model_fields[name].annotation, *get_args(model.model_fields[name].annotation)]
            (model,) = [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
        kinds = get_args(model.model_fields[last].annotation) or (model.model_fields[last].annotation,)
        assert not [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel | list | dict)]


@pytest.mark.parametrize("client", ["*", "kiosk", "http:kiosk", "home-assistant"])
def test_whoever_may_ask_may_be_named(client):
    """Client levels of the broker's topics, and clients of doors."""
    assert Tool.model_validate({**PUBLISH, "clients": [client]}).clients == [client]


def test_what_has_one_value_is_not_asked_for():
    """A topic, a text and a reading of which there is one are no arguments; a grammar takes what is left."""
    for tool in (PUBLISH, RETAINED, HEAT):
        made = Tool.model_validate(tool)
        assert made.parameters["properties"] == {}
        assert grammar(made.parameters, may_be_text=True)
    levels = {"town": ["a", "b"], "day": ["1", "2"]}
    read = Tool.model_validate({**RETAINED, "topic": "w/{town}/{day}/{town}", "levels": levels})
    assert read.topics == ["w/a/1/a", "w/a/2/a", "w/b/1/b", "w/b/2/b"]
