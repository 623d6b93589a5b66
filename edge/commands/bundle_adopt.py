"""`edge bundle adopt`: a manifest for a folder of onnxruntime-genai's builder or of Olive, which stays as it is."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.board.disk import free_bytes
from edge.bundle import MANIFEST, SIGNATURE, Manifest, Reader, Wishes, adopted, files_of, open_bundle
from edge.commands.streams import progress
from edge.errors import BundleError, UsageError

TEMPLATE_BYTES_MAX = 1 << 20
TEXTS = (
    "What does error E42 mean?",
    "  Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich.\n\n\tfor i in range(10): print(i)\n",
    "温度は21.5度です。 🙂 don't — isn't\r\n",
    "",
)
"""Cut alike by both readers, or the folder is served with `tokenizers`."""


def add_arguments(actions: Any) -> None:
    """Which folder, and what it is to be; `actions` is argparse's."""
    text = "make a folder of onnxruntime-genai's model builder, or of Olive, a bundle"
    adopt = actions.add_parser("adopt", help=text, description=text, allow_abbrev=False)
    adopt.add_argument("path", type=Path, help="the folder, with its genai_config.json")
    where = adopt.add_mutually_exclusive_group(required=True)
    where.add_argument("-o", "--output", type=Path, metavar="NEW", help="a folder for the bundle, a copy")
    where.add_argument("--in-place", action="store_true", help="write the manifest into the folder itself")
    adopt.add_argument("--name", help="what it is called (default: the folder's name)")
    adopt.add_argument("--version", default="1", help="default: 1")
    adopt.add_argument("--licence", default="unknown", help="of the model, as its makers say (default: unknown)")
    text = "tokens of prompt and answer together (default: the folder's, 4096 at most)"
    adopt.add_argument("--context-length", type=int, metavar="TOKENS", help=text)
    adopt.add_argument("--chat-template", type=Path, metavar="FILE", help="Jinja text in place of the folder's own")


def main(options: argparse.Namespace) -> int:
    """Adopt it. Raises BundleError for a folder that cannot be served, UsageError for options that cannot be."""
    source, target = options.path, options.path if options.in_place else options.output
    if (source / MANIFEST).exists():
        raise UsageError(f"{source} has a {MANIFEST} already: it is a bundle, or remove that file")
    if target != source and target.exists():
        raise UsageError(f"{target} is there already: remove it, or name another folder")
    wishes = _wishes(options, target)
    try:
        with _folder(source, target) as folder:
            _write(folder, adopted(folder, wishes, reader_of, _Progress()))
    finally:
        progress("")
    bundle = open_bundle(target, verify_hashes=False)
    print(_told(target, bundle.manifest))
    return 0


def _wishes(options: argparse.Namespace, target: Path) -> Wishes:
    name = options.name or re.sub(r"[^A-Za-z0-9._-]+", "-", target.resolve().name).strip("-._")[:64]
    return Wishes(
        name=name,
        source=options.path.resolve().name,
        version=options.version,
        licence=options.licence,
        context_length=options.context_length,
        chat_template=_template(options.chat_template) if options.chat_template else None,
    )


def _template(file: Path) -> str:
    try:
        if file.stat().st_size > TEMPLATE_BYTES_MAX:
            raise UsageError(f"--chat-template: {file} is larger than {TEMPLATE_BYTES_MAX} bytes")
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"--chat-template: {file} cannot be read: {error}") from error


@contextmanager
def _folder(source: Path, target: Path) -> Iterator[Path]:
    """Where the bundle is made: the folder itself, or a copy beside its place, which is put there when it is whole."""
    if source == target:
        yield source
        return
    files = files_of(source)
    if SIGNATURE in files:
        files.remove(SIGNATURE)
    size = sum((source / name).stat().st_size for name in files)
    if (free := free_bytes(target.absolute().parent)) < size:
        raise BundleError(f"{size / 1e6:.0f} MB are to be copied, but {free / 1e6:.0f} MB are free for {target}")
    partial = target.absolute().with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name in files:
            progress(f"copying {name}")
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, partial / name, follow_symlinks=False)
        yield partial
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(folder: Path, manifest: Manifest) -> None:
    """Whole or not at all."""
    partial = folder / f".{MANIFEST}.partial"
    partial.write_text(manifest.text(), encoding="utf-8")
    partial.replace(folder / MANIFEST)


def reader_of(folder: Path) -> Reader:
    """What reads a folder's texts as `tokenizers` does, which is how its model was trained.

    Without that library there is nothing to compare with, and onnxruntime-genai reads them, as the folder is made for.
    """
    from edge.engine.genai.reader import GenaiReader
    from edge.engine.text.exact import ExactReader, is_installed

    found = GenaiReader(folder)
    if not is_installed():
        return "onnxruntime-genai"
    exact = ExactReader.of(folder)
    is_same = all(found.encode(text) == exact.encode(text) for text in TEXTS)
    return "onnxruntime-genai" if is_same else "tokenizers"


def _told(target: Path, manifest: Manifest) -> str:
    engine = (
        "the batched engine" if manifest.engine == "batched" else "onnxruntime-genai's engine, one answer at a time"
    )
    return (
        f"{target}: {manifest.name} ({manifest.family}) is a bundle now, for {engine}: {manifest.context_length} tokens"
        f" of context, {manifest.memory_floor_bytes / 2**20:.0f} MiB. What it lost to its source is not known."
    )


class _Progress:
    """A line on a terminal while files are hashed; silent elsewhere."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, name: str, size: int) -> None:
        self._done += size
        progress(f"hashing {name}: {self._done / 1e6:.0f} MB")
