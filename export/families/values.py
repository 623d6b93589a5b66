"""Values of a config as they should be: each is checked for its type and range, and refused by its name."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn

from export.errors import SourceError

MOST = 2**31 - 1
"""The largest whole number that a size may be: what the graph's integers hold."""
LARGEST = 1e30
"""No number of a model comes near it, and what is made of larger ones is not finite."""


def whole(config: Mapping[str, Any], key: str, where: str = "config.json", most: int = MOST, least: int = 1) -> int:
    """A whole number in a range. Raises SourceError where it is missing or another thing."""
    value = _there(config, key, where)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(key, value, where, f"a whole number from {least} to {most}")
    return value


def number(config: Mapping[str, Any], key: str, where: str = "config.json", below: float = LARGEST) -> float:
    """A finite number above 0, and below a limit where there is one. Raises SourceError likewise."""
    value = _there(config, key, where)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < below:
        _refuse(key, value, where, "a number above 0" if below == LARGEST else f"a number between 0 and {below:g}")
    return float(value)


def flag(config: Mapping[str, Any], key: str, where: str = "config.json") -> bool:
    """True or false. Raises SourceError likewise."""
    value = _there(config, key, where)
    if not isinstance(value, bool):
        _refuse(key, value, where, "true or false")
    return value


def numbers(config: Mapping[str, Any], key: str, count: int, where: str) -> tuple[float, ...]:
    """So many finite numbers above 0. Raises SourceError likewise."""
    values = _there(config, key, where)
    if not isinstance(values, list | tuple) or len(values) != count:
        _refuse(key, values, where, f"a list of {count} numbers")
    return tuple(number({key: value}, key, where) for value in values)


def _there(config: Mapping[str, Any], key: str, where: str) -> Any:
    if key not in config:
        raise SourceError(f"{where} lacks {key}")
    return config[key]


def _refuse(key: str, value: Any, where: str, wanted: str) -> NoReturn:
    raise SourceError(f"{where} lacks or garbles {key}: it is {reprlib.repr(value)}, but should be {wanted}")
