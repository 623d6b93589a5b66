"""A Hugging Face folder as a source."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edge.bundle import hash_file
from export.errors import SourceError
from export.families.keys import SAMPLING
from export.quantize import Format, Quantized
from export.source.base import Floats
from export.source.chat import chat_template_of
from export.source.scan import all_of, check_tensors
from export.source.shards import checkpoint_files, read_json, read_stored, read_tensor, stored_type, tensor_shape
from export.tokenizer import ranks


class FolderSource:
    """A Hugging Face folder: config.json, safetensors (one file or shards), tokenizer.json."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if (path / "adapter_config.json").is_file():
            raise SourceError(
                f"{path} holds an adapter (adapter_config.json), and beside it a model that Transformers would merge it"
                " into; move one away, and pass the adapter with --adapter"
            )
        self._shards = checkpoint_files(path)

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

    @cached_property
    def chat_template(self) -> str:
        """Where export/source/chat.py finds it; empty where it does not."""
        return chat_template_of(self.path)

    @cached_property
    def generation(self) -> Mapping[str, Any]:
        """generation_config.json; what config.json says of sampling where there is none, as Transformers has it."""
        if (self.path / "generation_config.json").is_file():
            return self._json("generation_config.json")
        return {key: value for key in SAMPLING if (value := self.config.get(key)) is not None}

    @cached_property
    def stop_token_ids(self) -> list[int]:
        """eos_token_id of generation_config.json, else of config.json."""
        ids = self.generation.get("eos_token_id", self.config.get("eos_token_id"))
        given = ids if isinstance(ids, list) else [] if ids is None else [ids]
        return sorted(given) if all(isinstance(each, int) for each in given) else given

    @cached_property
    def tokenizer_files(self) -> Mapping[str, str]:
        """The tokenizer's files as they lie in the folder; Phi-3-small's tokenizer.json is made of a list of ranks."""
        names = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
        found = {name: (self.path / name).read_text("utf-8") for name in names if (self.path / name).is_file()}
        if "tokenizer.json" not in found:
            if self.config.get("model_type") != "phi3small" or not (self.path / ranks.FILE).is_file():
                raise SourceError(f"{self.path} has no tokenizer.json")
            found["tokenizer.json"] = ranks.tokenizer_json(self.path / ranks.FILE)
        return found

    def tensor_names(self) -> set[str]:
        """All that the checkpoint's files hold."""
        return set(self._shards)

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; UnsupportedError where it holds no floats."""
        return tensor_shape(self._file_of(name), name)

    def tensor(self, name: str) -> Floats:
        """A tensor as float32, whatever floating type it is stored in."""
        return read_tensor(self._file_of(name), name)

    def stored_type(self, name: str) -> tuple[str, tuple[int, ...]]:
        """What a tensor is stored as, in safetensors' words, and its shape there."""
        return stored_type(self._file_of(name), name)

    def stored(self, name: str) -> NDArray[Any]:
        """A tensor in that type."""
        return read_stored(self._file_of(name), name)

    def stored_format(self, name: str) -> Format | None:
        """None: what is rounded is seen through export/source/quantised."""
        self._file_of(name)
        return None

    def stored_blocks(self, name: str) -> Quantized | None:
        """None."""
        self._file_of(name)
        return None

    def _file_of(self, name: str) -> Path:
        if name not in self._shards:
            bare = name.removeprefix("model.")
            hint = f"; it has {bare}: export the whole model, not its base alone" if bare in self._shards else ""
            raise SourceError(f"{self.path} has no tensor {name}{hint}")
        return self._shards[name]

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number, told from its bits."""
        files: dict[Path, list[str]] = {}
        for name in names:
            files.setdefault(self._file_of(name), []).append(name)
        all_of(check for file, held in files.items() for check in check_tensors(file, held))

    def checksum(self) -> str:
        """sha256 over the shards' own, in the order of their names."""
        digests = [hash_file(file) for file in sorted(set(self._shards.values()))]
        return hashlib.sha256("".join(digests).encode()).hexdigest()
