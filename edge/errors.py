"""Everything that can go wrong, as one tree.

EdgeError
├── ConfigError          a wrong setting: names its file, line or variable           exit 78
│   └── UsageError       a wrong option: names it                                    exit 2
├── BundleError          a bundle that must not be loaded: names file and figures    exit 65
├── DocumentsError       documents or an index that cannot be used: names the file   exit 65
├── BrokerError          the broker refused us for good: names the reason            exit 69
├── StartError           what a start needs was not to be had: names what, and why   exit 75
├── ProtocolError        a board says what this version does not understand          exit 76
├── OutputError          standard output takes no more                               exit 74, or 141
├── Interrupted          a signal said to end                                        exit 128 and its number
└── Fault                goes to whoever asked, with a code                          on the wire
    ├── BadRequest       400  cannot be understood: names the field
    ├── NotFound         404  no such model
    ├── DeadlineExceeded 408  its time ran out
    ├── Conflict         409  a request of the same id is in flight
    ├── TooLarge         413  longer than the payload limit or the model's context
    ├── Unsupported      415  a content type or capability that this bundle lacks
    ├── TooMany          429  its client has enough waiting
    ├── Cancelled        499  stopped because someone asked for it
    ├── EngineFailed     500  the engine broke while answering
    └── Unavailable      503  the queue is full, or the daemon is stopping

Exit statuses are those of sysexits.h, so that a unit can tell what somebody must put right from what may pass by
itself: a ConfigError or BundleError that passes ends with 75. A class says what is wrong, its cause whether that lasts.
"""

from __future__ import annotations

import errno
import logging

log = logging.getLogger(__name__)

MAY_PASS = 75
"""EX_TEMPFAIL: worth trying again."""
FINAL = frozenset({65, 78})
"""Exit statuses after which systemd does not start the daemon again (systemd/edge.service)."""
LASTING = frozenset(
    {errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP}
    | {errno.ENAMETOOLONG, errno.ENOENT, errno.ENOEXEC, errno.ENOTDIR, errno.EPERM}
)
"""What the system says where somebody must put a file or a right in order. All else may pass: a disk that is full,
failing or not writable now, memory or descriptors that are used up."""


class EdgeError(Exception):
    """The root; `exit_status` is what the program ends with where nothing handles it. Without words it is silent.

    passes: whether it may be otherwise the next time, though nobody does anything.

    What the system says of the cause tells that, too, so that it need not be said where there is one.
    """

    status = 1

    def __init__(self, message: str = "", passes: bool = False) -> None:
        super().__init__(message)
        self._passes = passes

    @property
    def passes(self) -> bool:
        """Whether it may pass by itself."""
        return self._passes or _may_pass(self.__cause__)

    @property
    def exit_status(self) -> int:
        """What the program ends with where nothing handles it."""
        return MAY_PASS if self.status in FINAL and self.passes else self.status


def _may_pass(cause: BaseException | None) -> bool:
    if isinstance(cause, EdgeError):
        return cause.passes
    if isinstance(cause, OSError):  # OpenSSL's and the resolver's are among them, with numbers of their own
        return (cause.errno or 0) > 0 and cause.errno not in LASTING and not hasattr(cause, "library")
    return isinstance(cause, MemoryError)


class ConfigError(EdgeError):
    """A setting that cannot be used."""

    status = 78


class UsageError(ConfigError):
    """An option that cannot be; argparse's own exit status."""

    status = 2


class BundleError(EdgeError):
    """A bundle that is damaged, foreign, or too large for this board."""

    status = 65


class DocumentsError(EdgeError):
    """Documents that cannot be indexed, or an index that is damaged, foreign, or not there."""

    status = 65


class BrokerError(EdgeError):
    """The broker refused the connection in a way that trying again will not mend."""

    status = 69


class StartError(EdgeError):
    """Something that a start needs was not to be had: time, memory, a process that lives."""

    status = MAY_PASS


class ProtocolError(EdgeError):
    """What a board says cannot be understood: it speaks another version of the wire, or is no board."""

    status = 76


class OutputError(EdgeError):
    """Standard output takes no more: the disk is full, it is closed, or its reader has left.

    A reader that has left knows: that is no news, and ends us as SIGPIPE would (128 and 13).
    """

    status = 74

    def __init__(self, error: OSError) -> None:
        is_left = isinstance(error, BrokenPipeError)
        super().__init__("" if is_left else f"standard output: {error.strerror}")
        if is_left:
            self.status = 141


class Interrupted(EdgeError):
    """A signal said to end. number: the signal's; whoever sent it needs no words."""

    def __init__(self, number: int) -> None:
        super().__init__("")
        self.status = 128 + number


class Fault(EdgeError):
    """Goes to whoever asked.

    code: the HTTP status of the same meaning. param: the field at fault, or None.
    retry_after: seconds after which the same request may succeed, or None.
    """

    code = 500

    def __init__(self, message: str, param: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def bare(self) -> Fault:
        """Without the errors that led to it and without traces: their frames keep alive whatever was at hand there.

        Where the fault itself is among that, only Python's collector of cycles would ever let go of it.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class BadRequest(Fault):
    """A request that cannot be understood."""

    code = 400


class NotFound(Fault):
    """A model that this board does not serve."""

    code = 404


class DeadlineExceeded(Fault):
    """The request's time ran out."""

    code = 408


class Conflict(Fault):
    """A request of the same id is waiting or running."""

    code = 409


class TooLarge(Fault):
    """A payload over the limit, or a prompt longer than the model's context."""

    code = 413


class Unsupported(Fault):
    """Something this bundle or this version does not do."""

    code = 415


class TooMany(Fault):
    """A client has as many requests waiting as one may have."""

    code = 429


class Cancelled(Fault):
    """Someone asked for the request to be stopped."""

    code = 499


class EngineFailed(Fault):
    """The engine broke while answering."""

    code = 500


class Unavailable(Fault):
    """Not now: the queue is full or the daemon is stopping."""

    code = 503


def as_fault(error: Exception) -> Fault:
    """What an asker is told of an error: the fault that it is, or that the engine failed, with a trace in the log."""
    if isinstance(error, Fault):
        return error
    log.error("a request failed in a way that was not foreseen", exc_info=error)
    return EngineFailed(f"the engine failed at this request ({type(error).__name__}: {error}); its log has more")


FAULTS: dict[int, type[Fault]] = {
    kind.code: kind
    for kind in (
        BadRequest,
        NotFound,
        DeadlineExceeded,
        Conflict,
        TooLarge,
        Unsupported,
        TooMany,
        Cancelled,
        EngineFailed,
        Unavailable,
    )
}
