"""`edge doctor --unit`: limits of memory and tasks for this board and its bundle, as a drop-in of edge.service."""

from __future__ import annotations

import os

from edge.board.files import Files
from edge.board.memory import meminfo
from edge.bundle import read_manifest
from edge.commands.drafting import draft_bytes
from edge.config import Settings
from edge.errors import BundleError
from edge.store.store import Store

MIB = 2**20
RESERVE_BYTES_MIN, RESERVE_SHARE = 256 * MIB, 1 / 8
"""What stays for the kernel, the broker and whoever logs in; an eighth, on a board of 8 GiB one."""
HIGH_SHARE = 15 / 16
"""Of MemoryMax: where the kernel begins to take back and to slow down, before it ends anybody."""
DAEMON_BYTES = 64 * MIB
"""The daemon beside the engine: 46 MB, and 49 with every door open."""
TASKS, TASKS_PER_CORE = 64, 8
"""Of daemon and engine together, with as much again for a bundle that is fetched or tried beside them."""
STOP_SECONDS = 120
TEXT = """\
# Limits for {board} MiB of memory and {name}, which wants {need} MiB. Written by `edge doctor --unit`; after
# another bundle or other memory write it anew:
#   sudo edge doctor --unit | sudo tee /etc/systemd/system/edge.service.d/70-memory.conf
#   sudo systemctl daemon-reload && sudo systemctl restart edge
[Service]
# {reserve} MiB stay for the rest of the board. What goes over this is ended: the engine, which the daemon starts anew.
MemoryMax={most}M
# From here on the kernel takes back what can be read again, weights too, and slows down who asks for more.
MemoryHigh={high}M
# Threads and processes, for {cores} cores.
TasksMax={tasks}
# Who is slowed down so is slow to end as well.
TimeoutStopSec={stop}
"""
"""Sizes in MiB (systemd.resource-control(5))."""


def drop_in(settings: Settings) -> str:
    """The drop-in, for the bundle in use.

    BundleError where it is not there or would not fit; StartError where the store cannot be read; OSError without
    /proc/meminfo.
    """
    board = meminfo(Files(settings.telemetry.root)).get("MemTotal")
    if board is None:
        raise OSError(f"{settings.telemetry.root / 'proc/meminfo'} does not say how much memory there is")
    manifest = read_manifest(Store(settings.store.folder).in_use(settings.engine.bundle))
    reserve = max(RESERVE_BYTES_MIN, int(board * RESERVE_SHARE))
    need = manifest.memory_floor_bytes + draft_bytes(settings) + DAEMON_BYTES
    most, cores = board - reserve, os.cpu_count() or 1
    high = int(most * HIGH_SHARE)
    if need > high:
        raise BundleError(
            f"{manifest.name} wants {need // MIB} MiB, and this board can give it {max(0, high) // MIB} of its"
            f" {board // MIB}: take a bundle with fewer bits or a shorter context"
        )
    sizes = {"board": board, "need": need, "reserve": reserve, "most": most, "high": high}
    whole = {name: size // MIB for name, size in sizes.items()}
    return TEXT.format(
        **whole, name=manifest.name, cores=cores, tasks=TASKS + TASKS_PER_CORE * cores, stop=STOP_SECONDS
    )
