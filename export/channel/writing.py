"""One role's metadata signed and written, under a name of its own, but for the timestamp, which is replaced."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from export.channel.chunks import write
from export.channel.roles import TIMESTAMP

Signed = Root | Targets | Snapshot | Timestamp


def write_role(folder: Path, role: str, signed: Signed, signers: Sequence[CryptoSigner]) -> None:
    """In the repository at a folder, whole or not at all."""
    metadata: Metadata[Any] = Metadata(signed)
    for signer in signers:
        metadata.sign(signer, append=True)
    data = metadata.to_bytes()
    file = folder / "metadata" / (f"{role}.json" if role == TIMESTAMP else f"{signed.version}.{role}.json")
    if file.exists() and role != TIMESTAMP:  # of a publication that was broken off before its timestamp
        file.unlink()
    elif file.exists():
        return _replace(file, data)
    return write(file, data)


def _replace(file: Path, data: bytes) -> None:
    beside = file.with_name(f".{file.name}.new")
    beside.unlink(missing_ok=True)
    write(beside, data)
    beside.replace(file)
