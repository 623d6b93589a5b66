"""Who signed a bundle's files: OpenSSF Model Signing v1.0, section 8, offline.

The operator names whom a board believes, in a folder of PEM files: public keys, and certificates of authorities. A
signature is made with one of the keys, or with a key whose certificate leads to one of the authorities. Keyless
signatures (Sigstore's) are refused: whether one is good only services on the internet can tell.

A certificate must be valid now, by the board's clock (section 8.2): nothing that an offline board can check says when
something was signed. The clock has been held against the repository's times before (`trust.py`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import Criticality, ExtensionPolicy, PolicyBuilder, Store, VerificationError

from edge.bundle import SIGNATURE
from edge.errors import BundleError, ConfigError
from edge.store.signed_files import check_files
from edge.store.statement import CERTIFICATES_MAX, PAYLOAD_TYPE, Chain, Envelope, PublicKey, read_signature
from edge.store.statement import read_statement as read

SIGNER_BYTES_MAX, SIGNERS_MAX = 64 << 10, 64
"""The bytes of one of the operator's files, and how many files there may be."""
HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}
"""The curves that the specification's registry has, and what each is used with."""
ALTERED = "the signature is not that of what it says was signed: it was altered, or made with another key"
UNDERSTOOD = (x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName)
"""Extensions that may be critical."""
MALFORMED = (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension)
"""What cryptography raises at keys and certificates that are none."""


@dataclass(frozen=True)
class Signers:
    """Whom a board believes. keys: by the fingerprint that a signature names one with; names: the files they are in."""

    folder: Path
    keys: dict[str, ec.EllipticCurvePublicKey] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    authorities: list[x509.Certificate] = field(default_factory=list)


def verify_folder(folder: Path, signers: Path, clock: Callable[[], float] = time.time) -> str:
    """Who signed a bundle's files, in words. signers: the folder of those who may. clock: seconds since 1970.

    Raises BundleError saying what is wrong with the signature or with which file, ConfigError where signers cannot be
    used. It passes where a certificate is not valid yet, or not any more: a new signature, or a right clock, mends it.
    """
    return verify(folder, folder / SIGNATURE, signers, clock)


def verify(model: Path, signature: Path, signers: Path, clock: Callable[[], float] = time.time) -> str:
    """The same for a model that is a folder or a single file, whose signature may lie elsewhere."""
    found = read_signature(signature)
    material, envelope = found.verification_material, found.dsse_envelope
    believed = read_signers(signers)
    if material.public_key is not None:
        who = _by_key(material.public_key, envelope, believed)
    elif material.x509_certificate_chain is not None:
        who = _by_certificate(material.x509_certificate_chain, envelope, believed, clock())
    else:
        text = "it was signed without a key of its own (Sigstore), which cannot be verified without the internet"
        raise BundleError(f"{text}: sign it with a key or a certificate (`edge-channel sign`)")
    check_files(model, signature, read(envelope.payload))
    return who


def read_signers(folder: Path) -> Signers:
    """Whom a board believes; every file that is not hidden counts. ConfigError naming the one that cannot be used."""
    signers = Signers(folder)
    try:
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
        if not 0 < len(files) <= SIGNERS_MAX:
            raise ConfigError(
                f"{folder} (store.signers) has {len(files)} files: 1 to {SIGNERS_MAX} PEM files belong there"
            )
        for file in files:
            with file.open("rb") as opened:
                _add(signers, file, opened.read(SIGNER_BYTES_MAX + 1))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read ({error.strerror}): look at store.signers") from error
    return signers


def _add(signers: Signers, file: Path, content: bytes) -> None:
    if len(content) > SIGNER_BYTES_MAX:
        raise ConfigError(f"{file} (store.signers) has more than {SIGNER_BYTES_MAX} bytes: it is no key or certificate")
    if b"PRIVATE KEY" in content:
        raise ConfigError(f"{file} holds a private key, which belongs to whoever signs: put the public one here")
    try:
        if b"BEGIN CERTIFICATE" in content:
            signers.authorities.extend(_authorities(file, content))
            return
        key = _usable(serialization.load_pem_public_key(content))
    except MALFORMED as error:
        text = f"{file} (store.signers) is neither a public key on P-256, P-384 or P-521 nor certificates, in PEM"
        raise ConfigError(f"{text}: {error}") from error
    signers.keys[_fingerprint(key)] = key
    signers.names[_fingerprint(key)] = file.name


def _authorities(file: Path, content: bytes) -> Iterator[x509.Certificate]:
    for certificate in x509.load_pem_x509_certificates(content):
        constraints = _extension(certificate, x509.BasicConstraints)
        if constraints is None or not constraints.ca:
            text = f"{file} (store.signers) has a certificate that is no authority's, {_name(certificate)}"
            raise ConfigError(f"{text}: put the one here that it was issued with, or the public key")
        yield certificate


def _usable(key: Any) -> ec.EllipticCurvePublicKey:
    """ValueError where it is a key of another kind."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in HASHES:
        raise ValueError("the key is of another kind")
    return key


def _fingerprint(key: ec.EllipticCurvePublicKey) -> str:
    """As `hint` has it: sha256 of the key in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()


def _by_key(named: PublicKey, envelope: Envelope, signers: Signers) -> str:
    """The key's file. Before 1.1 signatures had the key itself, which says nothing: then each is tried."""
    if named.hint is not None and named.hint not in signers.keys:
        text = f"it was signed with the key {named.hint[:12]!r}, which is none of those in {signers.folder}"
        raise BundleError(f"{text}: {', '.join(signers.names.values()) or 'there is no key'}")
    for fingerprint in signers.keys if named.hint is None else [named.hint]:
        if _is_signed(envelope, signers.keys[fingerprint]):
            return f"key {signers.names[fingerprint]}"
    raise BundleError(ALTERED)


def _by_certificate(chain: Chain, envelope: Envelope, signers: Signers, now_seconds: float) -> str:
    """The certificate's name, and its authority's."""
    now = datetime.fromtimestamp(now_seconds, UTC)
    try:
        leaf, *others = [x509.load_der_x509_certificate(each.raw_bytes) for each in chain.certificates]
        key = _usable(leaf.public_key())
        _refuse_usage(leaf)
        for certificate in (leaf, *others):
            _refuse_extensions(certificate)
    except MALFORMED as error:
        raise BundleError(f"it was signed with a certificate that cannot be used: {error}") from error
    _refuse_time(leaf, now)
    authority = _authority(leaf, others, signers, now)
    if not _is_signed(envelope, key) and not _is_signed_as_of_old(envelope, key):
        raise BundleError(ALTERED)
    return f"{_name(leaf)}, certified by {_name(authority)}"


def _authority(
    leaf: x509.Certificate, others: list[x509.Certificate], signers: Signers, now: datetime
) -> x509.Certificate:
    """The one of signers that a certificate leads to (RFC 5280, section 6). BundleError where it leads to none."""
    if not signers.authorities:
        raise BundleError(f"it was signed with a certificate, but {signers.folder} has no authority's")
    optional, everything = Criticality.AGNOSTIC, ExtensionPolicy.permit_all()
    of_authorities = (
        everything.require_present(x509.BasicConstraints, optional, _must_be_authority)
        .may_be_present(x509.KeyUsage, optional, _must_certify)
        .may_be_present(x509.ExtendedKeyUsage, optional, _must_be_for_code)
    )
    policy = PolicyBuilder().store(Store(signers.authorities)).time(now).max_chain_depth(CERTIFICATES_MAX)
    policy = policy.extension_policies(ca_policy=of_authorities, ee_policy=everything)
    try:
        return policy.build_client_verifier().verify(leaf, others).chain[-1]
    except VerificationError as error:
        text = f"the certificate of {_name(leaf)} does not lead to an authority in {signers.folder}"
        raise BundleError(f"{text}: {error}") from error


def _must_be_authority(_policy: Any, _certificate: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("a certificate between is no authority's")


def _must_certify(_policy: Any, _certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("an authority's key is not for certificates")


def _must_be_for_code(_policy: Any, _certificate: x509.Certificate, usage: x509.ExtendedKeyUsage | None) -> None:
    if usage is not None and not _is_for_code(usage):
        raise ValueError("an authority's certificate is not for signing code")


def _is_for_code(usage: x509.ExtendedKeyUsage) -> bool:
    return ExtendedKeyUsageOID.CODE_SIGNING in usage or ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE in usage


def _refuse_usage(leaf: x509.Certificate) -> None:
    """ValueError where it is not for signing code: an authority's web servers have certificates, too."""
    usage, extended = _extension(leaf, x509.KeyUsage), _extension(leaf, x509.ExtendedKeyUsage)
    if usage is None and extended is None:
        raise ValueError("it does not say what it is for (KeyUsage, ExtendedKeyUsage)")
    if usage is not None and not usage.digital_signature:
        raise ValueError("its KeyUsage is not digitalSignature")
    if extended is not None and not _is_for_code(extended):
        raise ValueError("its ExtendedKeyUsage is not codeSigning")


def _refuse_extensions(certificate: x509.Certificate) -> None:
    """ValueError at what must be understood and is not (RFC 5280, section 4.2); names are not constrained here."""
    for extension in certificate.extensions:
        is_unknown = extension.critical and not isinstance(extension.value, UNDERSTOOD)
        if is_unknown or isinstance(extension.value, x509.NameConstraints):
            raise ValueError(f"the extension {extension.oid.dotted_string} is not understood here")


def _refuse_time(leaf: x509.Certificate, now: datetime) -> None:
    first, last = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    if not first <= now <= last:
        text = f"the certificate of {_name(leaf)} is valid from {first:%Y-%m-%d} to {last:%Y-%m-%d}"
        text = f"{text}, and this board's clock says {now:%Y-%m-%d}"
        raise BundleError(f"{text}: have the bundle signed again, or set the clock", passes=True)


def _is_signed(envelope: Envelope, key: ec.EllipticCurvePublicKey) -> bool:
    """DSSE v1's encoding."""
    payload = envelope.payload
    encoded = f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload
    return _is_signature(envelope, key, encoded, HASHES[key.curve.name])


def _is_signed_as_of_old(envelope: Envelope, key: ec.EllipticCurvePublicKey) -> bool:
    """What the reference implementation 0.2.0 signed in its place: Python's word for the bytes, hashed with SHA-256."""
    payload = envelope.payload
    encoded = f"DSSEV1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} {payload!r}".encode()
    return _is_signature(envelope, key, encoded, hashes.SHA256())


def _is_signature(
    envelope: Envelope, key: ec.EllipticCurvePublicKey, encoded: bytes, algorithm: hashes.HashAlgorithm
) -> bool:
    try:
        key.verify(envelope.signatures[0].sig, encoded, ec.ECDSA(algorithm))
    except InvalidSignature:
        return False
    return True


def _extension(certificate: x509.Certificate, kind: type[Any]) -> Any:
    """An extension's value; None where there is none."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:200] or f"number {certificate.serial_number:x}"
