"""A model of which no more than its config is known: enough to say what an export of it will need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from export.errors import SourceError
from export.quantize import Format, Quantized
from export.source.base import Floats


class ConfigSource:
    """A config under a name; everything else is refused."""

    def __init__(self, name: str, config: Mapping[str, Any]) -> None:
        self._name, self._config = name, config

    @property
    def path(self) -> Path:
        """Its name, where a source has its place."""
        return Path(self._name)

    @property
    def config(self) -> Mapping[str, Any]:
        """config.json, or as much of it as a recipe tells."""
        return self._config

    @property
    def chat_template(self) -> str:
        """Refused."""
        self._refuse()

    @property
    def stop_token_ids(self) -> list[int]:
        """Refused."""
        self._refuse()

    @property
    def generation(self) -> Mapping[str, Any]:
        """Refused."""
        self._refuse()

    @property
    def tokenizer_files(self) -> Mapping[str, str]:
        """Refused."""
        self._refuse()

    def tensor_names(self) -> set[str]:
        """Refused."""
        self._refuse()

    def shape(self, name: str) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's
        """Refused."""
        self._refuse()

    def tensor(self, name: str) -> Floats:  # noqa: ARG002 - the protocol's
        """Refused."""
        self._refuse()

    def stored_format(self, name: str) -> Format | None:  # noqa: ARG002 - the protocol's
        """None: how it is stored is not known."""
        return None

    def stored_blocks(self, name: str) -> Quantized | None:  # noqa: ARG002 - the protocol's
        """None."""
        return None

    def check_values(self, names: Iterable[str]) -> None:  # noqa: ARG002 - the protocol's
        """Refused."""
        self._refuse()

    def checksum(self) -> str:
        """Refused."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise SourceError(f"of {self._name} only the config is known here")
