"""The cases that others publish: the specification's own test vectors, and what the reference implementation signed.

They are not ours to hand on: `OMS_VECTORS` names a folder with a checkout of each,
github.com/ossf/model-signing-spec as `model-signing-spec`, github.com/sigstore/model-transparency as
`model-transparency`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import BundleError
from edge.store.signature import verify

SINGLE = ("v0.3.1-elliptic-key", "v1.0.0-elliptic-key")
"""Whose model is the file `signme-1` alone."""
OF_SPECIFICATION = "v1.1.0-elliptic-key"
"""Whose files the specification's vectors are about."""
KEYLESS = "cannot be verified without the internet"
REASONS = {
    "empty": "EOF",
    "missing-envelope": "dsseEnvelope: Field required",
    "missing-tlog-entries": "must have tlogEntries",
    "missing-verification-material": "verificationMaterial: Field required",
    "wrong-predicate": "not that of what it says was signed",
    "sigstore": KEYLESS,
}
"""What is said of those that are refused; the last are sound, but wait for the network. The wrong predicate is rightly
refused before it is read: nobody signed it."""


@dataclass(frozen=True)
class Vector:
    """A model and its signature. says: of the reason, where it is refused; None where it is accepted."""

    name: str
    model: Path
    signature: Path
    signers: Path
    says: str | None

    def wrong(self) -> str | None:
        """How it comes out otherwise than it should; None where it does not."""
        try:
            who = verify(self.model, self.signature, self.signers)
        except BundleError as error:
            return None if self.says is not None and self.says in str(error) else f"refused: {error}"
        return None if self.says is None else f"accepted, signed by {who}"


def vectors(checkouts: Path, folder: Path) -> Iterator[Vector]:
    """All of them, each model in a folder of its own."""
    of_reference = checkouts / "model-transparency/scripts/tests"
    signers = folder / "signers"
    signers.mkdir()
    for name in ("ca-cert.pem", "signing-key-pub.pem"):
        shutil.copy(of_reference / "keys/certificate" / name, signers)
    for source in sorted(of_reference.glob("v*-*/model.sig")):
        name = source.parent.name
        model = copied(source.parent, folder / name)
        part = model / "signme-1" if name in SINGLE else model
        yield Vector(name, part, model / "model.sig", signers, KEYLESS if name.endswith("-sigstore") else None)
    for source in sorted((checkouts / "model-signing-spec/test-vectors").glob("v1.0/*/*.json")):
        kind = source.name.removesuffix(".bundle.json")
        model = copied(of_reference / OF_SPECIFICATION, folder / f"{source.parent.name}-{kind}")
        shutil.copy(source, model / "model.sig")
        yield Vector(f"{source.parent.name} {kind}", model, model / "model.sig", signers, REASONS.get(kind))


def copied(model: Path, folder: Path) -> Path:
    """A model without the file that its signers left out, which those of 1.0.1 did not write down."""
    shutil.copytree(model, folder)
    (folder / "ignore-me").unlink(missing_ok=True)
    return folder
