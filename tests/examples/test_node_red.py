"""The Node-RED flow: its form everywhere; in Node-RED, from .venv-examples, before a board that the test plays."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import embedded_broker, free_port, running, wait_until
from tests.examples.played import Board, board
from tests.examples.programs import EXAMPLES, TOOLCHAINS
from tests.proxy import Proxy

pytestmark = pytest.mark.checkout
FLOW = EXAMPLES / "node-red/flow.json"
slowly = pytest.mark.skipif("RUN_EXAMPLES" not in os.environ, reason="`make examples-test` runs it")


def test_the_flow_hangs_together():
    """Every wire ends at a node of it, every MQTT node has the broker, and it carries no password."""
    nodes = {each["id"]: each for each in json.loads(FLOW.read_text())}
    for each in nodes.values():
        assert {end for wires in each.get("wires", []) for end in wires} <= set(nodes), each["id"]
        assert each.get("broker") == "edge-broker" or not each["type"].startswith("mqtt "), each["id"]
        assert "credentials" not in each


@dataclass
class NodeRed:
    """One that runs the flow."""

    admin_port: int
    log: Path

    def press(self) -> None:
        """The button of the question."""
        address = f"http://127.0.0.1:{self.admin_port}/inject/edge-question"
        urllib.request.urlopen(urllib.request.Request(address, b"", method="POST"), timeout=10).close()

    def shown(self) -> list[tuple[str, str]]:
        """What its debug nodes have shown: which, and what."""
        return re.findall(r"\[debug:([^\]]+)\] (.*)", self.log.read_text())


@contextmanager
def node_red(folder: Path, port: int) -> Iterator[NodeRed]:
    """Node-RED as it is, the flow as it is but for the broker's port and where its words go."""
    nodes = json.loads(FLOW.read_text())
    for each in nodes:
        each |= {"port": str(port)} if each["type"] == "mqtt-broker" else {}
        each |= {"console": True} if each["type"] == "debug" else {}
    (folder / "flow.json").write_text(json.dumps(nodes))
    made = NodeRed(free_port(), folder / "node-red.log")
    settings = {"uiPort": made.admin_port, "uiHost": "127.0.0.1", "disableEditor": True, "flowFile": "flow.json"}
    settings |= {"telemetry": {"enabled": False, "updateNotification": False}, "mqttReconnectTime": 500}
    (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};\n")
    program = TOOLCHAINS / "node-red/node_modules/node-red/red.js"
    command = ["node", str(program), "--userDir", str(folder), "--settings", str(folder / "settings.js")]
    with running(command, made.log):
        wait_until(lambda: "Started flows" in made.log.read_text(), 60)
        yield made


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """The embedded broker's."""
    with embedded_broker(tmp_path) as port:
        yield port


def asked(flow: NodeRed, played: Board) -> tuple[bytes, str]:
    """The button is pressed; the request that comes, and its id."""
    while not played.is_asked():  # at first its status may not have come yet, and the flow says so
        before = len(flow.shown())
        flow.press()
        wait_until(lambda: played.is_asked() or len(flow.shown()) > before)  # noqa: B023 - called at once
    payload, request = played.request("node-red")
    assert request["prompt"] == "What does error E42 mean?"
    return payload, request["id"]


@slowly
def test_the_flow_asks_in_node_red(port: int, tmp_path: Path):
    """Pieces and the whole, a refusal, the same again after a lost connection, a board that is not there."""
    (tmp_path / "red").mkdir()
    with Proxy(port) as proxy, board(port, "demo") as played, node_red(tmp_path / "red", proxy.port) as flow:
        wait_until(lambda: "Connected to broker" in flow.log.read_text())
        _, name = asked(flow, played)
        played.reply("another", "no", client="node-red")
        played.delta(name, 0, "It is ", client="node-red")
        played.delta(name, 1, "hot.", client="node-red")
        played.reply(name, "It is hot.", client="node-red")
        wait_until(lambda: ("the answer", "It is hot.") in flow.shown())
        assert flow.shown()[-3:] == [("a piece", "It is "), ("a piece", "hot."), ("the answer", "It is hot.")]
        _, name = asked(flow, played)
        played.reply(name, "", 429, "enough", client="node-red")
        wait_until(lambda: ("why there is none", "429 enough") in flow.shown())
        payload, name = asked(flow, played)
        played.delta(name, 0, "ag", client="node-red")
        wait_until(lambda: ("a piece", "ag") in flow.shown())
        proxy.cut()
        assert played.request("node-red")[0] == payload
        played.reply(name, "again", client="node-red")
        wait_until(lambda: ("the answer", "again") in flow.shown())
        played.tell("offline")
        wait_until(lambda: pressed(flow) == ("why there is none", "the board is offline"))


def pressed(flow: NodeRed) -> tuple[str, str]:
    """The last thing that is shown once the button was pressed."""
    flow.press()
    return flow.shown()[-1]
