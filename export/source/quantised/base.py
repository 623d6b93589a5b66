"""What a way of storing rounded matrices offers, and a folder whose matrices are read through one.

Which matrices are rounded is told from the tensors: what a config leaves out (`modules_to_not_convert`, rules of single
modules) is there in floats. What the config says of the others is checked against them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any, Protocol

from export.errors import SourceError, UnsupportedError
from export.quantize import Format, Quantized
from export.source.base import Floats, Source, finite
from export.source.folder import FolderSource
from export.source.quantised.awq import Awq
from export.source.quantised.bits_and_bytes import BitsAndBytes
from export.source.quantised.compressed import Compressed
from export.source.quantised.fp8 import Fp8
from export.source.quantised.gptq import Gptq
from export.source.quantised.raw import Raw
from export.source.wrapped import WrappedSource

KEY, WHERE = "quantization_config", "config.json's quantization_config"


class Scheme(Protocol):
    """A way of storing matrices. A module's matrix is `MODULE.weight`, whatever tensors it is stored in."""

    parts: tuple[str, ...]
    """What the tensors of a module may be called; the first one is there for each rounded matrix."""

    def shape(self, raw: Raw, module: str) -> tuple[int, int]:
        """`[out, in]`, from headers alone; SourceError where they contradict each other."""
        ...

    def format(self, raw: Raw, module: str) -> Format | None:
        """The blocks that it can be kept in; None where they are others than MatMulNBits'."""
        ...

    def floats(self, raw: Raw, module: str) -> Floats:
        """What it stands for, `[out, in]`, as its library has it."""
        ...

    def blocks(self, raw: Raw, module: str, form: Format) -> Quantized:
        """It in blocks, code by code."""
        ...


SCHEMES: Mapping[str, Callable[[Mapping[str, Any]], Scheme]] = {
    "awq": Awq,
    "gptq": Gptq,
    "bitsandbytes": BitsAndBytes,
    "compressed-tensors": Compressed,
    "fp8": Fp8,
}
"""By `quant_method`; each takes the config, whose keys it knows or refuses."""


def unrounded(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config without how its matrices are rounded, where that is something that is read; raises as `quantised`."""
    _scheme(config)
    return {key: value for key, value in config.items() if key != KEY}


def quantised(folder: FolderSource) -> Source:
    """A folder through what its config says that its matrices are rounded by; itself where they are not.

    Raises UnsupportedError, naming it, for another method, and for a key or a value that is not known.
    """
    scheme = _scheme(folder.config)
    return QuantisedSource(folder, scheme) if scheme else folder


def _scheme(config: Mapping[str, Any]) -> Scheme | None:
    told = config.get(KEY)
    if not told:
        return None
    if not isinstance(told, Mapping):
        raise SourceError(f"{WHERE} should be an object")
    method = str(told.get("quant_method"))
    if method not in SCHEMES:
        raise UnsupportedError(
            f"{WHERE} says quant_method: {method!r}, which is not read ({', '.join(SCHEMES)} are); export the original"
        )
    return SCHEMES[method](told)


class QuantisedSource(WrappedSource):
    """A folder's matrices as floats, or in the blocks that they are stored in."""

    def __init__(self, folder: FolderSource, scheme: Scheme) -> None:
        super().__init__(folder)
        self._folder, self._scheme = folder, scheme
        self._last = lru_cache(maxsize=1)(lambda module: scheme.floats(folder, module))
        if not self._modules:
            method = self._folder.config[KEY]["quant_method"]
            raise SourceError(f"{WHERE} says {method}, but {self.path} has no tensor that is stored so")

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The folder's without how it is rounded, which is no matter of the model."""
        return unrounded(self._folder.config)

    @cached_property
    def _modules(self) -> dict[str, list[str]]:
        """By each rounded module, the tensors that it is stored in."""
        names, first = self._folder.tensor_names(), self._scheme.parts[0]
        found = {name.removesuffix(first): [name] for name in names if name.endswith(first)}
        for module, held in found.items():
            held += [module + part for part in self._scheme.parts[1:] if module + part in names]
            if f"{module}.weight" in names - set(held):
                raise SourceError(f"{self.path} has {module} twice, rounded and in floats; which one is the model's?")
        return found

    def _module(self, name: str) -> str | None:
        module = name.removesuffix(".weight")
        return module if module != name and module in self._modules else None

    def tensor_names(self) -> set[str]:
        """A rounded module's as its matrix alone. A bias of zeros, as some libraries add one to each, is none."""
        stored = {name for held in self._modules.values() for name in held}
        names = (self._folder.tensor_names() - stored) | {f"{module}.weight" for module in self._modules}
        return names - {name for name in names if self._is_no_bias(name)}

    def _is_no_bias(self, name: str) -> bool:
        is_bias = name.endswith(".bias") and name.removesuffix(".bias") in self._modules
        return is_bias and not self._folder.tensor(name).any()

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape; a rounded one's as it was."""
        module = self._module(name)
        return self._scheme.shape(self._folder, module) if module else self._folder.shape(name)

    def tensor(self, name: str) -> Floats:
        """A tensor as float32; a rounded one as its library dequantises it."""
        module = self._module(name)
        return finite(name, self._last(module)) if module else self._folder.tensor(name)

    def stored_format(self, name: str) -> Format | None:
        """The blocks of a rounded matrix, where MatMulNBits takes them as they are."""
        module = self._module(name)
        return self._scheme.format(self._folder, module) if module else None

    def stored_blocks(self, name: str) -> Quantized | None:
        """Those blocks."""
        form = self.stored_format(name)
        return self._scheme.blocks(self._folder, name.removesuffix(".weight"), form) if form else None

    def check_values(self, names: Iterable[str]) -> None:
        """Whether every value is a number: of a rounded matrix, its scales."""
        held = [part for name in names for part in self._modules.get(self._module(name) or "", [name])]
        self._folder.check_values(held)
