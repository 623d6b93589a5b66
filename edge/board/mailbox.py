"""Questions to a Raspberry Pi's firmware, in its own words (`get_throttled`, `pmic_read_adc`), without a subprocess.

The message is that of raspberrypi/utils vcgencmd.c, the number and the nodes those of raspberrypi/linux
drivers/char/broadcom/vcio.c: 32-bit words, size, request 0, tag, bytes of the value, 0, error code, text, end tag.
/dev/vcio_gencmd (since May 2026) takes this tag alone and is the group video's; /dev/vcio takes all and may be root's.
"""

from __future__ import annotations

import fcntl
import grp
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from edge.board.files import ABSENT, DENIED, Files

NODES = ("dev/vcio_gencmd", "dev/vcio")
PROPERTY = 0xC000_6400 | struct.calcsize("P") << 16
"""_IOWR(100, 0, char *): the size in it is a pointer's."""
GENCMD, DONE = 0x0003_0080, 0x8000_0000
TEXT_BYTES = 4096
HEAD = struct.Struct("=6I")

Exchange = Callable[[Path, bytearray], None]
"""Sends a message to a node, which is overwritten by the answer; OSError."""


def by_ioctl(path: Path, message: bytearray) -> None:
    """What the kernel offers. A transaction waits for its turn, and for the firmware a second at most (ETIMEDOUT)."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, PROPERTY, message, True)
    finally:
        os.close(descriptor)


class Mailbox:
    """The firmware of the Pi whose files are looked at. exchange: how a node is spoken to."""

    def __init__(self, exchange: Exchange = by_ioctl) -> None:
        self._exchange = exchange

    def ask(self, files: Files, command: str) -> str | None:
        """The firmware's answer; None where there is no mailbox, it may not be opened, or it knows no such command."""
        denied: dict[str, str] = {}
        for node in NODES:
            message = question(command)
            try:
                self._exchange(files.root / node, message)
            except OSError as error:
                if error.errno in DENIED:
                    denied[node] = who_may(files.root / node)
                elif error.errno not in ABSENT:
                    files.reject(node, f"{command}: {error.strerror or error}")
                    return None
                continue
            return _answer(files, node, bytes(message))
        files.denied.update(denied)
        return None


def question(command: str) -> bytearray:
    """A command as a message."""
    text = command.encode("ascii")
    message = bytearray(HEAD.size + TEXT_BYTES + 4)
    HEAD.pack_into(message, 0, len(message), 0, GENCMD, TEXT_BYTES, 0, 0)
    message[HEAD.size : HEAD.size + len(text)] = text
    return message


def _answer(files: Files, node: str, message: bytes) -> str | None:
    _, status, _, _, _, code = HEAD.unpack_from(message)
    text = message[HEAD.size : -4].partition(b"\0")[0].decode("ascii", "replace").strip()
    if status != DONE:
        files.reject(node, f"the firmware has not taken the message ({status:#x})")
        return None
    return None if code or text.startswith("error=") else text  # "error=1 error_msg="Command not registered""


def who_may(path: Path) -> str:
    """Why a node may not be opened, and what to do about it."""
    try:
        found = path.stat()
    except OSError:
        return "permission denied"
    if not found.st_mode & stat.S_IRGRP:
        return "permission denied: it is root's alone; newer kernels have /dev/vcio_gencmd for the group video"
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    return f"permission denied: join the group {group}, as systemd/edge.pi.conf does"
