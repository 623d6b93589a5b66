"""The forms of a signature file: OpenSSF Model Signing v1.0, sections 4 and 5, and of older signers' (section 11).

    Sigstore bundle (JSON) → DSSE envelope (base64) → in-toto statement (JSON) → a digest for each file, or piece of one

Strict: what the specification's schemas do not allow is refused, and so is what cannot be counted or named.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from edge.errors import BundleError
from edge.store.index import is_inside

SIGNATURE_BYTES_MAX = 8 << 20
RESOURCES_MAX = 32_768
"""Files, or pieces of them, that a signature may name."""
CERTIFICATES_MAX, CERTIFICATE_BYTES_MAX = 8, 16 << 10
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
ITSELF = "."
"""How the reference implementation names a model that is a single file."""


def _decoded(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("it is no text")
    return base64.b64decode(value, validate=True)


def _counted(value: Any) -> Any:
    """The reference writes numbers as protobuf does, `1000.0`."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Base64 = Annotated[bytes, PlainValidator(_decoded)]
HashType = Literal["sha256", "blake2b", "blake3"]
Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{64}|[0-9a-f]{128})$")]
Some = TypeVar("Some", bound=BaseModel)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class PublicKey(_Form):
    """Which key: by `hint`, the fingerprint of one, since 1.1; signers before that sent the key itself."""

    hint: Annotated[str, Field(min_length=1)] | None = None
    raw_bytes: Base64 | None = None
    key_details: str | None = None

    @model_validator(mode="after")
    def _names_one(self) -> PublicKey:
        if self.hint is None and self.raw_bytes is None:
            raise ValueError("neither hint nor rawBytes says which key it is")
        return self


class Certificate(_Form):
    """An X.509 certificate, DER."""

    raw_bytes: Annotated[Base64, Field(min_length=1, max_length=CERTIFICATE_BYTES_MAX)]


class Chain(_Form):
    """The signer's certificate, and those between it and an authority's."""

    certificates: Annotated[list[Certificate], Field(min_length=1, max_length=CERTIFICATES_MAX)]


class Material(_Form):
    """What to verify with: one method's (section 4.1). The last two are keyless signing's, and not looked at here."""

    public_key: PublicKey | None = None
    x509_certificate_chain: Chain | None = None
    certificate: Certificate | None = None
    tlog_entries: list[dict[str, Any]] = []
    timestamp_verification_data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_one_method(self) -> Material:
        if sum(each is not None for each in (self.public_key, self.x509_certificate_chain, self.certificate)) != 1:
            raise ValueError("exactly one of publicKey, x509CertificateChain and certificate must be there")
        if self.certificate is not None and not self.tlog_entries:
            raise ValueError("a keyless signature must have tlogEntries")
        return self


class _Signature(_Form):
    sig: Annotated[Base64, Field(min_length=1)]
    keyid: str | None = None


class Envelope(_Form):
    """DSSE; a Sigstore bundle's has one signature."""

    payload: Annotated[Base64, Field(min_length=1)]
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1)]


class SignatureFile(_Form):
    """A whole signature file."""

    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: Material
    dsse_envelope: Envelope


class _Loose(BaseModel):
    """What in-toto's own descriptors may hold beside this is ignored (section 5.2.1)."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Resource(_Loose):
    name: Annotated[str, Field(min_length=1)]
    digest: Hex
    algorithm: str


class _Subject(_Loose):
    name: Annotated[str, Field(min_length=1)]
    digest: dict[str, Hex]


class _Exact(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Serialization(_Exact):
    method: Literal["files", "shards"]
    hash_type: HashType
    shard_size: Annotated[int, BeforeValidator(_counted), Field(gt=0)] | None = None
    allow_symlinks: bool
    ignore_paths: Annotated[list[str], Field(max_length=RESOURCES_MAX)] = []

    @model_validator(mode="after")
    def _is_whole(self) -> _Serialization:
        if (self.method == "shards") != (self.shard_size is not None):
            raise ValueError("shard_size belongs to the method shards, and to it alone")
        wrong = [path for path in self.ignore_paths if not is_inside(path) or set(path) & set("*?[")]
        if wrong:
            raise ValueError(f"ignore_paths has {wrong[0]!r}, which is no plain path within the model")
        return self


class _Predicate(_Exact):
    resources: Annotated[list[_Resource], Field(min_length=1, max_length=RESOURCES_MAX)]
    serialization: _Serialization

    @model_validator(mode="after")
    def _is_one_hash(self) -> _Predicate:
        """The reference writes `sha256-sharded-1000` for a piece where section 6.3.2 has `sha256`."""
        how = self.serialization
        names = ({how.hash_type}, {f"{how.hash_type}-sharded-{how.shard_size}"})
        if {resource.algorithm for resource in self.resources} not in names:
            raise ValueError("a resource's algorithm is not the hash_type")
        return self


class _Statement(_Exact):
    kind: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: Annotated[Literal["https://model_signing/signature/v1.0"], Field(alias="predicateType")]
    predicate: _Predicate

    @model_validator(mode="after")
    def _adds_up(self) -> _Statement:
        """Section 6.5.1; the order is the one in the file, since the reference sorts otherwise than section 5.2.1."""
        digests = b"".join(bytes.fromhex(resource.digest) for resource in self.predicate.resources)
        if self.subject[0].digest.get("sha256") != hashlib.sha256(digests).hexdigest():
            raise ValueError("the subject's digest is not that of its resources")
        return self


class _OldStatement(_Exact):
    """Version 0.2.0's, with the files as subjects."""

    kind: Annotated[Literal["https://in-toto.io/Statement/v1"], Field(alias="_type")]
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=RESOURCES_MAX)]
    predicate_type: Annotated[Literal["https://model_signing/Digests/v0.1"], Field(alias="predicateType")]
    predicate: dict[str, Any] = {}


class _AnyStatement(_Loose):
    predicate_type: Annotated[str, Field(alias="predicateType")]


@dataclass(frozen=True)
class Signed:
    """What a statement says. digests: by a file's name; where there is a shard size, by `name:start:end`."""

    digests: dict[str, str]
    hash_type: HashType = "sha256"
    shard_size_bytes: int | None = None
    allow_symlinks: bool = False
    ignore_paths: frozenset[str] = frozenset()


def read_signature(file: Path) -> SignatureFile:
    """A signature file; BundleError where it is none, or too large to be one."""
    try:
        with file.open("rb") as opened:
            content = opened.read(SIGNATURE_BYTES_MAX + 1)
    except FileNotFoundError as error:
        raise BundleError(f"{file} is missing: nobody signed the bundle (`edge-channel sign`)") from error
    except OSError as error:
        raise BundleError(f"{file} cannot be read ({error.strerror})") from error
    if len(content) > SIGNATURE_BYTES_MAX:
        raise BundleError(f"{file} has more than the {SIGNATURE_BYTES_MAX} bytes that a signature may have")
    return _parsed(SignatureFile, content, "the signature")


def read_statement(payload: bytes) -> Signed:
    """What was signed; BundleError where that is no statement about a model's files, or contradicts itself."""
    if _parsed(_AnyStatement, payload, "what was signed").predicate_type.endswith("/Digests/v0.1"):
        old = _parsed(_OldStatement, payload, "what was signed")
        return Signed(_named([(subject.name, subject.digest.get("sha256", "")) for subject in old.subject]))
    predicate = _parsed(_Statement, payload, "what was signed").predicate
    how = predicate.serialization
    return Signed(
        _named([(resource.name, resource.digest) for resource in predicate.resources]),
        how.hash_type,
        how.shard_size,
        how.allow_symlinks,
        frozenset(how.ignore_paths),
    )


def _named(resources: list[tuple[str, str]]) -> dict[str, str]:
    """Each name once, and each canonical (section 6.1.2)."""
    digests = dict(resources)
    if len(digests) != len(resources):
        raise BundleError("what was signed names a file twice: sign it again")
    if wrong := [name for name in digests if not is_inside(name) and name != ITSELF]:
        raise BundleError(f"what was signed names {wrong[0]!r}, which is no plain path within the model: sign it again")
    return digests


def _parsed(form: type[Some], content: bytes, what: str) -> Some:
    try:
        return form.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole"
        text = f"{what} cannot be used: {field}: {first['msg'].removeprefix('Value error, ')}"
        raise BundleError(f"{text}: it is no model signature of OpenSSF, version 1.0") from error
