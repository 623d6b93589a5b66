"""Which of another's functions a process is in: said by the name that its main thread has (proc_pid_comm(5)).

A function that never comes back, and holds the interpreter's lock, leaves nobody in its process who could say so; the
kernel can, to whoever looks from outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMM = Path("/proc/self/comm")
SAYS = "scorer "


@contextmanager
def tell_at_work(number: int) -> Iterator[None]:
    """While the block lasts, this process says that it is in the function of a number."""
    before = _swap(f"{SAYS}{number}".encode())
    try:
        yield
    finally:
        _swap(before)


def at_work(pid: int | None, root: Path = Path("/")) -> int | None:
    """The number that a process says; None where it says none, or is not there."""
    try:
        said = (root / f"proc/{pid}/comm").read_text().strip()
    except OSError:
        return None
    number = said.removeprefix(SAYS)
    return int(number) if said != number and number.isdecimal() else None


def _swap(name: bytes) -> bytes:
    """Give the process a name; the one that it had. Where there is no /proc, nothing is said."""
    try:
        with COMM.open("r+b", buffering=0) as file:
            before = file.read(64).strip()
            file.write(name)
    except OSError:
        return name
    return before
