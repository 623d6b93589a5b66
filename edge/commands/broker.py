"""`edge broker`: the embedded broker alone."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from edge.commands.logs import set_up
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.mqtt.broker.access import Access
    from edge.mqtt.broker.folders import Folders

LEVELS = ("debug", "info", "warning", "error")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, whom to let in."""
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS", help="loopback unless told otherwise")
    parser.add_argument("--port", type=int, default=1883, help="TCP port; 0 takes a free one")
    parser.add_argument(
        "--websocket-port", type=int, default=None, metavar="PORT", help="also serve MQTT over WebSocket"
    )
    parser.add_argument("--or-free", action="store_true", help="take a free port where one is taken")
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="users, as mosquitto_passwd writes them; nobody else comes in",
    )
    parser.add_argument(
        "--acl-file", type=Path, metavar="FILE", help="who may read and write what, as Mosquitto has it"
    )
    parser.add_argument(
        "--allow-anonymous", action="store_true", help="with passwords: also clients without a user name"
    )
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="let pages of this origin open a WebSocket, beside this machine's own; may be repeated; * is any",
    )
    parser.add_argument(
        "--serve",
        action="append",
        default=[],
        metavar="PREFIX=FOLDER",
        help="hand out a folder's files on the WebSocket's port: /=deploy/kiosk/dist is a page, /documents/NAME=FOLDER"
        " what it shows; may be repeated, the longest prefix counts, and of two alike the first that has the file",
    )
    parser.add_argument("--log-level", choices=LEVELS, default="info", help="warning leaves out who comes and goes")


def main(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; BrokerError where a port cannot be had, ConfigError for a file that is wrong."""
    set_up(options.log_level)
    asyncio.run(_serve(options, _access(options), _folders(options)))
    return 0


def _access(options: argparse.Namespace) -> Access:
    """Passwords and access list, read before anything listens."""
    from edge.mqtt.broker.access import Access
    from edge.mqtt.broker.acl import read_acl
    from edge.mqtt.broker.passwords import read_passwords

    passwords = read_passwords(options.password_file) if options.password_file else None
    acl = read_acl(options.acl_file) if options.acl_file else None
    return Access(passwords, acl, options.allow_anonymous)


def _folders(options: argparse.Namespace) -> Folders | None:
    """The folders that are handed out, None where there are none; UsageError for one that is no folder."""
    from edge.mqtt.broker.folders import Folders, read_route

    if options.serve and options.websocket_port is None:
        raise UsageError("--serve hands files out on the WebSocket's port; name one with --websocket-port")
    return Folders(map(read_route, options.serve)) if options.serve else None


async def _serve(options: argparse.Namespace, access: Access, folders: Folders | None) -> None:
    from edge.mqtt.broker.listener import Listener

    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with Listener(
        options.listen,
        options.port,
        options.websocket_port,
        options.or_free,
        access,
        options.origin,
        folders=folders,
    ) as listener:
        websocket = (
            "" if listener.websocket_port is None else f", WebSocket on {options.listen}:{listener.websocket_port}"
        )
        print(f"listening on {options.listen}:{listener.port}{websocket}", flush=True)
        await stopping.wait()
