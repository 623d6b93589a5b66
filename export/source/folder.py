"""A Hugging Face folder as a source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.bundle import hash_file
from export.errors import SourceError, UnsupportedError
from export.quantize import Format, Quantized
from export.source.base import Floats, finite

FLOATS = ("BF16", "F16", "F32", "F64")
"""What safetensors calls the types that are read."""


class FolderSource:
    """A Hugging Face folder: config.json, safetensors (one file or shards), tokenizer.json."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shards = self._index()

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self._path

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json."""
        return self._json("config.json")

    def _json(self, name: str) -> dict[str, Any]:
        return read_json(self.path / name)

    def _index(self) -> dict[str, Path]:
        """Which file holds each tensor; the shards are those that the index names."""
        named: set[str] = set()
        if (self.path / "model.safetensors.index.json").is_file():
            named = set(self._json("model.safetensors.index.json").get("weight_map", {}).values())
        return tensor_files(self.path, named)

    @cached_property
    def chat_template(self) -> str:
        """From chat_template.jinja or tokenizer_config.json; empty where neither has it."""
        file = self.path / "chat_template.jinja"
        if file.is_file():
            return file.read_text(encoding="utf-8")
        template = self._json("tokenizer_config.json").get("chat_template", "")
        return template if isinstance(template, str) else ""

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """generation_config.json; empty where there is none."""
        return self._json("generation_config.json") if (self.path / "generation_config.json").is_file() else {}

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """eos_token_id of generation_config.json, else of config.json."""
        ids = self.generation.get("eos_token_id", self.config.get("eos_token_id"))
        return sorted(ids) if isinstance(ids, list) else [] if ids is None else [ids]

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files as they lie in the folder."""
        names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
        found = {name: (self.path / name).read_text("utf-8") for name in names if (self.path / name).is_file()}
        if "tokenizer.json" not in found:
            raise SourceError(f"{self.path} has no tokenizer.json")
        return found

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; UnsupportedError where it holds no floats."""
        return tensor_shape(self._file_of(name), name)

    def tensor(self, name: str) -> Floats:
        """A tensor as float32, whatever floating type it is stored in."""
        return read_tensor(self._file_of(name), name)

    def stored_format(self, name: str) -> Format | None:
        """None: the checkpoints read here keep floating types."""
        self._file_of(name)
        return None

    def stored_blocks(self, name: str) -> Quantized | None:
        """None."""
        self._file_of(name)
        return None

    def _file_of(self, name: str) -> Path:
        if name not in self._shards:
            raise SourceError(f"{self.path} has no tensor {name}")
        return self._shards[name]

    def checksum(self) -> str:
        """sha256 over the shards' own, in the order of their names."""
        digests = [hash_file(file) for file in sorted(set(self._shards.values()))]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def read_json(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds; SourceError where it holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if not isinstance(value, dict):
        raise SourceError(f"{file} should hold a JSON object")
    return value


def tensor_files(folder: Path, named: set[str] | None = None) -> dict[str, Path]:
    """By each tensor's name, the safetensors file of a folder that holds it. named: the only files to look at."""
    from safetensors import SafetensorError, safe_open

    files = [folder / name for name in sorted(named)] if named else sorted(folder.glob("*.safetensors"))
    if not files:
        raise SourceError(f"{folder} has no .safetensors file; pickled weights are not read")
    index: dict[str, Path] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as shard:
                index |= dict.fromkeys(shard.keys(), file)
        except (OSError, SafetensorError) as error:
            raise SourceError(f"{file} is missing or damaged: {error}") from error
    return index


def tensor_shape(file: Path, name: str) -> tuple[int, ...]:
    """A tensor's shape; UnsupportedError where it holds no floats."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as shard:
        header = shard.get_slice(name)
        if header.get_dtype() not in FLOATS:
            raise UnsupportedError(
                f"{name} is stored as {header.get_dtype()}; {', '.join(FLOATS)} are read, so export the original"
            )
        return tuple(header.get_shape())


def read_tensor(file: Path, name: str) -> Floats:
    """A tensor as float32, whatever floating type it is stored in."""
    import ml_dtypes  # noqa: F401 - teaches numpy bfloat16, which most checkpoints are stored in
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as shard:
        return finite(name, shard.get_tensor(name))
