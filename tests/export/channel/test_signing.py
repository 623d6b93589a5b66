"""Signing a bundle on a workstation, with keys and certificates that will do, and with those that will not."""

from __future__ import annotations

import shutil

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from edge.bundle import SIGNATURE, open_bundle
from edge.errors import BundleError, ConfigError
from edge.store.signature import verify_folder
from export.channel.signing import sign
from tests.edge.store.publishing import make_bundle
from tests.edge.store.signed import Workshop


@pytest.fixture
def shop(tmp_path) -> Workshop:
    """Who signs."""
    return Workshop(tmp_path / "shop")


@pytest.fixture
def made(tmp_path):
    """A bundle that nobody has signed."""
    return make_bundle(tmp_path / "made")


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_with_a_key(shop, made, curve):
    """The bundle has one file more, which is no part of it, and a board says whose key it was."""
    assert sign(made, shop.folder / f"{curve}.key") == made / SIGNATURE
    assert open_bundle(made).digest
    assert verify_folder(made, shop.signers) == f"key {curve}.pem"


def test_again(shop, made):
    """Another signature takes the place of the first."""
    sign(made, shop.folder / "p256.key")
    sign(made, shop.folder / "p521.key")
    assert verify_folder(made, shop.signers) == "key p521.pem"


def test_with_a_certificate(shop, made):
    """Signed with what an authority certified, the certificates between in the signature."""
    sign(made, shop.folder / "p384.key", shop.certificate(shop.leaf), [shop.certificate(shop.between)])
    assert verify_folder(made, shop.signers) == "CN=release, certified by CN=root"


def test_a_certificate_of_the_authority_itself(shop, made):
    """Nothing is between: then the authority's own stands there, and is asked for where it does not."""
    certificate = shop.certificate(shop.leaf)
    with pytest.raises(ConfigError, match="leads nowhere: name the certificates above it"):
        sign(made, shop.folder / "p384.key", certificate)
    with pytest.raises(ConfigError, match="does not match"):
        sign(made, shop.folder / "p256.key", certificate, [shop.certificate(shop.root)])
    assert not (made / SIGNATURE).exists()


def test_keys_that_cannot_sign(shop, made, tmp_path):
    """Each is named, with what to do."""
    locked = tmp_path / "locked.key"
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(shop.keys["p256"].private_bytes(serialization.Encoding.PEM, form, encryption))
    wrong = {
        r"nowhere cannot be read \(No such file": tmp_path / "nowhere",
        "locked.key has a password; `openssl pkey": locked,
        "is no private key in PEM": shop.signers / "p256.pem",
        "rsa.key: .*P-256, P-384 or P-521": shop.private("rsa", rsa.generate_private_key(65537, 2048)),
        "curve.key: .*P-256, P-384 or P-521": shop.private("curve", ec.generate_private_key(ec.SECP256K1())),
    }
    for says, key in wrong.items():
        with pytest.raises(ConfigError, match=says):
            sign(made, key)
    assert not (made / SIGNATURE).exists()


def test_a_bundle_that_is_not_whole(shop, made):
    """What is damaged is not signed, and neither is what is no bundle."""
    (made / "model.onnx").write_bytes(b"other" * 100)
    with pytest.raises(BundleError, match=r"model\.onnx"):
        sign(made, shop.folder / "p256.key")
    shutil.rmtree(made)
    with pytest.raises(BundleError):
        sign(made, shop.folder / "p256.key")
