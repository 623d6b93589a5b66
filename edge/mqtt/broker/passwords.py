"""A password file as `mosquitto_passwd` writes it: a user a line, with a salted hash.

`$7$ITERATIONS$SALT$HASH` is PBKDF2 with SHA-512, `$6$SALT$HASH` is SHA-512 of password and salt, in Base64.
Source: mosquitto_passwd(1) and src/security_default.c of Mosquitto 2.0.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError

ITERATIONS_MAX = 1_000_000
"""More would be a minute of a board's processor for each who connects."""
HASH_BYTES = 64


@dataclass(frozen=True)
class Entry:
    """A salted hash; no iterations means plain SHA-512."""

    iterations: int
    salt: bytes
    digest: bytes

    def is_of(self, password: bytes) -> bool:
        """Whether it is this password's, in a time that does not tell how much of it was right."""
        if self.iterations:
            made = hashlib.pbkdf2_hmac("sha512", password, self.salt, self.iterations)
        else:
            made = hashlib.sha512(password + self.salt).digest()
        return hmac.compare_digest(made, self.digest)


class Passwords:
    """Users and their passwords."""

    def __init__(self, entries: dict[str, Entry]) -> None:
        self._entries = entries
        self._decoy = next(iter(entries.values()), Entry(101, bytes(12), bytes(HASH_BYTES)))

    def verify(self, user: str, password: bytes) -> bool:
        """Whether it is the user's password; an unknown user takes as long as a wrong password. Slow: for a thread."""
        entry = self._entries.get(user)
        return (entry or self._decoy).is_of(password) and entry is not None


def read_passwords(path: Path) -> Passwords:
    """The users of a password file; ConfigError with file and line where it is none."""
    entries: dict[str, Entry] = {}
    for place, line in lines(path):
        user, separator, text = line.partition(":")
        user = user.strip()
        if not separator or not user:
            raise ConfigError(f"{place}: not USER:HASH; mosquitto_passwd writes such lines")
        if user in entries:
            raise ConfigError(f"{place}: user {user!r} is there twice")
        entries[user] = _entry(text.strip(), f"{place}: user {user!r}")
    return Passwords(entries)


def lines(path: Path) -> Iterator[tuple[str, str]]:
    """The lines of a file that say something, each with where it is; ConfigError where it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            text = line.decode().rstrip()
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}:{number}: not UTF-8") from error
        if text and not text.startswith("#"):
            yield f"{path}:{number}", text


def _entry(text: str, place: str) -> Entry:
    match text.split("$"):
        case ["", "7", iterations, salt, digest]:
            if not iterations.isascii() or not iterations.isdigit() or not 0 < int(iterations[:9]) <= ITERATIONS_MAX:
                raise ConfigError(f"{place}: {iterations!r} iterations, where 1 to {ITERATIONS_MAX} are possible")
            return Entry(int(iterations), *_decoded(salt, digest, place))
        case ["", "6", salt, digest]:
            return Entry(0, *_decoded(salt, digest, place))
        case _:
            raise ConfigError(
                f"{place}: neither a $7$ nor a $6$ hash; mosquitto_passwd -U makes them of plain passwords"
            )


def _decoded(salt: str, digest: str, place: str) -> tuple[bytes, bytes]:
    try:
        made = base64.b64decode(salt, validate=True), base64.b64decode(digest, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ConfigError(f"{place}: a hash that is not Base64") from error
    if not made[0] or len(made[1]) != HASH_BYTES:
        raise ConfigError(f"{place}: a hash that is cut off")
    return made
