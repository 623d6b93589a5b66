"""Models that are signed: by the reference implementation, by hand where it would not, and by whom.

`reference` is what `model_signing` itself says of a model, with the options that the signature names.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from model_signing import hashing, signing, verifying

CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
HASHES = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
PAYLOAD_TYPE = "application/vnd.in-toto+json"
NOW = datetime.now(UTC).replace(microsecond=0)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key


def issue(name: str, issuer: Issued | None, key: Key | None = None, days: tuple[int, int] = (-10, 300), **more: Any):
    """A certificate. issuer: None for itself. more: `ca`, `path_length`, `usage`, `extended`, `critical`."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = more.get("ca", False)
    built = x509.CertificateBuilder().subject_name(subject).public_key(key.public_key())
    built = built.issuer_name(issuer.certificate.subject if issuer else subject)
    built = built.serial_number(x509.random_serial_number())
    built = built.not_valid_before(NOW + timedelta(days=days[0])).not_valid_after(NOW + timedelta(days=days[1]))
    built = built.add_extension(x509.BasicConstraints(is_authority, more.get("path_length")), True)
    if usage := more.get("usage", "certify" if is_authority else "sign"):
        built = built.add_extension(key_usage(usage), True)
    if extended := more.get("extended", () if is_authority else (ExtendedKeyUsageOID.CODE_SIGNING,)):
        built = built.add_extension(x509.ExtendedKeyUsage(extended), False)
    if critical := more.get("critical"):
        built = built.add_extension(critical, True)
    return Issued(built.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def key_usage(which: str) -> x509.KeyUsage:
    """For signatures, for certificates, or for agreeing on keys alone."""
    return x509.KeyUsage(
        which == "sign", False, False, False, which == "agree", which == "certify", False, False, False
    )


class Workshop:
    """Who signs: keys of each kind, and authorities, in files of a folder. signers: what a board would be given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = folder / "signers"
        self.signers.mkdir(parents=True)
        self.keys = {name: ec.generate_private_key(curve) for name, curve in CURVES.items()}
        for name, key in self.keys.items():
            self.private(name, key)
            self.public(self.signers / f"{name}.pem", key)
        self.root = issue("root", None, days=(-400, 3000), ca=True)
        self.between = issue("between", self.root, days=(-300, 3000), ca=True, path_length=0)
        self.leaf = issue("release", self.between, self.keys["p384"])
        self.certificate(self.root, self.signers / "authority.pem")

    def private(self, name: str, key: Key) -> Path:
        """A private key's file."""
        file = self.folder / f"{name}.key"
        form = serialization.PrivateFormat.PKCS8
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return file

    def public(self, file: Path, key: Key) -> Path:
        """A public key's file."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        file.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
        return file

    def certificate(self, issued: Issued, file: Path | None = None) -> Path:
        """A certificate's file."""
        file = file or self.folder / f"{issued.certificate.serial_number}.crt"
        file.write_bytes(issued.certificate.public_bytes(serialization.Encoding.PEM))
        return file

    def sign_with_key(
        self, model: Path, signature: Path, key: str = "p256", hashed: Any = None, ignored: Sequence[str] = ()
    ) -> None:
        """By the reference implementation, with a key. hashed: how, where not as it does by itself."""
        config = signing.Config().use_elliptic_key_signer(private_key=self.folder / f"{key}.key")
        config.set_hashing_config(self.ignoring(signature, hashed, *ignored)).sign(model, signature)

    def sign_with_certificate(self, model: Path, signature: Path, leaf: Issued, chain: Sequence[Issued]) -> None:
        """By the reference implementation, with a certificate."""
        config = signing.Config().use_certificate_signer(
            private_key=self.private("leaf", leaf.key),
            signing_certificate=self.certificate(leaf),
            certificate_chain=[self.certificate(each) for each in chain],
        )
        config.set_hashing_config(self.ignoring(signature)).sign(model, signature)

    @staticmethod
    def ignoring(signature: Path, hashed: Any = None, *others: str) -> Any:
        """The signature is no part of the model, as on its command line. hashed: how, otherwise."""
        return (hashed or hashing.Config()).set_ignored_paths(paths=[signature, *others])


def make_model(folder: Path) -> Path:
    """Some files in some folders."""
    chance = random.Random(1)
    for name, size_bytes in {"model.onnx": 300, "model.onnx.data": 5000, "sub/a.json": 10, "sub/ä b": 2500}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(chance.randbytes(size_bytes))
    return folder


def statement(model: Path) -> dict[str, Any]:
    """What is to be signed, by the specification, without the reference implementation."""
    names = sorted(path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file())
    resources = [
        {"name": name, "digest": hashlib.sha256((model / name).read_bytes()).hexdigest(), "algorithm": "sha256"}
        for name in names
        if name != "model.sig"
    ]
    made: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {
            "resources": resources,
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
        },
    }
    return summed(made)


def summed(made: dict[str, Any]) -> dict[str, Any]:
    """With the root digest of its resources."""
    digests = b"".join(bytes.fromhex(resource["digest"]) for resource in made["predicate"]["resources"])
    made["subject"][0]["digest"] = {"sha256": hashlib.sha256(digests).hexdigest()}
    return made


def old_statement(model: Path) -> dict[str, Any]:
    """As version 0.2.0 of the reference implementation made it."""
    made = statement(model)
    subject = [{"name": each["name"], "digest": {"sha256": each["digest"]}} for each in made["predicate"]["resources"]]
    predicate = {"unused": "Unused, just passed due to API requirements"}
    return {**made, "subject": subject, "predicateType": "https://model_signing/Digests/v0.1", "predicate": predicate}


def encoded(payload: bytes) -> bytes:
    """DSSE's encoding."""
    return b" ".join(
        [b"DSSEv1", str(len(PAYLOAD_TYPE)).encode(), PAYLOAD_TYPE.encode(), str(len(payload)).encode(), payload]
    )


def old_encoded(payload: bytes) -> bytes:
    """Version 0.2.0's."""
    return f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload}".encode()


def by_key(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    """Verification material that names a key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, form)
    return {"publicKey": {"hint": hashlib.sha256(pem).hexdigest()}, "tlogEntries": []}


def by_certificates(*issued: Issued) -> dict[str, Any]:
    """Verification material with certificates."""
    ders = [each.certificate.public_bytes(serialization.Encoding.DER) for each in issued]
    certificates = [{"rawBytes": base64.b64encode(der).decode()} for der in ders]
    return {"x509CertificateChain": {"certificates": certificates}, "tlogEntries": []}


def forge(payload: Any, key: Key, material: dict[str, Any] | None = None, is_old: bool = False) -> dict[str, Any]:
    """A signature file over anything, rightly signed. payload: bytes, or what becomes JSON."""
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    how = ec.ECDSA(hashes.SHA256() if is_old else HASHES[key.curve.key_size])
    sig = key.sign(old_encoded(data) if is_old else encoded(data), how)
    return {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": material or by_key(key),
        "dsseEnvelope": {
            "payload": base64.b64encode(data).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(sig).decode(), "keyid": ""}],
        },
    }


def reference(model: Path, signature: Path, signers: Path) -> str | None:
    """What the reference implementation has against a model; None where it accepts it, by one of the signers."""
    reasons = []
    with contextlib.redirect_stdout(io.StringIO()):
        logging.disable(logging.WARNING)
        try:
            for config in configs(signers):
                try:
                    hashed = told_hashing(signature)
                    config.set_hashing_config(Workshop.ignoring(signature, hashed)).verify(model, signature)
                    return None
                except Exception as error:  # whatever it raises, it does not accept it
                    reasons.append(f"{type(error).__name__}: {error}")
        finally:
            logging.disable(logging.NOTSET)
    return "; ".join(reasons)


def configs(signers: Path) -> list[Any]:
    """A verifier for each of the signers."""
    made = []
    for file in sorted(signers.iterdir()):
        config = verifying.Config()
        if b"CERTIFICATE" in file.read_bytes():
            made.append(config.use_certificate_verifier(certificate_chain=[file]))
        else:
            made.append(config.use_elliptic_key_verifier(public_key=file))
    return made


def told_hashing(signature: Path) -> Any:
    """The options that a signature names: it does not find `blake2b`, `1000.0` and links by itself."""
    try:
        payload = json.loads(base64.b64decode(json.loads(signature.read_bytes())["dsseEnvelope"]["payload"]))
        told = payload["predicate"]["serialization"]
    except (ValueError, KeyError, TypeError):
        told = {}
    config = hashing.Config().set_allow_symlinks(told.get("allow_symlinks") is True)
    algorithm = "blake2" if told.get("hash_type") == "blake2b" else told.get("hash_type", "sha256")
    if told.get("method") == "shards":
        return config.use_shard_serialization(hashing_algorithm=algorithm, shard_size=int(told["shard_size"]))
    return config.use_file_serialization(hashing_algorithm=algorithm)
