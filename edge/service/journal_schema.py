"""The journal's tables, and how those of an older version become them."""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64decode  # pydantic's alphabet

SCHEMA_VERSION = 4
REQUEST = """
create table request (
    number integer primary key,
    id text not null,
    digest blob not null,
    packet_identifier integer not null,
    boot_id text not null,
    boot_seconds real not null,
    wall_seconds real not null,
    attempts integer not null default 0,
    share text,
    keeps integer not null default 1,
    pad blob,
    message blob,
    reply blob,
    code integer,
    reply_boot_id text,
    reply_boot_seconds real,
    reply_wall_seconds real,
    worth_seconds real,
    delivered integer not null default 0
) strict;
"""
"""pad: before the texts of what is not to stay (journal_erasing.py)."""
INDEXES = """
create index unanswered on request (number) where reply is null;
create index undelivered on request (number) where reply is not null and not delivered;
create index delivered on request (number) where delivered;
"""
NAMES = """
create table name (asker text not null, name blob not null, number integer not null, primary key (asker, name))
    strict, without rowid;
create index name_number on name (number);
"""
CALLS = """
create table call (number integer primary key, pad blob, calls blob not null) strict;
"""
"""Of a request that is open: what was called of the board's tools, and what came of it."""
TO_VERSION_2 = """
alter table request add column code integer;
alter table request add column reply_boot_id text;
alter table request add column reply_boot_seconds real;
alter table request add column reply_wall_seconds real;
alter table request add column worth_seconds real;
"""
"""Of version 1 there was a time on the wall clock, `reply_expires`; nobody reads it any more."""
COLUMNS = """number, id, digest, packet_identifier, boot_id, boot_seconds, wall_seconds, attempts, message, reply, code,
    reply_boot_id, reply_boot_seconds, reply_wall_seconds, worth_seconds, delivered"""
"""Of version 2."""
TO_VERSION_3 = f"""
alter table request rename to older;
{REQUEST}
insert into request ({COLUMNS}, share) select {COLUMNS}, (
    select case when asker like ' %' then '' else asker end from name where name.number = older.number
) from older;
drop table older;
{INDEXES}
"""  # noqa: S608
"""Whose a request is was known of those with a name alone; the others go when their time is over."""


def upgrade(database: sqlite3.Connection, version: int) -> None:
    """The tables of this version, from none (0) or from those of an older one, in the caller's transaction."""
    if version == 0:
        database.executescript(f"begin; {REQUEST} {INDEXES} {NAMES} {CALLS} pragma user_version = {SCHEMA_VERSION};")
    elif version == 3:
        database.executescript(f"begin; {CALLS} pragma user_version = {SCHEMA_VERSION};")
    elif version == 2:
        database.executescript(f"begin; {TO_VERSION_3} {CALLS} pragma user_version = {SCHEMA_VERSION};")
    elif version == 1:
        database.executescript(f"begin; {TO_VERSION_2} {TO_VERSION_3} {CALLS} pragma user_version = {SCHEMA_VERSION};")
        answered = database.execute("select number, reply from request where reply is not null").fetchall()
        codes = [(code_in(reply), number) for number, reply in answered]
        database.executemany("update request set code = ? where number = ?", codes)


def code_in(reply: bytes) -> int:
    """The code of a terminal message as it lies in the journal."""
    return int(json.loads(urlsafe_b64decode(json.loads(reply)["payload"]))["code"])
