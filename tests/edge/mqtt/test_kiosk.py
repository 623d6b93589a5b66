"""The kiosk's identity at both brokers: what it may, what it cannot, and the page's files out of Mosquitto."""

from __future__ import annotations

import contextlib
import queue
import shutil
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.clients import User
from tests.conftest import ROOT, embedded_broker, free_port, mosquitto, running, wait_for_port
from tests.edge.mqtt.test_broker_access import at, passwords

pytestmark = pytest.mark.mosquitto
MOSQUITTO = ROOT / "deploy/mosquitto"
DENIED, NO_SUBSCRIBERS = 0x87, 0x10
OTHERS = "user admin\ntopic #\nuser demo\ntopic write answers/#\n"
"""What the lists have at their end: one who may do everything, and a board that answers where it is asked to."""
MAY_WRITE = [f"edge/demo/{kind}/kiosk" for kind in ("request", "cancel", "forget", "rating")]
MAY_NOT_WRITE = [
    *(f"edge/demo/{kind}/eve" for kind in ("request", "cancel", "forget", "rating", "reply")),
    *(f"edge/demo/{kind}" for kind in ("request", "cancel", "forget", "rating", "chunk")),
    *(
        f"edge/demo/{kind}"
        for kind in ("status", "info", "telemetry", "event", "load", "desired", "reported", "command")
    ),
    *(f"edge/kiosk/{kind}" for kind in ("status", "info", "command", "reply/eve")),
    *("edge/demo/reply/kiosk", "edge/demo/chunk/kiosk", "answers/kiosk/tab", "answers/eve/tab", "reply/kiosk/x"),
    *("homeassistant/device/edge-demo/config", "elsewhere", "edge", "edge/demo/request/kiosk/x"),
]
MAY_READ = [*(f"edge/demo/{kind}" for kind in ("status", "info", "telemetry", "event", "load")), "answers/kiosk/tab"]
MAY_NOT_READ = [
    *("answers/eve/tab", "answers/eve", "reply/eve/x", "response/eve/x", "edge/demo/reply/eve", "edge/demo/reply"),
    *(f"edge/demo/{kind}/{name}" for kind in ("request", "cancel", "forget", "rating") for name in ("kiosk", "eve")),
    *("edge/demo/desired", "edge/demo/command", "homeassistant/status", "elsewhere"),
]

Kiosk = Callable[[], User]
Broker = tuple[Kiosk, Kiosk, dict[str, str]]
"""What makes a client with the kiosk's identity, and one that may do everything; and a board's settings."""


def named(port: int) -> Broker:
    """By user name and password."""
    board = {"EDGE_BROKER__PORT": str(port), "EDGE_BROKER__USERNAME": "demo", "EDGE_BROKER__PASSWORD": "demo-secret"}
    return (lambda: at(port, "kiosk", client_id="")), (lambda: at(port, "admin", client_id="")), board


@contextlib.contextmanager
def by_name(start: Callable[..., AbstractContextManager[int]], folder: Path) -> Iterator[Broker]:
    """A broker with passwords and both lists in one."""
    names = passwords(folder, names=("kiosk", "admin", "demo"))
    lists = folder / "acl"
    lists.write_text("".join((MOSQUITTO / name).read_text() for name in ("kiosk.acl", "acl.conf")) + OTHERS)
    if start is embedded_broker:
        options = {"extra": [f"--password-file={names}", f"--acl-file={lists}"]}
    else:
        options = {"config": f"allow_anonymous false\npassword_file {names}\nacl_file {lists}\n"}
    with start(folder, **options) as port:
        yield named(port)


@contextlib.contextmanager
def nameless(folder: Path) -> Iterator[Broker]:
    """The embedded broker with the same, where the page has no name."""
    names = passwords(folder, names=("admin", "demo"))
    lists = folder / "acl"
    lists.write_text("".join((MOSQUITTO / name).read_text() for name in ("kiosk.acl", "acl.conf")) + OTHERS)
    extra = [f"--password-file={names}", f"--acl-file={lists}", "--allow-anonymous"]
    with embedded_broker(folder, extra=extra) as port:
        yield (lambda: User(port)), *named(port)[1:]


@contextlib.contextmanager
def shipped(folder: Path) -> Iterator[Broker]:
    """Mosquitto with box.conf and kiosk.conf as they are, but for ports and folders."""
    with box(folder) as (port, page_port):
        board = {"EDGE_BROKER__PORT": str(port)}
        yield (lambda: User(page_port, transport="websockets")), (lambda: User(port)), board


@contextlib.contextmanager
def box(folder: Path) -> Iterator[tuple[int, int]]:
    """Mosquitto as on a box: the port for programs, and the page's."""
    port, page_port = free_port(), free_port()
    (folder / "conf.d").mkdir()
    for name in ("box.conf", "kiosk.conf"):
        text = (MOSQUITTO / name).read_text().replace("listener 1883 ", f"listener {port} ")
        text = text.replace("listener 9001 ", f"listener {page_port} ").replace(
            "/usr/share/edge-slm-kiosk", str(folder)
        )
        (folder / "conf.d" / name).write_text(text.replace("/etc/mosquitto", str(folder)))
    (folder / "kiosk.acl").write_text((MOSQUITTO / "kiosk.acl").read_text())
    (folder / "page").mkdir()
    config = folder / "mosquitto.conf"
    config.write_text(f"user root\npersistence true\npersistence_location {folder}/\ninclude_dir {folder}/conf.d\n")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    with running([program, "-c", str(config)], folder / "mosquitto.log"):
        wait_for_port(page_port)
        yield port, page_port


WAYS = {
    "embedded, by name": lambda folder: by_name(embedded_broker, folder),
    "embedded, without a name": nameless,
    "mosquitto, by name": lambda folder: by_name(mosquitto, folder),
    "mosquitto, as on a box": shipped,
}


@pytest.fixture(scope="module", params=WAYS)
def broker(request, tmp_path_factory) -> Iterator[Broker]:
    """A broker, by each way in."""
    with WAYS[request.param](tmp_path_factory.mktemp("kiosk")) as made:
        yield made


def test_what_the_kiosk_may_write(broker):
    """Requests, cancels, forgetting and ratings under its own name; nothing else, as another or of a board."""
    kiosk, _, _ = broker
    with kiosk() as page:
        for topic in MAY_WRITE:
            assert page.acks[page.publish(topic, "x")].value in (0, NO_SUBSCRIBERS), topic
        for topic in MAY_NOT_WRITE:
            assert page.acks[page.publish(topic, "x")].value == DENIED, topic
            assert page.acks[page.publish(topic, b"", retain=True)].value == DENIED, topic


def test_what_the_kiosk_hears(broker):
    """Whatever it subscribes to: its own answers and what boards tell everyone, live and retained."""
    kiosk, admin, _ = broker
    with admin() as all_powerful, kiosk() as page:
        all_powerful.publish("edge/other/status", "kept", retain=True)
        all_powerful.publish("answers/eve/kept", "kept", retain=True)
        page.client.subscribe([(each, 1) for each in ("#", "edge/#", "answers/#", "+/+/+/+", "edge/demo/reply/eve")])
        assert page.granted.get(timeout=10) in (
            [1] * 5,
            [1, 1, 1, 1, DENIED],
        )  # Mosquitto grants all
        for topic in (*MAY_NOT_READ, *MAY_READ):
            all_powerful.publish(topic, topic)
        heard = set()
        with contextlib.suppress(queue.Empty):
            while True:
                heard.add(page.next(1).topic)
        assert heard == {*MAY_READ, "edge/other/status"}
        for topic in ("edge/other/status", "answers/eve/kept"):
            all_powerful.publish(topic, b"", retain=True)


def test_a_will_of_the_kiosk(broker):
    """What it may not publish it cannot leave behind either."""
    kiosk, admin, _ = broker
    with admin() as all_powerful:
        all_powerful.client.subscribe("edge/demo/#", 1)
        all_powerful.granted.get(timeout=10)
        for topic in ("edge/demo/command", "edge/demo/request/kiosk"):
            page = kiosk()
            page.client.will_set(topic, "gone", 1)
            with contextlib.suppress(queue.Empty):  # whoever refuses such a Will at once sends no more
                page.__enter__()
            page.vanish()
        heard = set()
        with contextlib.suppress(queue.Empty):
            while True:
                heard.add(all_powerful.next(2).topic)
        assert heard == {"edge/demo/request/kiosk"}


def test_a_kiosk_is_answered(broker, tmp_path):
    """By a board with a login of its own, on the page's own topic; it sees the board come online."""
    kiosk, _, board = broker
    settings = {"EDGE_DEVICE": "demo", "EDGE_JOURNAL__FOLDER": str(tmp_path), **board}
    with running([sys.executable, "-m", "edge.testing"], tmp_path / "daemon.log", settings), kiosk() as page:
        page.wait_online("demo")
        page.client.subscribe("answers/kiosk/#", 1)
        request = {"messages": [{"role": "user", "content": "x"}], "id": "q"}
        page.publish("edge/demo/request/kiosk", request, ResponseTopic="answers/kiosk/tab")
        assert page.answer(name="q")[1]["text"] == "word word "


def test_a_page_out_of_mosquitto(tmp_path):
    """http_dir hands out the page's files as they are, on the port where MQTT over WebSocket is."""
    with box(tmp_path) as (_, page_port):
        files = {"index.html": b"<!doctype html><p>page", "kiosk.js": b"'use strict';", "kiosk.json": b"{}"}
        for name, data in files.items():
            (tmp_path / "page" / name).write_bytes(data)
        for name, data in {**files, "": files["index.html"]}.items():
            with urllib.request.urlopen(f"http://127.0.0.1:{page_port}/{name}", timeout=10) as answer:
                assert answer.read() == data
        with User(page_port, transport="websockets") as page:
            assert not page.connack.is_failure
