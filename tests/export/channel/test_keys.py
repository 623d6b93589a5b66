"""The files of private keys, whatever breaks off what makes them or changes them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.errors import ConfigError
from export.channel.keys import Keys


def keys_in(folder: Path) -> Keys:
    """Keys without a passphrase."""
    return Keys([folder], lambda _: b"")


@contextmanager
def files_of_at_most(size_bytes: int) -> Iterator[None]:
    """As on a disk that is full after that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_key_is_there_whole_or_not_at_all(tmp_path):
    """Where the disk is full in the middle nothing is left that a later run takes for a key, or stumbles over."""
    with files_of_at_most(20), pytest.raises(ConfigError, match="cannot be written"):
        keys_in(tmp_path).make("online")
    assert list(tmp_path.iterdir()) == []
    made = keys_in(tmp_path).make("online")
    assert keys_in(tmp_path).signer("online").public_key == made.public_key
    assert [file.stat().st_mode & 0o777 for file in tmp_path.iterdir()] == [0o600]


def test_a_key_is_never_written_over(tmp_path):
    """Not even that of another program, which has made it while this one asked for a passphrase."""
    made = []

    def passphrase(_: Path) -> bytes:
        made.append(keys_in(tmp_path).make("online"))
        return b""

    with pytest.raises(ConfigError, match="File exists"):
        Keys([tmp_path], passphrase).make("online")
    assert keys_in(tmp_path).signer("online").public_key == made[0].public_key
