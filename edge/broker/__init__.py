"""The embedded broker: for `edge demo`, and for a single box that is all there is. A fleet uses Mosquitto.

MQTT 5 and 3.1.1 over TCP and WebSocket; QoS 0 and 1, retained messages, Will with delay, message expiry,
sessions that outlive a connection, Receive Maximum. No QoS 2, no shared subscriptions, and nothing on disk.

    codec.py     bytes to packets and back, 3.1.1 translated
    core.py      sessions, subscriptions, routing: no socket, no clock of its own
    listener.py  sockets
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen."""
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="loopback unless told otherwise")
    parser.add_argument("--port", type=int, default=1883, help="TCP port; 0 takes a free one")
    parser.add_argument(
        "--websocket-port", type=int, default=None, metavar="PORT", help="also serve MQTT over WebSocket"
    )


def main(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(_serve(options.listen, options.port, options.websocket_port))
    return 0


async def _serve(host: str, port: int, websocket_port: int | None) -> None:
    from edge.broker.listener import Listener

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        listener = await stack.enter_async_context(Listener(host, port, websocket_port))
        print(f"listening on {host}:{listener.port}", flush=True)
        await stopping.wait()
