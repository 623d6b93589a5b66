"""A TCP proxy between a program and its broker that loses, delays, cuts and half-closes connections on demand."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from types import TracebackType

LINGER_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on `port` and forwards to another one; used with `with`."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self.delay_seconds = 0.0
        self.is_silent = False
        """Whether it swallows what it gets, as a network that is gone does."""
        self.is_deaf = False
        """Whether it swallows what the broker says alone."""
        self.connections = 0
        self.sent = bytearray()
        """What programs have sent to the broker."""

    def __enter__(self) -> Proxy:
        self._start(self._accept)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # which wakes `accept` up; closing alone does not
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # a bound method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            self.connections += 1
            self._pairs.append((client, broker))
            self._start(self._forward, client, broker)

    def _forward(self, client: socket.socket, broker: socket.socket) -> None:
        chosen = selectors.DefaultSelector()
        chosen.register(client, selectors.EVENT_READ, broker)
        chosen.register(broker, selectors.EVENT_READ, client)
        with contextlib.suppress(OSError, ValueError):
            while client.fileno() >= 0 and broker.fileno() >= 0:  # `cut` closes them without waking this up
                for key, _ in chosen.select(0.2):
                    data = key.fileobj.recv(1 << 16)  # type: ignore[union-attr]  # they are sockets
                    if not data:
                        raise OSError
                    time.sleep(self.delay_seconds)
                    if key.fileobj is client:
                        self.sent += data
                    if not (self.is_silent or (self.is_deaf and key.fileobj is broker)):
                        key.data.sendall(data)
        chosen.close()
        client.close()
        broker.close()

    def cut(self) -> None:
        """Reset every connection."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
                    end.close()

    def half_close(self) -> None:
        """Say to the program that the broker has ended, and go on listening to it."""
        for client, _ in self._pairs:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
