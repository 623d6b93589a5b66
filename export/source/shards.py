"""Safetensors files: which of a folder hold a checkpoint, and what is in them. The only file that imports safetensors.

Transformers (4.57 and 5.24, `_get_resolved_checkpoint_files`) reads model.safetensors, else the files that
model.safetensors.index.json names, whatever else lies beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from numpy.typing import NDArray

from export.errors import SourceError, UnsupportedError
from export.source.base import Floats, finite
from export.source.scan import stored_bytes

FLOATS = ("BF16", "F16", "F32", "F64")
"""What safetensors calls the types that are read."""
SMALL = {"F8_E4M3": "float8_e4m3fn"}
"""Types of one byte, and what ml_dtypes calls them."""
WHOLE, INDEX, ADAPTER = "model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"


def checkpoint_files(folder: Path) -> dict[str, Path]:
    """By each tensor's name, the file of a checkpoint that holds it.

    Raises SourceError where there is none, or where the index and its shards contradict each other.
    """
    if (folder / WHOLE).is_file():
        return tensors_of([folder / WHOLE])
    if (folder / INDEX).is_file():
        return _indexed(folder)
    others = beside(folder)
    if others:
        raise SourceError(
            f"{folder} has neither {WHOLE} nor {INDEX}, and Transformers would read nothing else;"
            f" is {others[0]} the model? name it {WHOLE} then"
        )
    raise SourceError(f"{folder} has no .safetensors file; pickled weights are not read")


def adapter_file(folder: Path) -> Path:
    """The weights of an adapter, as PEFT chooses them."""
    if (folder / ADAPTER).is_file():
        return folder / ADAPTER
    raise SourceError(f"{folder} has no {ADAPTER}; pickled weights are not read")


def beside(folder: Path) -> list[str]:
    """The safetensors files of a folder that no export of it reads."""
    files = {path.name for path in folder.glob("*.safetensors")}
    if WHOLE in files:
        return sorted(files - {WHOLE})
    return sorted(files - set(_weight_map(folder / INDEX).values() if (folder / INDEX).is_file() else ()))


def _indexed(folder: Path) -> dict[str, Path]:
    """The tensors of the shards, which are those that the index says, each where it says."""
    said = _weight_map(folder / INDEX)
    found = tensors_of([folder / name for name in sorted(set(said.values()))])
    for name, file in said.items():
        if found.get(name) != folder / file:
            raise SourceError(f"{folder / INDEX} says that {file} holds {name}, which it does not; download both anew")
    if more := sorted(set(found) - set(said)):
        raise SourceError(
            f"{found[more[0]]} holds {more[0]}, of which {INDEX} says nothing, and Transformers 4 and 5 read two"
            " different models in that; download both anew"
        )
    return found


def _weight_map(index: Path) -> dict[str, str]:
    """By each tensor's name, the name of its file. Raises SourceError where one would lie outside the folder."""
    said = read_json(index).get("weight_map")
    if not isinstance(said, dict) or not said:
        raise SourceError(f"{index} has no weight_map, which says where each tensor is")
    for name, file in said.items():
        path = PurePosixPath(file) if isinstance(file, str) else PurePosixPath("/")
        if path.is_absolute() or ".." in path.parts or path.suffix != ".safetensors":
            raise SourceError(f"{index} says that {file!r} holds {name}, which is no .safetensors file of this folder")
    return said


def tensors_of(files: Iterable[Path]) -> dict[str, Path]:
    """By each tensor's name, the file of some that holds it; SourceError where two do, or where one cannot be read."""
    from safetensors import SafetensorError, safe_open

    index: dict[str, Path] = {}
    for file in files:
        try:
            with safe_open(file, framework="numpy") as shard:
                names = list(shard.keys())
        except (OSError, SafetensorError) as error:
            raise SourceError(f"{file} is missing or damaged: {error}") from error
        for name in names:
            if name in index:
                raise SourceError(f"{index[name]} and {file.name} both hold {name}; which of the two is the model's?")
            index[name] = file
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


def stored_type(file: Path, name: str) -> tuple[str, tuple[int, ...]]:
    """What safetensors calls a tensor's type, whichever it is, and its shape."""
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as shard:
        header = shard.get_slice(name)
        return header.get_dtype(), tuple(header.get_shape())


def read_stored(file: Path, name: str) -> NDArray[Any]:
    """A tensor in the type that it is stored in."""
    import ml_dtypes
    from safetensors import safe_open

    kind, shape = stored_type(file, name)
    if kind in SMALL:  # of which the library's numpy side knows nothing
        small: NDArray[Any] = stored_bytes(file, name).view(getattr(ml_dtypes, SMALL[kind])).reshape(shape)
        return small
    with safe_open(file, framework="numpy") as shard:
        values: NDArray[Any] = shard.get_tensor(name)
        return values


def read_json(file: Path) -> dict[str, Any]:
    """The object that a JSON file holds; SourceError where it holds none."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{file} cannot be read: {error}") from error
    if not isinstance(value, Mapping):
        raise SourceError(f"{file} should hold a JSON object")
    return dict(value)


def write_tensors(file: Path, tensors: Mapping[str, Floats]) -> None:
    """A safetensors file of float32 tensors."""
    import numpy as np
    from safetensors.numpy import save_file

    # it writes memory as it lies, whatever the order of axes
    save_file({name: np.ascontiguousarray(values) for name, values in tensors.items()}, file)
