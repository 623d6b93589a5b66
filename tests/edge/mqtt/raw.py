"""MQTT by the packet, over a bare socket: for what no decent client does."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mqtt5

from edge.mqtt.broker.listener import Listener

Pub, QOS = mqtt5.PublishPacket, (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE, mqtt5.QoS.EXACTLY_ONCE)


class Raw:
    """An MQTT 5 connection of which every packet is seen."""

    def __init__(self, port: int, client_id: str | None = None, seconds: float = 10, **connect: Any) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(seconds)
        self._buffer = b""
        self.connack: Any = None
        if client_id is not None:
            self.connack = self.ask(mqtt5.ConnectPacket(client_id, **{"clean_start": True, **connect}))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *packets: Any) -> None:
        """Packets of the library's, or bytes."""
        self.socket.sendall(b"".join(each if isinstance(each, bytes) else each.write() for each in packets))

    def next(self) -> Any:
        """The next packet; EOFError where the broker has closed the connection."""
        while True:
            with contextlib.suppress(IndexError):
                packet, used = mqtt5.read(memoryview(self._buffer))
                self._buffer = self._buffer[used:]
                return packet
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise EOFError
            self._buffer += data

    def ask(self, *packets: Any) -> Any:
        """Send, and the next packet."""
        self.send(*packets)
        return self.next()

    def subscribe(self, pattern: str, qos: int = 1) -> int:
        """The SUBACK's code."""
        return int(self.ask(mqtt5.SubscribePacket(1, [mqtt5.TopicFilter(pattern, max_qos=QOS[qos])])).reason_codes[0])

    def publish(self, topic: str, payload: bytes, packet_id: int = 1, **options: Any) -> int:
        """With QoS 1; the PUBACK's code."""
        return int(self.ask(Pub(topic, payload, qos=QOS[1], packet_id=packet_id, **options)).reason_code)

    def last(self) -> int | None:
        """The reason of the DISCONNECT that comes, whatever comes before it; None where the connection just ends."""
        try:
            while not isinstance(packet := self.next(), mqtt5.DisconnectPacket):
                pass
        except EOFError:
            return None
        return int(packet.reason_code)

    def ping(self) -> None:
        """Return once everything before has been handled; what comes meanwhile is left out."""
        self.send(mqtt5.PingReqPacket())
        while not isinstance(self.next(), mqtt5.PingRespPacket):
            pass


@contextlib.contextmanager
def listening(**options: Any) -> Iterator[Listener]:
    """The broker in a thread of this process, with limits of the test's own; looked into with `inside`."""
    loop, ready, made = asyncio.new_event_loop(), threading.Event(), []

    async def serve() -> None:
        async with Listener(port=0, **options) as listener:
            stop = asyncio.Event()
            made.extend([listener, stop])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(10)
        made[0].loop = loop
        yield made[0]
    finally:
        loop.call_soon_threadsafe(made[1].set)
        thread.join(20)
        loop.close()
        assert not thread.is_alive()


def inside(listener: Any, look: Callable[[], Any]) -> Any:
    """What a function finds in the broker's own thread."""

    async def looked() -> Any:
        return look()

    return asyncio.run_coroutine_threadsafe(looked(), listener.loop).result(10)


def log_of(folder: Path) -> str:
    """What a broker process has said."""
    return (folder / "broker.log").read_text()


def resident(folder: Path) -> int:
    """The bytes that the broker process of a folder holds, by its log's port."""
    port = int(re.findall(r"listening on .*?:(\d+)", log_of(folder))[0])
    table = Path("/proc/net/tcp").read_text().splitlines()
    (inode,) = (line.split()[9] for line in table if line.split()[1].endswith(f":{port:04X}") and " 0A " in line)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(each.readlink().name == f"socket:[{inode}]" for each in (process / "fd").iterdir()):
                return int((process / "statm").read_text().split()[1]) * 4096
    raise LookupError
