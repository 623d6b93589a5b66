"""Whether a checkpoint's values are numbers, told from their bits as they lie in its files: gigabytes a second.

A floating value is infinite or no number where all bits of its exponent are set (IEEE 754). Of a quantised block the
scales are looked at: whatever its codes are, they are whole numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from export.errors import SourceError

EXPONENTS: dict[str, tuple[str, int]] = {
    "BF16": ("<u2", 0x7F80),
    "F16": ("<u2", 0x7C00),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF0000000000000),
}
"""By the type's name in safetensors and GGUF: an integer as wide, and its exponent's bits."""
SCALES: dict[str, tuple[int, tuple[int, ...]]] = {
    "Q4_0": (18, (0,)),
    "Q4_1": (20, (0, 2)),
    "Q5_0": (22, (0,)),
    "Q5_1": (24, (0, 2)),
    "Q8_0": (34, (0,)),
    "Q2_K": (84, (80, 82)),
    "Q3_K": (110, (108,)),
    "Q4_K": (144, (0, 2)),
    "Q5_K": (176, (0, 2)),
    "Q6_K": (210, (208,)),
    "IQ4_NL": (18, (0,)),
    "IQ4_XS": (136, (0,)),
    "IQ1_S": (50, (0,)),
    "IQ2_XXS": (66, (0,)),
    "IQ2_XS": (74, (0,)),
    "IQ2_S": (82, (0,)),
    "IQ3_XXS": (98, (0,)),
    "IQ3_S": (110, (0,)),
    "TQ1_0": (54, (52,)),
    "TQ2_0": (66, (64,)),
}
"""Bytes of a block, and where its half-precision factors lie in it. Source: ggml's ggml-common.h."""
CHUNK = 1 << 17
"""Values looked at at once, which a processor's cache holds."""
Check = Callable[[], None]


def all_of(checks: Iterable[Check]) -> None:
    """Run checks on all cores; SourceError of the first that fails."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        running = [pool.submit(check) for check in checks]
        try:
            for each in running:
                each.result()
        finally:
            pool.shutdown(cancel_futures=True)


def check_tensors(file: Path, names: Iterable[str]) -> list[Check]:
    """What looks at some tensors of a safetensors file: eight bytes of length, a header in JSON, the values."""
    header, data = _mapped(file)
    places = {name: header[name] for name in names}

    def check(name: str) -> Check:
        start, stop = places[name]["data_offsets"]
        return lambda: check_stored(name, places[name]["dtype"], data[start:stop])

    return [check(name) for name in sorted(places, key=lambda each: int(places[each]["data_offsets"][0]))]


def stored_bytes(file: Path, name: str) -> NDArray[np.uint8]:
    """A tensor's bytes, as they lie in a safetensors file."""
    header, data = _mapped(file)
    start, stop = header[name]["data_offsets"]
    return np.array(data[start:stop])


def _mapped(file: Path) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """The header of a file that safetensors has read before, and its values' bytes."""
    with file.open("rb") as opened:
        size = int.from_bytes(opened.read(8), "little")
        header: dict[str, Any] = json.loads(opened.read(size))
    is_empty = file.stat().st_size <= 8 + size
    return header, np.empty(0, np.uint8) if is_empty else np.memmap(file, np.uint8, "r", offset=8 + size)


def check_stored(name: str, kind: str, data: NDArray[np.uint8]) -> None:
    """The bytes of a tensor of a type; SourceError where it holds what is no number. Types not named above pass."""
    if kind in EXPONENTS:
        unsigned, exponent = EXPONENTS[kind]
        values = np.ascontiguousarray(data).reshape(-1)
        step = CHUNK * np.dtype(unsigned).itemsize
        for start in range(0, len(values), step):
            _check(name, _words(values[start : start + step], unsigned), exponent)
    elif kind in SCALES:
        size, places = SCALES[kind]
        blocks = data.reshape(-1, size)
        for start in range(0, len(blocks), CHUNK):
            for place in places:
                halves = np.ascontiguousarray(blocks[start : start + CHUNK, place : place + 2])
                _check(name, halves.view("<u2"), EXPONENTS["F16"][1])


def _words(values: NDArray[np.uint8], unsigned: str) -> NDArray[Any]:
    """Bytes as integers, wherever in memory they begin."""
    return np.frombuffer(values, unsigned)


def _check(name: str, values: NDArray[Any], exponent: int) -> None:
    if values.size and int((values & values.dtype.type(exponent)).max()) == exponent:
        raise SourceError(f"the tensor {name} has values that are not finite numbers")
