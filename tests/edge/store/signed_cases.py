"""Every kind of signature that a board accepts, and every kind that it refuses, with what it says.

A case is a model, its signature and the signers, made in a folder of its own; `tests/edge/store/signed.py` makes them.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from model_signing import hashing

from tests.edge.store import signed
from tests.edge.store.signed import Issued, Workshop, by_certificates, forge, issue, make_model, statement, summed


@dataclass
class Case:
    """A model with a signature in its folder. signers: those of the workshop, unless others are given."""

    shop: Workshop
    model: Path
    signers: Path

    @property
    def signature(self) -> Path:
        """The file."""
        return self.model / "model.sig"

    def write(self, made: Any) -> None:
        """Write a signature file; made: what becomes JSON, or bytes."""
        self.signature.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())

    def read(self) -> Any:
        """The signature file that is there."""
        return json.loads(self.signature.read_bytes())

    def forge(self, change: Callable[[dict[str, Any]], Any]) -> None:
        """Sign a statement that was changed before, with the right key."""
        made = statement(self.model)
        change(made)
        self.write(forge(made, self.shop.keys["p256"]))

    def certified(self, leaf: Issued, *between: Issued) -> None:
        """Sign with a certificate's key, whatever the certificate says."""
        self.write(forge(statement(self.model), leaf.key, by_certificates(leaf, *between)))


def made_in(shop: Workshop, folder: Path) -> Case:
    """A model that nobody has signed yet."""
    return Case(shop, make_model(folder / "model"), shop.signers)


def key(name: str) -> Callable[[Case], None]:
    """Signed with a key on one of the curves."""
    return lambda case: case.shop.sign_with_key(case.model, case.signature, name)


plainly = key("p256")


def hashed(config: Callable[[], Any], ignored: tuple[str, ...] = ()) -> Callable[[Case], None]:
    """Signed over files that were read in another way."""
    return lambda case: case.shop.sign_with_key(case.model, case.signature, "p384", config(), ignored)


def certificate(case: Case) -> None:
    """Signed with a certificate that another stands between and the authority."""
    case.shop.sign_with_certificate(case.model, case.signature, case.shop.leaf, [case.shop.between])


def certificate_of_root(case: Case) -> None:
    """Signed with a certificate of the authority's own."""
    leaf = issue("direct", case.shop.root, case.shop.keys["p521"])
    case.shop.sign_with_certificate(case.model, case.signature, leaf, [case.shop.root])


def certificate_by_usage(case: Case) -> None:
    """KeyUsage alone says that it is for signatures."""
    case.certified(issue("plain", case.shop.root, extended=()))


def again(case: Case) -> None:
    """Signed where there is a signature already."""
    plainly(case)
    key("p521")(case)


def ignoring(case: Case) -> None:
    """A file is there that the signature leaves out, and so do the default exclusions."""
    hashed(hashing.Config, ("notes",))(case)
    (case.model / "notes").mkdir()
    for name in ("notes/to-do", ".gitattributes"):
        (case.model / name).write_text("later")


def linked(case: Case) -> None:
    """A link within the model, where the signature allows links."""
    (case.model / "again").symlink_to("model.onnx")
    hashed(lambda: hashing.Config().set_allow_symlinks(True))(case)


def of_1_0(case: Case) -> None:
    """As signers before 1.1 wrote it: the key itself in place of its fingerprint, keyid null, no list of logs."""
    key("p384")(case)
    made = case.read()
    raw = base64.b64encode((case.shop.signers / "p384.pem").read_bytes()).decode()
    made["verificationMaterial"] = {"publicKey": {"rawBytes": raw, "keyDetails": "PKIX_ECDSA_P384_SHA_384"}}
    made["dsseEnvelope"]["signatures"][0]["keyid"] = None
    case.write(made)


def of_0_2(case: Case) -> None:
    """As version 0.2.0 signed with certificates."""
    shop = case.shop
    case.write(forge(signed.old_statement(case.model), shop.leaf.key, by_certificates(shop.leaf, shop.between), True))


def by_the_letter(case: Case) -> None:
    """Shards as the specification names their hash; the reference implementation refuses its own specification here."""
    made = statement(case.model)
    resources = []
    for resource in made["predicate"]["resources"]:
        data = (case.model / resource["name"]).read_bytes()
        for start in range(0, len(data), 1000):
            piece = data[start : start + 1000]
            name = f"{resource['name']}:{start}:{start + len(piece)}"
            resources.append({"name": name, "digest": hashlib.sha256(piece).hexdigest(), "algorithm": "sha256"})
    made["predicate"]["resources"] = resources
    made["predicate"]["serialization"].update(method="shards", shard_size=1000)
    case.write(forge(summed(made), case.shop.keys["p256"]))


def of_go(case: Case) -> None:
    """As the implementation in Go writes it: neither keyid nor a list of logs."""
    made = forge(statement(case.model), case.shop.keys["p256"])
    del made["verificationMaterial"]["tlogEntries"], made["dsseEnvelope"]["signatures"][0]["keyid"]
    case.write(made)


LETTER = "shards by the letter"
GOOD: dict[str, Callable[[Case], None]] = {
    "a key on P-256": key("p256"),
    "a key on P-384": key("p384"),
    "a key on P-521": key("p521"),
    "a certificate": certificate,
    "a certificate of the root": certificate_of_root,
    "a certificate by KeyUsage": certificate_by_usage,
    "shards": hashed(lambda: hashing.Config().use_shard_serialization(shard_size=999)),
    "blake2b": hashed(lambda: hashing.Config().use_file_serialization(hashing_algorithm="blake2")),
    "shards of blake2b": hashed(
        lambda: hashing.Config().use_shard_serialization(hashing_algorithm="blake2", shard_size=1000)
    ),
    "ignored paths": ignoring,
    "links within": linked,
    "signed again": again,
    "before 1.1": of_1_0,
    "0.2.0": of_0_2,
    "Go's": of_go,
    LETTER: by_the_letter,
}


def envelope(*way: str | int, value: Any = None) -> Callable[[Case], None]:
    """Rightly signed, then something of the file is another; value: None for gone."""

    def do(case: Case) -> None:
        plainly(case)
        made = case.read()
        within = made
        for step in way[:-1]:
            within = within[step]
        if value is None:
            del within[way[-1]]
        else:
            within[way[-1]] = value
        case.write(made)

    return do


def said(*way: str | int, value: Any = None, is_summed: bool = True) -> Callable[[Case], None]:
    """Something else was said, and rightly signed; value: None for nothing."""

    def change(made: Any) -> None:
        within = made
        for step in way[:-1]:
            within = within[step]
        if value is None:
            del within[way[-1]]
        else:
            within[way[-1]] = value
        if is_summed and all("digest" in each for each in made["predicate"]["resources"]):
            summed(made)

    return lambda case: case.forge(change)


def then(change: Callable[[Path], object], sign: Callable[[Case], None] = plainly) -> Callable[[Case], None]:
    """Rightly signed, then the model's files change."""

    def do(case: Case) -> None:
        sign(case)
        change(case.model)

    return do


def written(content: bytes) -> Callable[[Case], None]:
    """A signature file that is none."""
    return lambda case: case.write(content)


def anothers_key(case: Case) -> None:
    """Signed by somebody whom the board does not know."""
    case.write(forge(statement(case.model), ec.generate_private_key(ec.SECP256R1())))


def anothers_key_under_our_name(case: Case) -> None:
    """The same, under the name of a key that it knows."""
    other = ec.generate_private_key(ec.SECP256R1())
    case.write(forge(statement(case.model), other, signed.by_key(case.shop.keys["p256"])))


def anothers_key_of_old(case: Case) -> None:
    """The same, with the key itself in the file."""
    other = ec.generate_private_key(ec.SECP256R1())
    pem = case.shop.public(case.model.parent / "other.pem", other).read_bytes()
    case.write(forge(statement(case.model), other, {"publicKey": {"rawBytes": base64.b64encode(pem).decode()}}))


def other_payload(case: Case) -> None:
    """The files and what is said of them were changed together."""
    plainly(case)
    made = case.read()
    (case.model / "model.onnx").write_bytes(b"bad")
    payload = json.dumps(statement(case.model)).encode()
    made["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    case.write(made)


def twice(made: dict[str, Any]) -> None:
    """A file is named twice."""
    made["predicate"]["resources"].append(made["predicate"]["resources"][0])
    summed(made)


def keyless(case: Case) -> None:
    """As Sigstore signs without a key of one's own."""
    material = {"certificate": {"rawBytes": "MAA="}, "tlogEntries": [{"logIndex": "1"}]}
    case.write(forge(statement(case.model), case.shop.keys["p256"], material))


def keyless_unlogged(case: Case) -> None:
    """The same without the log's word."""
    case.write(forge(statement(case.model), case.shop.keys["p256"], {"certificate": {"rawBytes": "MAA="}}))


def leaf(issuer: str = "root", **how: Any) -> Callable[[Case], None]:
    """Signed with a certificate of some kind."""
    return lambda case: case.certified(issue("odd", getattr(case.shop, issuer), **how), case.shop.between)


def rsa_leaf(case: Case) -> None:
    """The certificate is for an RSA key; an EC key signed."""
    odd = issue("rsa", case.shop.root, rsa.generate_private_key(65537, 2048))
    case.write(forge(statement(case.model), case.shop.keys["p256"], by_certificates(odd)))


def between(**how: Any) -> Callable[[Case], None]:
    """The certificate between is of some kind."""

    def do(case: Case) -> None:
        odd = issue("odd between", case.shop.root, **{"ca": True, **how})
        case.certified(issue("release", odd), odd)

    return do


def too_deep(case: Case) -> None:
    """The certificate between may not certify another authority, but does."""
    deeper = issue("deeper", case.shop.between, ca=True)
    case.certified(issue("release", deeper), deeper, case.shop.between)


def others_authority(case: Case) -> None:
    """The certificate is of another authority that calls itself the same."""
    root = issue("root", None, ca=True)
    case.certified(issue("release", root), root)


def others_certificate(case: Case) -> None:
    """A good certificate, but it is another key that signed."""
    shop = case.shop
    material = by_certificates(shop.leaf, shop.between)
    case.write(forge(statement(case.model), ec.generate_private_key(ec.SECP384R1()), material))


def flip(file: Path) -> None:
    """A bit is another."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


NO_FORM = "cannot be used"
SHARDS = hashed(lambda: hashing.Config().use_shard_serialization(shard_size=1000))
BAD: dict[str, tuple[Callable[[Case], None], str]] = {
    "no signature": (lambda case: None, "nobody signed"),
    "empty": (written(b""), f"{NO_FORM}.*EOF"),
    "no JSON": (written(b"<html>"), NO_FORM),
    "a list": (written(b"[]"), NO_FORM),
    "deep": (written(b"[" * 100_000), NO_FORM),
    "endless": (written(b" " * ((8 << 20) + 1)), "more than the 8388608 bytes"),
    "no envelope": (envelope("dsseEnvelope"), "dsseEnvelope: Field required"),
    "no material": (envelope("verificationMaterial"), "verificationMaterial: Field required"),
    "no method": (envelope("verificationMaterial", value={}), "exactly one of"),
    "another version": (envelope("mediaType", value="application/vnd.dev.sigstore.bundle.v0.4+json"), "mediaType"),
    "another payload type": (envelope("dsseEnvelope", "payloadType", value="text/plain"), "payloadType"),
    "no base64": (envelope("dsseEnvelope", "payload", value="{}"), "payload"),
    "no signatures": (envelope("dsseEnvelope", "signatures", value=[]), "signatures"),
    "two signatures": (envelope("dsseEnvelope", "signatures", value=[{"sig": "MAA="}] * 2), "signatures"),
    "a signature of nothing": (envelope("dsseEnvelope", "signatures", 0, "sig", value="MAA="), "not that of what"),
    "another's key": (anothers_key, "the key '[0-9a-f]{12}', which is none of .*p256.pem"),
    "another's key under our name": (anothers_key_under_our_name, "not that of what"),
    "another's key in the file": (anothers_key_of_old, "not that of what"),
    "another payload": (other_payload, "not that of what"),
    "keyless": (keyless, "cannot be verified without the internet"),
    "keyless, not logged": (keyless_unlogged, "must have tlogEntries"),
    "another predicate": (said("predicateType", value="https://example.com/v1"), "predicateType"),
    "no predicate type": (said("predicateType"), "predicateType: Field required"),
    "no statement": (said("_type", value="https://in-toto.io/Statement/v0.1"), "_type"),
    "no resources": (said("predicate", "resources", value=[]), "resources"),
    "another root digest": (
        said("subject", 0, "digest", value={"sha256": "0" * 64}, is_summed=False),
        "the subject's digest is not",
    ),
    "a file named twice": (lambda case: case.forge(twice), "names a file twice"),
    "a name that climbs": (said("predicate", "resources", 0, "name", value="../model.onnx"), "names '../model.onnx'"),
    "a whole path": (said("predicate", "resources", 0, "name", value="/model.onnx"), "names '/model.onnx'"),
    "a name not canonical": (said("predicate", "resources", 0, "name", value="./model.onnx"), "names './model.onnx'"),
    "blake3": (
        hashed(lambda: hashing.Config().use_file_serialization(hashing_algorithm="blake3")),
        "hashed with blake3",
    ),
    "an unknown hash": (said("predicate", "serialization", "hash_type", value="md5"), "hash_type"),
    "two hashes": (said("predicate", "serialization", "hash_type", value="blake2b"), "is not the hash_type"),
    "an unknown method": (said("predicate", "serialization", "method", value="tensors"), "method"),
    "shards hashed otherwise": (
        said("predicate", "resources", 0, "algorithm", value="sha256-sharded-7"),
        "is not the hash_type",
    ),
    "shards of no size": (said("predicate", "serialization", "method", value="shards"), "shard_size"),
    "links unsaid": (said("predicate", "serialization", "allow_symlinks"), "allow_symlinks"),
    "all is ignored": (said("predicate", "serialization", "ignore_paths", value=["*"]), r"ignore_paths has '\*'"),
    "nothing is ignored": (said("predicate", "serialization", "ignore_paths", value=[""]), "ignore_paths has ''"),
    "a signed file is ignored": (
        said("predicate", "serialization", "ignore_paths", value=["model.onnx"]),
        "'model.onnx' was signed, but is not in",
    ),
    "an altered file": (then(lambda model: flip(model / "model.onnx.data")), "'model.onnx.data' in .* is not what"),
    "a truncated file": (then(lambda model: os.truncate(model / "model.onnx", 299)), "'model.onnx' in .* is not what"),
    "a missing file": (then(lambda model: (model / "sub/a.json").unlink()), "'sub/a.json' was signed, but"),
    "a file too many": (then(lambda model: (model / "run.py").touch()), "'run.py' is in .*, but nobody signed it"),
    "a file in sub/.git": (
        then(lambda model: ((model / "sub/.git").mkdir(), (model / "sub/.git/x").touch())),
        "'sub/.git/x' is in .*, but nobody",
    ),
    "a file of another name": (
        then(lambda model: (model / "model.onnx").rename(model / "Model.onnx")),
        "'Model.onnx' is in .*, but nobody",
    ),
    "a shard altered": (then(lambda model: flip(model / "model.onnx.data"), SHARDS), "'model.onnx.data:2000:3000' in"),
    "a shard missing": (
        then(lambda model: os.truncate(model / "model.onnx.data", 4000), SHARDS),
        "'model.onnx.data:4000:5000' was signed",
    ),
    "a shard too many": (
        then(lambda model: os.truncate(model / "model.onnx.data", 5001), SHARDS),
        "'model.onnx.data:5000:5001' is in",
    ),
    "a link": (then(lambda model: (model / "link").symlink_to("model.onnx")), "link is a symbolic link"),
    "a link out of it": (
        then(lambda model: ((model / "again").unlink(), (model / "again").symlink_to("/etc/passwd")), linked),
        "again leads to /etc/passwd",
    ),
    "a link to a folder": (
        then(lambda model: (model / "more").symlink_to("sub"), linked),
        "more leads to .*sub, which",
    ),
    "a link to itself": (then(lambda model: (model / "loop").symlink_to("loop"), linked), "loop leads to loop, which"),
    "a pipe": (then(lambda model: os.mkfifo(model / "pipe")), "pipe is neither a file nor a folder"),
    "a certificate that ran out": (leaf(days=(-20, -1)), "is valid from .* this board's clock says"),
    "a certificate of tomorrow": (leaf(days=(1, 20)), "is valid from .* this board's clock says"),
    "a web server's certificate": (leaf(extended=(ExtendedKeyUsageOID.SERVER_AUTH,)), "is not codeSigning"),
    "a certificate to agree on keys": (leaf(usage="agree"), "is not digitalSignature"),
    "a certificate for nothing": (leaf(usage="", extended=()), "does not say what it is for"),
    "a critical word": (
        leaf(critical=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")),
        "1.2.3.4 is not understood",
    ),
    "an RSA certificate": (rsa_leaf, "another kind"),
    "no certificate at all": (
        envelope("verificationMaterial", value={"x509CertificateChain": {"certificates": [{"rawBytes": "MAA="}]}}),
        "certificate that cannot be used",
    ),
    "a certificate of its own": (lambda case: case.certified(issue("self", None)), "does not lead to an authority"),
    "another's authority": (others_authority, "does not lead to an authority"),
    "the one between is missing": (lambda case: case.certified(case.shop.leaf), "does not lead to an authority"),
    "the one between ran out": (between(days=(-20, -1)), "does not lead to an authority"),
    "the one between is no authority": (between(ca=False), "does not lead to an authority"),
    "the one between may not certify": (between(usage="sign"), "does not lead to an authority"),
    "the one between is for servers": (
        between(extended=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        "not lead to an authority",
    ),
    "one between too many": (too_deep, "does not lead to an authority"),
    "another's certificate": (others_certificate, "not that of what"),
}
"""With a pattern of the reason."""
