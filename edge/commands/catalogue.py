"""Models by name: the catalogue that is shipped (`catalogue.toml`), and one of a fleet's own before it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.commands.inputs import read_file
from edge.errors import ConfigError, UsageError

SHIPPED = Path(__file__).with_name("catalogue.toml")
BYTES_MAX = 1 << 20
"""Of a catalogue; thousands of models fit."""
NEAREST = 4
"""How many names are offered for one that is unknown."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Count = Annotated[int, Field(gt=0, lt=1 << 50)]


class Entry(BaseModel):
    """A model that can be had; the fields are explained at the head of `catalogue.toml`.

    name: the table's. beside: the folder that a path in `export` begins at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    aliases: tuple[Name, ...] = ()
    export: Annotated[str, Field(min_length=1, max_length=4096)]
    options: tuple[str, ...] = ()
    bundle: Name
    folder: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] = ""
    licence: str
    bundle_bytes: Count
    source_bytes: Count
    memory_bytes: Count
    context_length: Count
    beside: Path = SHIPPED.parent

    @property
    def source(self) -> str:
        """What edge-export is told to take, with a path in full."""
        is_path = self.export.startswith(("./", "../", "/"))
        return str((self.beside / self.export).resolve()) if is_path else self.export

    @property
    def place(self) -> str:
        """Its folder's name in the cache."""
        return self.folder or self.bundle

    @property
    def names(self) -> tuple[str, ...]:
        """All that it is called: first the catalogue's name."""
        return tuple(dict.fromkeys((self.name, self.bundle, *self.aliases)))


def read_catalogue(own: Path | None = None) -> list[Entry]:
    """Every model that has a name, those of the file `own` first. ConfigError where one cannot be read."""
    files = [SHIPPED] if own is None else [own, SHIPPED]
    return [entry for file in files for entry in _read(file)]


def _read(file: Path) -> list[Entry]:
    try:
        tables = tomllib.loads(read_file(file, BYTES_MAX).decode())
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is no catalogue: {error}") from error
    entries = [_entry(file, name, table) for name, table in tables.items()]
    called: dict[str, str] = {}
    for entry in entries:
        for name in map(str.casefold, entry.names):
            if called.setdefault(name, entry.name) != entry.name:
                raise ConfigError(f"{file}: both {called[name]} and {entry.name} are called {name}")
    return entries


def _entry(file: Path, name: str, table: Any) -> Entry:
    if not isinstance(table, Mapping):
        raise ConfigError(f"{file}: {name} is no table; a model is [{name}] with its fields below")
    try:
        return Entry.model_validate({**table, "name": name, "beside": file.resolve().parent})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{file}: [{name}] {where}: {first['msg']}") from error


def named(word: str, entries: Iterable[Entry]) -> Entry:
    """The model of a name or an alias, whatever its case. UsageError, with the nearest names, where there is none."""
    known = {name.casefold(): entry for entry in reversed(list(entries)) for name in entry.names}
    found = known.get(word.casefold())
    if found is None:
        near = difflib.get_close_matches(word.casefold(), known, NEAREST, 0.5)
        names = list(dict.fromkeys(known[each].name for each in near))
        offered = f"did you mean {' or '.join(names)}?" if names else "no name is like it;"
        raise UsageError(f"no model is called {word[:80]!r}: {offered} `edge bundle list` shows every one")
    return found


def megabytes(count: int) -> str:
    """A size for a person."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
