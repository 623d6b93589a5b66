"""The journal's tables, and how those of an older version become them."""

from __future__ import annotations

import json
import sqlite3
from base64 import urlsafe_b64decode  # pydantic's alphabet

SCHEMA_VERSION = 3
SCHEMA = """
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
"""
TO_VERSION_2 = """
alter table request add column code integer;
alter table request add column reply_boot_id text;
alter table request add column reply_boot_seconds real;
alter table request add column reply_wall_seconds real;
alter table request add column worth_seconds real;
"""
"""Of version 1 there was a time on the wall clock, `reply_expires`; nobody reads it any more."""
TO_VERSION_3 = """
alter table request add column share text;
alter table request add column keeps integer not null default 1;
update request set share = (select case when asker like ' %' then '' else asker end from name
    where name.number = request.number);
"""
"""Whose a request is was known of those with a name alone; the others go when their time is over."""


def upgrade(database: sqlite3.Connection, version: int) -> None:
    """The tables of this version, from none (0) or from those of an older one, in the caller's transaction."""
    if version == 0:
        database.executescript(f"begin; {SCHEMA} pragma user_version = {SCHEMA_VERSION};")
    elif version == 2:
        database.executescript(f"begin; {TO_VERSION_3} pragma user_version = {SCHEMA_VERSION};")
    elif version == 1:
        database.executescript(f"begin; {TO_VERSION_2} {TO_VERSION_3} pragma user_version = {SCHEMA_VERSION};")
        answered = database.execute("select number, reply from request where reply is not null").fetchall()
        codes = [(code_in(reply), number) for number, reply in answered]
        database.executemany("update request set code = ? where number = ?", codes)


def code_in(reply: bytes) -> int:
    """The code of a terminal message as it lies in the journal."""
    return int(json.loads(urlsafe_b64decode(json.loads(reply)["payload"]))["code"])
