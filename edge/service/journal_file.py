"""What was accepted and not yet answered, and what was answered and not yet delivered, on disk.

SQLite in WAL mode, each `write` one transaction with one fsync, so that what it returned from survives a power cut
(https://sqlite.org/wal.html, "synchronous = FULL"). The service decides what is written; this file knows no network.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from edge.errors import EdgeError
from edge.service.journal_erasing import PAD_BYTES, TRACES, Erasing, erase
from edge.service.journal_opening import opened
from edge.wire.board_tools import BoardCall
from edge.wire.message import Message

REFUSED = b""
"""In place of a digest: nothing is a repeat of what was refused."""
WORTH_SECONDS_MIN = 60.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MESSAGE = TypeAdapter(Message)
_CALLS = TypeAdapter(tuple[BoardCall, ...])
Write = Callable[[sqlite3.Connection], object]
"""A change within a transaction. What it has dropped for good it says by where traces may be left (`Trace`)."""


class JournalError(EdgeError):
    """The journal cannot be written now: names the file and what the system says."""


@functools.cache
def _boot_id() -> str:
    """The same as long as this process lives; nothing where the kernel has none."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""


@dataclass(frozen=True)
class Moment:
    """A point in time that a restart can measure from: seconds since boot while it is the same boot, else wall time."""

    boot_id: str
    boot_seconds: float
    wall_seconds: float

    @classmethod
    def now(cls) -> Moment:
        """By the system's clocks; the one since boot counts sleep and is never set."""
        return cls(_boot_id(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())

    def since(self, earlier: Moment) -> float:
        """Seconds from an earlier one, never less than 0, whatever was done to the wall clock."""
        if self.boot_id == earlier.boot_id:
            return max(0.0, self.boot_seconds - earlier.boot_seconds)
        return max(0.0, self.wall_seconds - earlier.wall_seconds)


@dataclass(frozen=True)
class Entry:
    """An accepted request.

    names: (asker, name) pairs that a repeat comes under. digest: sha256 of what a repeat must equal.
    packet_identifier: MQTT's, 0 where the message had none. attempts: how often it was begun. share: whose it is
    (`Address.share`). keeps: whether it, and its answer, may stay once that is delivered. calls: of the board's tools.
    """

    number: int
    id: str
    digest: bytes
    message: Message
    accepted: Moment
    names: tuple[tuple[str, bytes], ...] = ()
    packet_identifier: int = 0
    attempts: int = 0
    share: str = ""
    keeps: bool = True
    calls: tuple[BoardCall, ...] = ()


@dataclass(frozen=True)
class Known:
    """What the journal knows of a request that seems to come again. code: of its answer, None while it is open."""

    number: int
    digest: bytes
    code: int | None


@dataclass(frozen=True)
class Bounds:
    """keep_seconds, keep_count: how long, and how many, delivered answers are kept. max_bytes: of the file."""

    keep_seconds: float = 3600
    keep_count: int = 10_000
    max_bytes: int = 64 << 20


class JournalFile:
    """One file, one process. Raises ConfigError where the file cannot be opened, JournalError where not written."""

    def __init__(self, path: Path | None, bounds: Bounds = Bounds()) -> None:
        """path: None keeps everything in memory, for tests."""
        self._path, self._bounds = path, bounds
        self._database = opened(path, bounds.max_bytes)
        self._last = self._database.execute("select coalesce(max(number), 0) from request").fetchone()[0]
        self._erasing = Erasing(self._database)

    def next_number(self) -> int:
        """The number of a new request, larger than any before."""
        self._last += 1
        return int(self._last)

    def close(self) -> None:
        """Write what is pending into the file itself."""
        self._database.close()

    # --- what is written, in transactions ---

    def write(self, writes: Sequence[Write]) -> None:
        """All of them, durably, or none. Where there is no room, answers that were delivered give way, oldest first."""
        while True:
            try:
                self._transact(writes)
                return self._erasing.run()
            except sqlite3.Error as error:
                is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
                if not (is_full and self._made_room()):
                    raise JournalError(f"the journal {self._path} cannot be written: {error}") from error

    def _transact(self, writes: Sequence[Write]) -> None:
        with self._database:
            self._trim()  # first, so that what it frees is there for what follows
            said = [each(self._database) for each in writes]
            self._trim()
        self._erasing.note({trace for trace in TRACES if trace in said})

    @property
    def is_to_erase(self) -> bool:
        """Whether something that was dropped may still be read in the file: a later write sees to that."""
        return self._erasing.is_left

    def _made_room(self) -> bool:
        """Forget the older half of the delivered answers; False where that cannot be written, either."""
        half = """delete from request where delivered and number <= (
            select number from request where delivered order by number
            limit 1 offset (select (count(*) - 1) / 2 from request where delivered))"""
        try:
            with self._database:
                forgotten = self._database.execute(half).rowcount
                self._forget_names()
        except sqlite3.Error:
            return False
        return forgotten > 0

    def _forget_names(self) -> None:
        self._database.execute("delete from name where number not in (select number from request)")

    def _trim(self) -> None:
        """Forget delivered answers that are too old or too many."""
        moment, keep = Moment.now(), self._bounds.keep_seconds
        forget = """delete from request where delivered and number in (
            select number from request where delivered and boot_id = ? and boot_seconds < ?
            union select number from request where delivered and boot_id <> ? and wall_seconds < ?
            union select number from (select number from request where delivered order by number desc limit -1 offset ?)
        )"""
        boot, since_boot, wall = moment.boot_id, moment.boot_seconds - keep, moment.wall_seconds - keep
        if self._database.execute(forget, (boot, since_boot, boot, wall, self._bounds.keep_count)).rowcount:
            self._forget_names()

    # --- what is read ---

    def find(self, names: Sequence[tuple[str, bytes]]) -> Known | None:
        """The latest request by one of these names."""
        by_name = "select number from name where asker = ? and name = ?"
        numbers = [row[0] for each in names if (row := self._database.execute(by_name, each).fetchone())]
        return self._known(max(numbers)) if numbers else None

    def find_delivery(self, packet_identifier: int, digest: bytes) -> Known | None:
        """The latest request that arrived in such a packet; for one that the broker marks as a duplicate."""
        by_packet = "select max(number) from request where packet_identifier = ? and digest = ? and digest <> ?"
        (number,) = self._database.execute(by_packet, (packet_identifier, digest, REFUSED)).fetchone()
        return None if number is None else self._known(number)

    def _known(self, number: int) -> Known | None:
        row = self._database.execute("select digest, code from request where number = ?", (number,)).fetchone()
        return Known(number, *row) if row else None

    def reply(self, number: int) -> Message | None:
        """The answer of a request; None where it has none, or is forgotten."""
        row = self._database.execute("select reply from request where number = ?", (number,)).fetchone()
        return _message(row[0]) if row and row[0] is not None else None

    def open_requests(self) -> Iterator[Entry]:
        """Those without an answer, in the order of their arrival."""
        rows = self._database.execute(
            """select number, id, digest, message, boot_id, boot_seconds, wall_seconds, packet_identifier, attempts,
            share, keeps, calls from request left join call using (number) where reply is null order by number"""
        )
        for number, name, digest, message, boot, since, wall, packet, attempts, share, *more in rows.fetchall():
            moment, (keeps, said) = Moment(boot, since, wall), more
            made = _CALLS.validate_json(said) if said else ()
            found = Entry(number, name, digest, _message(message), moment, (), packet, attempts, share or "")
            yield replace(found, keeps=bool(keeps), calls=made)

    def undelivered(self) -> list[tuple[int, float]]:
        """Answers that the broker has not acknowledged, in the order of their requests: numbers, seconds that are left.

        A clock that was set while the board was off makes none of them worthless at once.
        """
        rows = self._database.execute(
            """select number, reply_boot_id, reply_boot_seconds, reply_wall_seconds, worth_seconds
            from request where reply is not null and not delivered order by number"""
        )
        moment = Moment.now()
        return [(number, _left(moment, *kept)) for number, *kept in rows.fetchall()]


def _left(moment: Moment, boot_id: str | None, boot: float, wall: float, worth_seconds: float) -> float:
    """Seconds that an answer of some moment is still worth; of version 1's only that it is worth some."""
    if boot_id is None:
        return WORTH_SECONDS_MIN
    left = worth_seconds - moment.since(Moment(boot_id, boot, wall))
    return left if boot_id == moment.boot_id else max(left, WORTH_SECONDS_MIN)


def accept(entry: Entry) -> Write:
    """Take a request in; a name that an earlier one had is its own from now on."""
    moment = entry.accepted
    row = {
        "number": entry.number,
        "id": entry.id,
        "digest": entry.digest,
        "packet_identifier": entry.packet_identifier,
        "boot_id": moment.boot_id,
        "boot_seconds": moment.boot_seconds,
        "wall_seconds": moment.wall_seconds,
        "share": entry.share,
        "keeps": entry.keeps,
        "pad": None if entry.keeps else bytes(PAD_BYTES),
        "message": _MESSAGE.dump_json(entry.message),
    }

    def run(database: sqlite3.Connection) -> None:
        database.execute(
            f"insert into request ({', '.join(row)}) values ({', '.join(f':{name}' for name in row)})",  # noqa: S608
            row,
        )
        database.executemany(
            "insert or replace into name values (?, ?, ?)", [(*name, entry.number) for name in entry.names]
        )

    return run


def begin(number: int) -> Write:
    """The engine starts on it: an attempt more."""
    return lambda database: database.execute("update request set attempts = attempts + 1 where number = ?", (number,))


def calls(number: int, made: Sequence[BoardCall], keeps: bool) -> Write:
    """What was called of the board's tools for a request that is open, and what came of it, as far as that is known."""
    row = (number, None if keeps else bytes(PAD_BYTES), _CALLS.dump_json(tuple(made)))
    return lambda database: database.execute("insert or replace into call values (?, ?, ?)", row)


def answer(number: int, reply: Message, code: int, worth_seconds: float) -> Write:
    """Its terminal message, and how long from now that is worth delivering; the request itself is needed no more."""
    moment = Moment.now()
    told = (_MESSAGE.dump_json(reply), code, moment.boot_id, moment.boot_seconds, moment.wall_seconds)

    def run(database: sqlite3.Connection) -> None:
        database.execute(
            """update request set reply = ?, code = ?, reply_boot_id = ?, reply_boot_seconds = ?,
            reply_wall_seconds = ?, worth_seconds = ?, message = null where number = ?""",
            (*told, worth_seconds, number),
        )
        database.execute("delete from call where number = ?", (number,))

    return run


def refuse(number: int, reply: Message, code: int, worth_seconds: float) -> Write:
    """The terminal message of what did not become a request; forgotten when the broker has it."""
    row = Entry(number, "", REFUSED, reply, Moment.now())
    writes = (accept(row), answer(number, reply, code, worth_seconds))

    def run(database: sqlite3.Connection) -> None:
        for write in writes:
            write(database)

    return run


def deliver(number: int) -> Write:
    """The broker has its answer, or nobody wants it; nothing stays of a refusal, nor of what is not to stay."""

    def run(database: sqlite3.Connection) -> object:
        database.execute("delete from request where number = ? and digest = ?", (number, REFUSED))
        database.execute("update request set delivered = 1 where number = ?", (number,))
        return erase(database, "number = ? and not keeps", number)

    return run


def withdraw(number: int) -> Write:
    """As if it had never been accepted."""
    return lambda database: erase(database, "number = ?", number)


def forget(share: str) -> Write:
    """Drop one's delivered answers; what is open or on its way is dropped as soon as it is delivered."""

    def run(database: sqlite3.Connection) -> object:
        database.execute("update request set keeps = 0 where share = ?", (share,))
        return erase(database, "share = ? and delivered", share)

    return run


def _message(text: bytes) -> Message:
    return _MESSAGE.validate_json(text)
