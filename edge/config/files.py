"""edge.toml, and the credentials that systemd hands over."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from edge.errors import ConfigError

CONFIG_VARIABLE = "EDGE_CONFIG"
CREDENTIALS = {
    "broker_username": ("broker", "username"),
    "broker_password": ("broker", "password"),
    "http_tokens": ("http", "tokens"),
}
DEFAULT_FILES = (Path("edge.toml"), Path("/etc/edge-slm/edge.toml"))


def config_file() -> Path | None:
    """The file that `$EDGE_CONFIG` names, else ./edge.toml or /etc/edge-slm/edge.toml where there is one."""
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    return next((path for path in DEFAULT_FILES if path.is_file()), None)


def read_toml(path: Path | None) -> dict[str, Any]:
    """What a file sets. ConfigError where it cannot be read, or everyone can read a password there."""
    if path is None:
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # with the mark that some editors put before it
        for section, key in (("broker", "password"), ("http", "tokens")):
            if key in found.get(section, {}) and path.stat().st_mode & 0o007:
                raise ConfigError(
                    f"{path} holds {section}.{key} and can be read by everyone; `chmod 640 {path}`,"
                    f" or use systemd's LoadCredential={section}_{key}"
                )
        return found
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def read_credentials() -> dict[str, Any]:
    """What systemd's credentials set."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    found: dict[str, Any] = {}
    for name, (section, key) in CREDENTIALS.items():
        path = Path(folder) / name if folder else None
        if path and path.is_file():
            found.setdefault(section, {})[key] = path.read_text(encoding="utf-8-sig").rstrip("\r\n")
    return found
