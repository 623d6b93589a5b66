"""Ctrl-C, SIGTERM and SIGHUP end an export the same way: as an exception, so that all it has begun is undone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal has asked for the end. number: which."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def listen() -> None:
    """Have each of the signals raise Stopped in the main thread; one that the parent has us ignore (nohup) stays so."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - what a handler is given
    raise Stopped(number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """A few moments that no signal breaks off: one that comes meanwhile is heard at their end.

    For cleaning up and for what must happen together; by handlers, since another thread would take a blocked signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda which, _: came.append(which)) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), came[0])


@contextmanager
def child_of_ours(command: Sequence[str], **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, so that Ctrl-C reaches us alone; where we end in the midst, it does.

    how: as subprocess.Popen takes it.
    """
    child = None
    try:
        with undisturbed():  # one that is stopped while it starts a child would not know of it
            child = subprocess.Popen(command, start_new_session=True, **how)
        with child:
            try:
                yield child
            except BaseException:
                _kill(child)
                raise
    except BaseException:
        if child is not None:
            _kill(child)
        raise


def _kill(child: subprocess.Popen[bytes]) -> None:
    """It and its own children."""
    if child.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def ended(error: BaseException) -> int | None:
    """The exit status for a stop, as a shell counts it (130, 143, 129); None where an error is no stop.

    An import that is broken off raises an ImportError of its own, with the stop behind it.
    """
    while not isinstance(error, KeyboardInterrupt):
        behind = error.__cause__ or error.__context__
        if not isinstance(error, ImportError) or behind is None:
            return None
        error = behind
    for each in SIGNALS:  # it is over: what comes now would only spoil the last words
        signal.signal(each, signal.SIG_IGN)
    print("edge-export: stopped; nothing was left behind", file=sys.stderr)
    return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)
