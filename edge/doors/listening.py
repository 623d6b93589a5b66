"""A door's socket at its address, or in words why it cannot have it and what to do: one way for all doors."""

from __future__ import annotations

import errno
import socket
import stat
from contextlib import suppress
from pathlib import Path

from edge.config.addresses import host_and_port, socket_path
from edge.errors import ConfigError

BACKLOG = 64
FREE_PORTS = 1024
"""From here on anybody may have them."""


def listening(setting: str, address: str) -> socket.socket:
    """A socket that has its place, does not block, and listens. setting: its name; address: as `addresses` has it.

    ConfigError where it cannot have it: setting, address, reason, and what to do.
    """
    try:
        path, place = socket_path(address), host_and_port(address)
        return _at_path(path) if path else _at_port(*(place or ("127.0.0.1", 0)))
    except (OSError, OverflowError) as error:
        raise refused(setting, address, error) from error


def refused(setting: str, address: str, error: Exception) -> ConfigError:
    """What to say where a listener cannot be had."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    advice = _for_path(address, error) if socket_path(address) else _for_port(address, error)
    return ConfigError(f"{setting}: {address} cannot be listened on: {reason}{f'; {advice}' if advice else ''}")


def _for_port(address: str, error: Exception) -> str:
    host, port = host_and_port(address) or ("", 0)
    if isinstance(error, socket.gaierror):
        return f"{host} is no name that this board knows: write an address, such as 127.0.0.1 or 0.0.0.0"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        return f"another program has it (`ss -ltnp 'sport = :{port}'` says which): end that, or choose another port"
    if number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return f"{host} is none of this board's addresses (`ip address` lists them): choose one, or 0.0.0.0 for all"
    if number in (errno.EACCES, errno.EPERM) and port < FREE_PORTS:
        return f"ports below {FREE_PORTS} are for root: choose one from {FREE_PORTS} on"
    return ""


def _for_path(address: str, error: Exception) -> str:
    path, number = Path(socket_path(address) or "/"), error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return f"the folder {path.parent} is not there: make it, or choose one that is, such as /run/edge-slm"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"this user may not write in {path.parent}: choose a folder where it may, such as /run/edge-slm"
    if number == errno.EADDRINUSE and _is_socket(path):
        return "another program listens there: end that, or choose another path"
    if number == errno.EADDRINUSE:
        return "what is there is no socket: move it away, or choose another path"
    return ""


def _at_port(host: str, port: int) -> socket.socket:
    """With its protocol named, since asyncio sends at once (TCP_NODELAY) by what connections have of it.

    Without that the pieces of a stream wait for the reader's delayed acknowledgements, 40 ms each time.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made


def _at_path(path: Path) -> socket.socket:
    """For everybody on this board, as a port of it would be; what a dead daemon has left is replaced."""
    if _is_socket(path) and not _is_alive(path):
        path.unlink()
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o666)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made


def _is_socket(path: Path) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        return stat.S_ISSOCK(path.lstat().st_mode)
    return False


def _is_alive(path: Path) -> bool:
    """Whether somebody listens there; one that is too busy to take another does, too."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT)
