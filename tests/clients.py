"""A plain paho client for tests: what a user's own program would be."""

from __future__ import annotations

import json
import queue
import socket
import time
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311


class User:
    """Connected and subscribed after `with`; messages wait in a queue."""

    def __init__(
        self,
        port: int,
        *topics: str,
        protocol: MQTTProtocolVersion = V5,
        client_id: str = "",
        qos: int = 1,
        clean: bool = True,
        expiry: int = 0,
        will: tuple[str, bytes, int, bool] | None = None,
        transport: Any = "tcp",
        receive_maximum: int | None = None,
        connect_properties: dict[str, Any] | None = None,
    ) -> None:
        self._port, self._topics, self._qos = port, topics, qos
        self.inbox: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.acks: dict[int, Any] = {}
        self.session_present = False
        self.granted: queue.Queue[list[int]] = queue.Queue()
        self._connected: queue.Queue[Any] = queue.Queue()
        self.v5 = protocol == V5
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id, None if self.v5 else clean, protocol=protocol, transport=transport
        )
        self._options: dict[str, Any] = {}
        if self.v5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it bare
            properties.SessionExpiryInterval = expiry
            if receive_maximum:
                properties.ReceiveMaximum = receive_maximum
            for name, value in (connect_properties or {}).items():
                setattr(properties, name, value)
            self._options = {"clean_start": clean, "properties": properties}
        if will:
            self.client.will_set(*will)
        if transport == "tcp":
            self.client.on_socket_open = lambda _c, _u, opened: opened.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
            )
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda _c, _u, message: self.inbox.put(message)
        self.client.on_publish = lambda _c, _u, mid, reason, _p: self.acks.__setitem__(mid, reason)
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.granted.put([r.value for r in reasons])

    def _on_connect(self, _client: Any, _data: Any, flags: Any, reason: Any, _properties: Any) -> None:
        self.session_present = flags.session_present
        self._connected.put(reason)

    def __enter__(self) -> User:
        self.client.connect("127.0.0.1", self._port, 30, **self._options)
        self.client.loop_start()
        self.connack = self._connected.get(timeout=10)
        if self._topics:
            self.client.subscribe([(topic, self._qos) for topic in self._topics])
            self.granted.get(timeout=10)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """Lose the connection without a DISCONNECT."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock is not None:
            sock.close()

    def publish(self, topic: str, payload: Any, qos: int = 1, retain: bool = False, **properties: Any) -> int:
        """Publish, and wait until it is acknowledged; its packet identifier."""
        info = self.send(topic, payload, qos, retain, **properties)
        info.wait_for_publish(10)
        return int(info.mid)

    def send(
        self, topic: str, payload: Any, qos: int = 1, retain: bool = False, **properties: Any
    ) -> paho.MQTTMessageInfo:
        """Publish; bytes and text as they are, anything else as JSON."""
        made = None
        if self.v5 and properties:
            made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it bare
            for name, value in properties.items():
                setattr(made, name, value)
        data = payload if isinstance(payload, bytes | str) else json.dumps(payload)
        return self.client.publish(topic, data, qos, retain, made)

    def next(self, seconds: float = 10) -> paho.MQTTMessage:
        """The next message; queue.Empty where none comes."""
        return self.inbox.get(timeout=seconds)

    def nothing(self, seconds: float = 0.3) -> bool:
        """Whether no message comes for so long."""
        try:
            self.inbox.get(timeout=seconds)
        except queue.Empty:
            return True
        return False

    def answer(self, seconds: float = 60, name: str | None = None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The deltas and the terminal message of a request (of any, where no id is given)."""
        deltas: list[dict[str, Any]] = []
        until = time.monotonic() + seconds
        while True:
            body = json.loads(self.next(max(0.01, until - time.monotonic())).payload)
            if name is not None and body.get("id") != name:
                continue
            if body.get("type") == "delta":
                deltas.append(body)
            elif body.get("type") == "reply":
                return deltas, body

    def wait_online(self, device: str = "test", seconds: float = 60) -> None:
        """Subscribe to a board's status and return once it is online."""
        topic = f"edge/{device}/status"
        self.client.subscribe(topic, 1)
        until = time.monotonic() + seconds
        while True:
            message = self.next(max(0.01, until - time.monotonic()))
            if message.topic == topic and json.loads(message.payload)["state"] == "online":
                self.client.unsubscribe(topic)
                return
