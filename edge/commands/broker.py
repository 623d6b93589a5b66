"""`edge broker`: the embedded broker alone."""

from __future__ import annotations

import argparse
import asyncio
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
    parser.add_argument("--or-free", action="store_true", help="take a free port where one is taken")


def main(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; BrokerError where a port cannot be had."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    asyncio.run(_serve(options))
    return 0


async def _serve(options: argparse.Namespace) -> None:
    from edge.mqtt.broker.listener import Listener

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Listener(options.listen, options.port, options.websocket_port, options.or_free) as listener:
        websocket = (
            "" if listener.websocket_port is None else f", WebSocket on {options.listen}:{listener.websocket_port}"
        )
        print(f"listening on {options.listen}:{listener.port}{websocket}", flush=True)
        await stopping.wait()
