"""The settings in force, and in words what is wrong with one, and where it was set."""

from __future__ import annotations

import os
import re
from typing import Any

from pydantic import ValidationError

from edge.config.files import CONFIG_VARIABLE, config_file
from edge.config.sections import Section
from edge.config.settings import Settings
from edge.errors import ConfigError


def load_settings(**overrides: Any) -> Settings:
    """The settings in force; ConfigError naming the file and line, or the variable, and what was expected."""
    _refuse_unknown_variables()
    try:
        return Settings(**overrides)
    except ValidationError as error:
        found = [(tuple(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
        lines = [_explain(path, message.removeprefix("Value error, "), path[0] in overrides) for path, message in found]
        raise ConfigError("\n".join(lines)) from error


def _refuse_unknown_variables() -> None:
    """An EDGE_ variable that means nothing is a typing error that would go unnoticed."""
    known = {CONFIG_VARIABLE, "EDGE_CACHE", "EDGE_ENGINE"} | {
        f"EDGE_{'__'.join(path)}".upper() for path, _ in describe()
    }
    unknown = sorted(name for name in os.environ if name.startswith("EDGE_") and name.upper() not in known)
    if unknown:
        raise ConfigError(f"the variable {unknown[0]} is not a setting; `edge serve --print-config` lists them")


def describe() -> list[tuple[tuple[str, ...], str]]:
    """Every key as its path and what it means."""
    keys: list[tuple[tuple[str, ...], str]] = []
    for name, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, Section):
            keys += [((name, key), inner.description or "") for key, inner in section.model_fields.items()]
        else:
            keys.append(((name,), info.description or ""))
    return keys


def _explain(path: tuple[str, ...], message: str, is_argument: bool) -> str:
    """Where a wrong key was set, and what is wrong with it."""
    variables = [
        f"EDGE_{'__'.join(part)}".upper()
        for part in ([path, path[:1]] if path[0] in ("models", "scorers", "tools") else [path])
    ]
    variable = next((each for each in variables if each in os.environ), None)
    set_there = f"the variable {variable}" if variable else _line_of(path)
    return f"{'on the command line' if is_argument else set_there}: {'.'.join(path)}: {message}"


def _line_of(path: tuple[str, ...]) -> str:
    """The line of edge.toml that sets a key; the file's name where it cannot be told."""
    file = config_file()
    if file is None or not file.is_file():
        return "settings"
    section = ""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if header := re.fullmatch(r"\s*\[([\w.-]+)\]\s*(#.*)?", line):
            section = header[1]
        key = re.match(r"\s*([\w-]+)\s*=", line)
        if (key and ".".join(filter(None, (section, key[1]))) == ".".join(path)) or section == ".".join(path):
            return f"{file}, line {number}"
    return str(file)
