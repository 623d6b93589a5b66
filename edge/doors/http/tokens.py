"""Who may ask: names and the hashes of their tokens, from lines of `NAME TOKEN`."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from edge.config import Http
from edge.errors import ConfigError
from edge.wire.topics import LEVEL

HASHED = "sha256:"
TOKEN_MIN, LINES_MAX, FILE_BYTES_MAX = 16, 256, 1 << 16
HEX = re.compile(r"[0-9a-f]{64}")


class Tokens:
    """Those of all who may ask; none at all lets everybody in."""

    def __init__(self, lines: str, source: str) -> None:
        """source: where the lines are from, for ConfigError where one is wrong; it never tells a token."""
        said = [(number, line.split()) for number, line in enumerate(lines.splitlines(), 1)]
        found = [(number, words) for number, words in said if words and not words[0].startswith("#")]
        if len(found) > LINES_MAX:
            raise ConfigError(f"{source} has more than {LINES_MAX} tokens")
        self._known = [(words[0], _digest(words, f"{source}, line {number}")) for number, words in found]

    def __len__(self) -> int:
        return len(self._known)

    def name_of(self, token: str) -> str | None:
        """Whose a token is; all are compared, each in the same time. None: nobody's."""
        given, name = hashlib.sha256(token.encode()).digest(), None
        for known, digest in self._known:
            if hmac.compare_digest(given, digest):
                name = known
        return name


def _digest(words: list[str], place: str) -> bytes:
    if len(words) != 2 or not LEVEL.fullmatch(words[0]):
        raise ConfigError(f"{place}: should be a name of letters, digits, ., _ and -, a space, and a token without any")
    token = words[1]
    if token.startswith(HASHED):
        if not HEX.fullmatch(token.removeprefix(HASHED)):
            raise ConfigError(f"{place}: what follows {HASHED} should be 64 digits of 0-9 and a-f")
        return bytes.fromhex(token.removeprefix(HASHED))
    if len(token) < TOKEN_MIN:
        raise ConfigError(f"{place}: the token has fewer than {TOKEN_MIN} characters; `openssl rand -hex 32` makes one")
    return hashlib.sha256(token.encode()).digest()


def read_tokens(settings: Http) -> Tokens:
    """Those of the settings and of the file that they name. ConfigError where one cannot be used, or none is there."""
    said = settings.tokens.get_secret_value() if settings.tokens else ""
    tokens = Tokens("\n".join([said, _read(settings.token_file)]), "http.tokens")
    if not len(tokens) and (settings.tokens or settings.token_file):
        raise ConfigError("http.tokens names nobody: nobody could ask; say NAME TOKEN in a line each")
    return tokens


def _read(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigError(f"http.token_file: {path} can be used by everyone; `chmod 640 {path}`")
        with path.open(encoding="utf-8-sig") as file:
            return file.read(FILE_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"http.token_file: {path} cannot be read: {reason}") from error
