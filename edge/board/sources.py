"""Every source that there is; which of them a board has shows when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge.board.battery import Battery
from edge.board.board import Board
from edge.board.cpu import Cpu
from edge.board.disk import Disk
from edge.board.gpu import Gpu
from edge.board.mailbox import Exchange, Mailbox, by_ioctl
from edge.board.memory import Memory, Processes, ProcessMemory
from edge.board.power import Power
from edge.board.source import Source
from edge.board.thermal import Thermal
from edge.board.throttling import Throttling


def every_source(folders: Mapping[str, Path], processes: Processes, exchange: Exchange = by_ioctl) -> list[Source]:
    """A new one of each. folders: of bundle and journal, by these names; exchange: how a Pi's firmware is spoken to."""
    mailbox = Mailbox(exchange)
    return [
        Board(),
        Thermal(),
        Memory(),
        ProcessMemory(processes),
        Cpu(),
        Disk(folders),
        Throttling(mailbox),
        Power(mailbox),
        Gpu(),
        Battery(),
    ]
