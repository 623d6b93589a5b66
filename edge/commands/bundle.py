"""`edge bundle`: look at a bundle, verify it, keep those of the store, have one by name, adopt one of others."""

from __future__ import annotations

import argparse
from pathlib import Path

from edge.board.memory import available_bytes, total_bytes
from edge.bundle import Manifest, open_bundle, read_manifest
from edge.commands import bundle_adopt, bundle_store
from edge.commands.streams import progress
from edge.engine.providers import ROWS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to do, and with which."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in (("verify", "check every file, the provider and the memory"), ("show", "print what it is")):
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        action.add_argument("path", type=Path)
        action.add_argument(
            "--provider",
            default="cpu",
            choices=[row.name for row in ROWS],
            help="execution provider it should be for (default: cpu)",
        )
    bundle_store.add_arguments(actions)
    bundle_adopt.add_arguments(actions)


def main(options: argparse.Namespace) -> int:
    """Do what is asked; BundleError, exit status 65 or 75, where it must not be loaded, or not now."""
    if options.action in bundle_store.ACTIONS:
        return bundle_store.main(options)
    if options.action == "adopt":
        return bundle_adopt.main(options)
    if options.action == "show":
        print(describe(read_manifest(options.path)))
        return 0
    free, board = available_bytes(Path("/")), total_bytes(Path("/"))
    try:
        bundle = open_bundle(options.path, options.provider, free, progress=_Progress(), board_bytes=board)
    finally:
        progress("")
    print(f"{options.path}: {bundle.manifest.name} is whole ({len(bundle.manifest.files)} files, {bundle.digest[:12]})")
    return 0


def describe(manifest: Manifest) -> str:
    """A few lines for a person."""
    quantization, origin = manifest.quantization, manifest.origin
    return "\n".join(
        [
            f"{manifest.name} {manifest.version} ({manifest.family}, for {manifest.provider})",
            f"{manifest.weights_bytes / 1e6:.1f} MB of weights, {quantization.bits_per_weight} bits each all in"
            f" ({quantization.method}, blocks of {quantization.block_size})",
            f"{manifest.context_length} tokens of context, {manifest.kv_bytes_per_token} bytes of cache a token,"
            f" needs {manifest.memory_floor_bytes / 2**20:.0f} MiB free",
            f"from {origin.name} ({origin.revision}, {origin.licence})",
        ]
    )


class _Progress:
    """A line on a terminal while files are hashed; silent elsewhere."""

    def __init__(self) -> None:
        self._done = 0

    def __call__(self, name: str, size: int) -> None:
        self._done += size
        progress(f"checking {name}: {self._done / 1e6:.0f} MB")
