"""llama.cpp, built from the sources that `llama-cpp-python` carries, and what its quantised files lose.

Its files are measured like our bundles: the weights that they stand for, in float32, against the same reference on
the same text, position by position. That leaves out the error of its int8 activations, which ours includes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

from export.calibration_text import topics
from export.download import default_cache

SDIST = "llama-cpp-python==0.3.36"
PROGRAMS = ("llama-quantize", "llama-imatrix", "llama-perplexity", "llama-bench", "llama-server")
TYPES = ("Q4_0", "IQ4_XS", "IQ4_NL", "Q4_K_S", "Q4_1", "Q4_K_M", "Q5_0", "Q5_K_S", "Q5_K_M")
"""Its types from 4 to 5 bits; smaller ones lose far more, larger ones are over our budgets."""
OPTIONS = ("CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "LLAMA_CURL=OFF", "BUILD_SHARED_LIBS=OFF")
LEFT_OUT = ("LLAMA_BUILD_TESTS=OFF", "LLAMA_BUILD_EXAMPLES=OFF", "LLAMA_BUILD_UI=OFF", "LLAMA_OPENSSL=OFF")


def build() -> Path:
    """The folder of its programs, built once (about 15 minutes on two cores) and kept in the cache."""
    folder = default_cache() / SDIST.replace("==", "-")
    programs = folder / "bin"
    if all((programs / name).is_file() for name in PROGRAMS):
        return programs
    source = sources()
    print("building llama.cpp (once, about 15 minutes)…", file=sys.stderr, flush=True)
    steps = (
        ["cmake", "-S", str(source), "-B", str(folder), *(f"-D{option}" for option in (*OPTIONS, *LEFT_OUT))],
        ["cmake", "--build", str(folder), f"-j{os.cpu_count()}", "--target", *PROGRAMS],
    )
    for step in steps:
        subprocess.run(step, check=True, stdout=sys.stderr)
    return programs


def sources() -> Path:
    """The folder of its sources, fetched once (77 MB) and kept in the cache."""
    folder = default_cache() / SDIST.replace("==", "-")
    if not (found := list(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))):
        folder.mkdir(parents=True, exist_ok=True)
        download = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=:all:", "-d", str(folder), SDIST]
        subprocess.run(download, check=True, stdout=sys.stderr)
        with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
            archive.extractall(folder, filter="data")
        found = list(folder.glob("llama_cpp_python-*/vendor/llama.cpp"))
    return found[0]


def quantized(programs: Path, original: Path, folder: Path, kind: str) -> Path:
    """A file of a type, made with an importance matrix over our calibration text."""
    matrix, path = importance(programs, original, folder), folder / f"{kind}.gguf"
    if not path.is_file():
        command = [str(programs / "llama-quantize"), "--imatrix", str(matrix), str(original), str(path), kind]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def plain(programs: Path, original: Path, kind: str) -> Path:
    """A file of a type, made without an importance matrix, beside the original."""
    path = original.with_suffix(f".{kind}.gguf")
    if not path.is_file():
        command = [str(programs / "llama-quantize"), str(original), str(path), kind]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path


def importance(programs: Path, original: Path, folder: Path) -> Path:
    """The importance matrix over the calibration half of our text, all of it."""
    path, text = folder / "importance.gguf", folder / "calibration.txt"
    if not path.is_file():
        folder.mkdir(exist_ok=True)
        text.write_text(topics("calibration"), encoding="utf-8")
        command = [str(programs / "llama-imatrix"), "-m", str(original), "-f", str(text), "-o", str(path), "-c", "512"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path
