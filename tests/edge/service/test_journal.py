"""What the journal promises: on disk when `write` returns, bounded, readable after anything that ended its writer."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import os
import random
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from edge.errors import ConfigError
from edge.service.journal_file import (
    Bounds,
    Entry,
    JournalError,
    JournalFile,
    Moment,
    Write,
    accept,
    answer,
    begin,
    calls,
    deliver,
    forget,
    refuse,
    withdraw,
)
from edge.wire.board_tools import BoardCall
from edge.wire.message import Message

ASKED = Message(
    "edge/pi/request/me",
    b'\x00\xff{"prompt"',
    1,
    False,
    "answers/here",
    b"\x00\x01",
    "text/plain",
    30,
    (("a", "b"),),
    7,
)
ANSWERED = Message("answers/here", b"\xfe\x00", 1, correlation_data=b"\x00\x01")


def entry(number: int, name: bytes = b"q", message: Message = ASKED, seconds: float = 0.0) -> Entry:
    """A request that was accepted some seconds ago."""
    now = Moment.now()
    then = Moment(now.boot_id, now.boot_seconds - seconds, now.wall_seconds - seconds)
    return Entry(number, "q1", message.digest(), message, then, (("me", name),), message.packet_identifier)


def test_a_request_comes_back_as_it_arrived(tmp_path):
    """Bytes, properties, id, attempts and age, by the next daemon; until it is answered."""
    journal = JournalFile(tmp_path / "journal")
    journal.write([accept(entry(journal.next_number(), seconds=5)), begin(1)])
    journal.close()
    journal = JournalFile(tmp_path / "journal")
    (found,) = journal.open_requests()
    assert (found.number, found.id, found.message, found.attempts) == (1, "q1", ASKED, 1)
    assert 5 <= Moment.now().since(found.accepted) < 60
    assert journal.next_number() == 2
    journal.write([answer(1, ANSWERED, 200, 99.5)])
    assert list(journal.open_requests()) == []
    ((number, left),) = journal.undelivered()
    assert number == 1
    assert 90 < left <= 99.5
    assert journal.reply(1) == ANSWERED
    journal.write([deliver(1)])
    assert list(journal.undelivered()) == []


def test_repeats_are_found(tmp_path):
    """By name, the latest one; by packet, where the same bytes came in it."""
    journal = JournalFile(tmp_path / "journal")
    other = dataclasses.replace(ASKED, payload=b"other", packet_identifier=8)
    journal.write(
        [accept(entry(1)), answer(1, ANSWERED, 200, 60), accept(entry(2, message=other)), accept(entry(3, b"r"))]
    )
    assert journal.find([("me", b"q")]).number == 2
    assert journal.find([("me", b"unknown"), ("me", b"r")]).number == 3
    assert journal.find([("you", b"q")]) is None
    assert journal.find([]) is None
    assert journal.find_delivery(8, other.digest()).number == 2
    assert journal.find_delivery(8, ASKED.digest()) is None
    journal.write([withdraw(2)])
    assert journal.find([("me", b"q")]) is None


def test_old_and_many_answers_are_forgotten(tmp_path):
    """Delivered ones by age and count; what is open or undelivered stays however old it is."""
    journal = JournalFile(tmp_path / "journal", Bounds(keep_seconds=100, keep_count=2))
    done = [accept(entry(number, b"%d" % number, seconds=200 if number < 3 else 0)) for number in range(1, 8)]
    journal.write([*done, *(write(number) for number in (1, 3, 4, 5, 6) for write in (answered, deliver))])
    assert [journal.find([("me", b"%d" % number)]) is not None for number in range(1, 8)] == [
        *(False, True, False, False),
        *(True, True, True),
    ]


def answered(number: int):
    """An answer to it."""
    return answer(number, ANSWERED, 200, 60)


def test_delivered_answers_give_way_where_there_is_no_room(tmp_path):
    """A file that is full of kept answers takes what is new, oldest first out; open and undelivered ones stay."""
    journal = JournalFile(tmp_path / "journal", Bounds(max_bytes=1 << 20))
    large = dataclasses.replace(ANSWERED, payload=b"x" * 50_000)
    journal.write([accept(entry(1, b"open")), accept(entry(2, b"undelivered")), answer(2, ANSWERED, 200, 60)])
    for number in range(3, 103):
        journal.write([accept(entry(number, b"%d" % number))])
        journal.write([answer(number, large, 200, 60), deliver(number)])
    assert [each.number for each in journal.open_requests()] == [1]
    assert [number for number, _ in journal.undelivered()] == [2]
    assert journal.find([("me", b"102")]).code == 200
    assert journal.reply(102) == large
    assert journal.find([("me", b"3")]) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="a disk of its own needs root")
def test_a_full_disk_and_then_time(tmp_path):
    """It fills up with somebody else's files: refused whole; once there is room again, the next write is taken."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        journal = JournalFile(disk / "journal")
        journal.write([accept(entry(1, b"kept"))])
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while file.write(b"x" * 4096):
                file.flush()
        large = dataclasses.replace(ASKED, payload=b"x" * 100_000)
        for number in range(2, 50):
            with pytest.raises(JournalError, match="cannot be written"):
                journal.write([accept(entry(number, message=large))])
        filler.unlink()
        journal.write([accept(entry(50, b"again", message=large))])
        assert [each.number for each in journal.open_requests()] == [1, 50]
        journal.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_full_file_refuses_and_takes_again(tmp_path):
    """Over its bound a write is refused whole, and what was there stays; with room again it is taken."""
    journal = JournalFile(tmp_path / "journal", Bounds(max_bytes=1 << 20))
    large = dataclasses.replace(ASKED, payload=b"x" * (1 << 18))
    journal.write([accept(entry(1, message=large))])
    with pytest.raises(JournalError, match="full"):
        journal.write([accept(entry(number, message=large)) for number in range(2, 6)])
    assert [each.number for each in journal.open_requests()] == [1]
    journal.write([answered(1)])
    journal.write([accept(entry(2, message=large))])


def test_one_daemon_at_a_time(tmp_path):
    """A second one is refused with the file's name."""
    journal = JournalFile(tmp_path / "journal")
    journal.write([accept(entry(1))])
    with pytest.raises(ConfigError, match="another daemon"):
        JournalFile(tmp_path / "journal")


@pytest.mark.parametrize("harm", ["garbage", "middle"])
def test_a_damaged_file_is_put_aside(tmp_path, harm):
    """The board comes up; the old file is kept for whoever wants to look."""
    path = tmp_path / "journal"
    journal = JournalFile(path)
    for number in range(1, 200):
        journal.write([accept(entry(number, b"%d" % number))])
    journal.close()
    content = bytearray(path.read_bytes())
    content[: len(content) if harm == "garbage" else 0] = b"no database"
    content[4096 * 5 : 4096 * 8] = b"\x55" * 4096 * 3
    path.write_bytes(content)
    assert list(JournalFile(path).open_requests()) == []
    assert (tmp_path / "journal.damaged").is_file()


def test_a_newer_file_is_refused(tmp_path):
    """A daemon that was rolled back does not touch what it cannot read."""
    path = tmp_path / "journal"
    with sqlite3.connect(path) as database:
        database.execute("pragma user_version = 9")
    with pytest.raises(ConfigError, match="schema version 9"):
        JournalFile(path)


@pytest.mark.parametrize("folder", ["file/below", "/proc/none"])
def test_a_folder_that_cannot_be_is_named(tmp_path, folder):
    """Where the journal cannot lie, the daemon does not start."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be opened"):
        JournalFile(tmp_path / folder / "journal")


def test_clocks_that_jump():
    """In one boot the wall clock does not matter; over a reboot it is all there is, and never counts backwards."""
    before = Moment("a", 100.0, 5000.0)
    assert Moment("a", 160.0, 1.0).since(before) == 60
    assert Moment("b", 5.0, 5030.0).since(before) == 30
    assert Moment("b", 5.0, 10.0).since(before) == 0


def test_a_kill_in_the_middle_of_a_write_leaves_whole_transactions(tmp_path):
    """A copy of the files at any moment between two writes has exactly what was written before."""
    path = tmp_path / "journal"
    journal = JournalFile(path)
    for number in range(1, 4):
        journal.write([accept(entry(number, b"%d" % number))])
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        for file in tmp_path.glob("journal*"):
            (copy / file.name).write_bytes(file.read_bytes())
        assert len(list(reopened(copy / "journal").open_requests())) == number


def reopened(path: Path) -> JournalFile:
    """A copy of a journal, as a next daemon opens it."""
    return JournalFile(path)


VERSION_1 = """
create table request (number integer primary key, id text not null, digest blob not null,
    packet_identifier integer not null, boot_id text not null, boot_seconds real not null, wall_seconds real not null,
    attempts integer not null default 0, message blob, reply blob, reply_expires real,
    delivered integer not null default 0) strict;
create table name (asker text not null, name blob not null, number integer not null, primary key (asker, name))
    strict, without rowid;
create index name_number on name (number);
create index unanswered on request (number) where reply is null;
create index undelivered on request (number) where reply is not null and not delivered;
create index delivered on request (number) where delivered;
pragma user_version = 1;
"""


def test_a_journal_of_an_older_daemon_is_read(tmp_path):
    """What it had accepted is answered, what it had answered is delivered and found again, after an update."""
    old = sqlite3.connect(tmp_path / "journal")
    old.executescript(VERSION_1)
    told = dataclasses.replace(ANSWERED, payload='{"type":"reply","code":503,"text":"é>?"}'.encode())
    as_text = TypeAdapter(Message).dump_json
    with old:
        row = "insert into request values (?, 'q', ?, 0, 'boot', 1.0, 1.0, 0, ?, ?, null, ?)"
        old.execute(row, (1, b"d1", as_text(ASKED), None, 0))
        old.execute(row, (2, b"d2", None, as_text(told), 0))
        old.execute("insert into name values ('me', ?, 2)", (b"q",))
    old.close()
    journal = JournalFile(tmp_path / "journal")
    assert [entry.message for entry in journal.open_requests()] == [ASKED]
    assert journal.undelivered() == [(2, 60)]
    assert (journal.find([("me", b"q")]).code, journal.reply(2)) == (503, told)
    journal.close()
    JournalFile(tmp_path / "journal").close()


def test_a_refusal_is_kept_until_it_is_delivered(tmp_path):
    """It survives a restart; nothing is taken for its repeat, and nothing of it stays."""
    journal = JournalFile(tmp_path / "journal")
    journal.write([refuse(journal.next_number(), ANSWERED, 400, 60)])
    journal.close()
    journal = JournalFile(tmp_path / "journal")
    ((number, _),) = journal.undelivered()
    assert (number, journal.reply(1), list(journal.open_requests())) == (1, ANSWERED, [])
    assert journal.find_delivery(0, b"") is None
    journal.write([deliver(1)])
    assert (journal.undelivered(), journal.reply(1)) == ([], None)


def test_a_clock_that_is_set_forgets_no_answer(tmp_path):
    """A board without a clock of its own is set by 50 years at its first contact; what it kept counts by its boot."""
    journal = JournalFile(tmp_path / "journal", Bounds(keep_seconds=100))
    journal.write([accept(dataclasses.replace(entry(1), accepted=dataclasses.replace(Moment.now(), wall_seconds=0.0)))])
    journal.write([answered(1), deliver(1)])
    assert journal.find([("me", b"q")])


def test_what_people_ask_is_for_nobody_else(tmp_path):
    """The file and those beside it, new ones and those of an older daemon that everybody could read."""
    path = tmp_path / "journal"
    for _ in range(2):
        journal = JournalFile(path)
        journal.write([accept(entry(journal.next_number()))])
        modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
        assert set(modes.values()) == {0o600}, modes
        for each in tmp_path.iterdir():
            each.chmod(0o644)
        journal.close()


VERSION_2 = """
create table request (
    number integer primary key,
    id text not null,
    digest blob not null,
    packet_identifier integer not null,
    boot_id text not null,
    boot_seconds real not null,
    wall_seconds real not null,
    attempts integer not null default 0,
    message blob,
    reply blob,
    code integer,
    reply_boot_id text,
    reply_boot_seconds real,
    reply_wall_seconds real,
    worth_seconds real,
    delivered integer not null default 0
) strict;
create table name (asker text not null, name blob not null, number integer not null, primary key (asker, name))
    strict, without rowid;
create index name_number on name (number);
create index unanswered on request (number) where reply is null;
create index undelivered on request (number) where reply is not null and not delivered;
create index delivered on request (number) where delivered;
pragma user_version = 2;
"""


def test_calls_are_kept_until_the_answer(tmp_path):
    """What was begun and what came of it, by the next daemon; with the answer, or without the request, they go."""
    open_call, done = BoardCall("lamp", {"room": "hall"}, "{…}"), BoardCall("heat", {}, "{}", "48 °C")
    journal = JournalFile(tmp_path / "journal")
    journal.write([accept(entry(1)), calls(1, [open_call], True), accept(entry(2, b"r")), calls(2, [done], False)])
    journal.write([calls(1, [done, open_call], True)])
    journal.close()
    journal = JournalFile(tmp_path / "journal")
    first, second = journal.open_requests()
    assert (first.calls, second.calls) == ((done, open_call), (done,))
    assert [call.is_open for call in first.calls] == [False, True]
    journal.write([answered(1), withdraw(2)])
    assert journal._database.execute("select count(*) from call").fetchone() == (0,)


def test_a_journal_of_version_3_goes_on(tmp_path):
    """As the last daemon left it: open requests, answers on their way, and what is kept for a repeat."""
    path = tmp_path / "journal"
    journal = JournalFile(path)
    journal.write([accept(entry(1)), begin(1), accept(entry(2, b"r")), answered(2), accept(entry(3, b"s"))])
    journal.write([answered(3), deliver(3)])
    journal._database.executescript("drop table call; pragma user_version = 3;")
    journal.close()
    journal = JournalFile(path)
    (left,) = journal.open_requests()
    assert (left.number, left.attempts, left.calls) == (1, 1, ())
    assert [number for number, _ in journal.undelivered()] == [2]
    assert journal.reply(3) == ANSWERED
    journal.write([calls(1, [BoardCall("lamp", {}, "{}")], True)])
    (left,) = journal.open_requests()
    assert left.calls[0].is_open


# --- what is not to stay ---


def marked(number: int, kind: str, count: int) -> bytes:
    """A text that says whose it is all over, as it can be found in a file: the journal has it in base64."""
    return f"{kind}{number:05d}".encode() * count


def is_in(folder: Path, number: int, kind: str) -> bool:
    """Whether a piece of such a text is in one of the files."""
    sought = base64.urlsafe_b64encode(marked(number, kind, 1))
    return any(sought in path.read_bytes() for path in folder.iterdir())


def asked(number: int, count: int, keeps: bool) -> Entry:
    """A request with such a text."""
    message = dataclasses.replace(ASKED, payload=marked(number, "q", count))
    name = f"{number:08d}name".encode()
    return Entry(number, "q", message.digest(), message, Moment.now(), (("me", name),), 0, 0, f"c{number % 3}", keeps)


def contents(folder: Path) -> list[bytes]:
    """Of all files."""
    return [path.read_bytes() for path in folder.iterdir()]


def called(number: int, count: int, keeps: bool) -> Write:
    """A call of a board's tool for it; what that gave has such a text."""
    return calls(number, [BoardCall("lamp", {}, "said", marked(number, "c", count).decode())], keeps)


def told(number: int, count: int) -> Write:
    """Its answer."""
    return answer(number, dataclasses.replace(ANSWERED, payload=marked(number, "a", count)), 200, 60)


@pytest.mark.parametrize("seed", range(4))
def test_no_byte_stays_of_what_is_not_to_stay(tmp_path, seed):
    """Requests and answers of any length, in any order, some to stay and some not, and some forgotten later."""
    chance, journal = random.Random(seed), JournalFile(tmp_path / "journal")
    is_answered: dict[int, bool] = {}
    is_kept: dict[int, bool] = {}
    for step in range(200):
        kind = chance.random()
        if kind < 0.4 or not is_answered:
            number = journal.next_number()
            is_answered[number] = False
            is_kept[number] = chance.random() < 0.5
            journal.write([accept(asked(number, chance.choice((3, 30, 200, 700, 3000)), is_kept[number]))])
        elif kind < 0.5:
            if not is_answered[number := chance.choice(list(is_answered))]:
                journal.write([called(number, chance.choice((1, 30, 900)), is_kept[number])])
        elif kind < 0.95:
            number = chance.choice(list(is_answered))
            if is_answered[number]:
                del is_answered[number]
                journal.write([deliver(number)])
            else:
                is_answered[number] = True
                journal.write([begin(number)])
                journal.write([told(number, chance.choice((3, 30, 300, 2000)))])
        else:
            journal.write([forget(f"c{chance.randrange(3)}")])
        if step % 20 == 19:
            there = {number for (number,) in journal._database.execute("select number from request")}
            gone = set(range(1, journal._last + 1)) - there
            assert not [(number, kind) for number in gone for kind in "qa" if is_in(tmp_path, number, kind)]
            assert not [number for number in gone if any(marked(number, "c", 1) in each for each in contents(tmp_path))]
            names = {name for (name,) in journal._database.execute("select name from name")}
            assert len(names) == len(there)
    assert not journal.is_to_erase


def test_what_a_crash_leaves_is_gone_with_the_next_start(tmp_path):
    """What was dropped is in the log beside the file until that is emptied."""
    journal = JournalFile(tmp_path / "journal")
    journal.write([accept(asked(1, 300, keeps=False)), accept(asked(2, 300, keeps=True))])
    journal.write([told(1, 300), told(2, 300), deliver(2)])
    journal._transact([deliver(1), forget("c2")])  # and the power goes
    assert is_in(tmp_path, 1, "q")
    for path in list(tmp_path.iterdir()):
        shutil.copy(path, tmp_path / f"copy{path.name.removeprefix('journal')}")
    journal.close()
    copied = tmp_path / "next"
    copied.mkdir()
    for path in tmp_path.glob("copy*"):
        path.rename(copied / f"journal{path.name.removeprefix('copy')}")
    again = JournalFile(copied / "journal")
    again.write([lambda _database: None])
    assert not [kind for kind in "qa" for number in (1, 2) if is_in(copied, number, kind)]


def test_an_older_journal_knows_whose_its_answers_are(tmp_path):
    """Of those with a name; a new daemon forgets them, and nothing that an older one dropped is left in the file."""
    path = tmp_path / "journal"
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executescript(VERSION_2)
        columns = "number, id, digest, packet_identifier, boot_id, boot_seconds, wall_seconds, reply, code, delivered"
        for number, kind in ((1, "a"), (2, "b"), (3, "d")):
            message = dataclasses.replace(ANSWERED, payload=marked(number, kind, 300))
            row = (number, "q", b"x", 0, "", 0.0, time.time(), TypeAdapter(Message).dump_json(message), 200, 1)
            database.execute(f"insert into request ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        database.executemany("insert into name values (?, ?, ?)", [("me", b"q", 1), (" answers/x", b"q", 2)])
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.execute("pragma secure_delete = off")
        database.execute("delete from request where number = 3")
    assert is_in(tmp_path, 3, "d")
    journal = JournalFile(path)
    assert not is_in(tmp_path, 3, "d")
    journal.write([forget("me")])
    assert (journal.find([("me", b"q")]), is_in(tmp_path, 1, "a")) == (None, False)
    assert journal.find([(" answers/x", b"q")]).number == 2
    journal.write([forget("")])
    assert journal.find([(" answers/x", b"q")]) is None


def test_a_large_file_is_not_written_anew_all_the_time(tmp_path):
    """Once at once, then after minutes: whoever forgets every second wears no card out. What is left is remembered."""
    journal = JournalFile(tmp_path / "journal")
    journal.write([accept(asked(number, 3000, keeps=True)) for number in range(1, 121)])
    journal.write([write for number in range(1, 121) for write in (told(number, 2000), deliver(number))])
    assert (tmp_path / "journal").stat().st_size + (tmp_path / "journal-wal").stat().st_size > 1 << 20
    journal.write([forget("c0")])
    assert not journal.is_to_erase
    journal.write([forget("c1")])
    assert journal.is_to_erase
    assert journal.find([("me", b"00000001name")]) is None
    journal.close()
    again = JournalFile(tmp_path / "journal")
    assert again.is_to_erase
    again.write([lambda _database: None])
    assert not again.is_to_erase
