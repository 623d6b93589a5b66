"""A bundle's signature: OpenSSF Model Signing v1.0, made by its reference implementation.

What a board verifies it with is `edge/store/signature.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from model_signing import hashing, signing

from edge.bundle import SIGNATURE, open_bundle, read_manifest
from edge.errors import BundleError, ConfigError


def sign(bundle: Path, key: Path, certificate: Path | None = None, chain: Sequence[Path] = ()) -> Path:
    """Sign a whole bundle; the file with the signature, in its folder, where an older one is replaced.

    key: an EC private key (P-256, P-384, P-521), PEM, without a password. certificate: of that key, for signing code.
    chain: certificates between that and the authority that boards know; the authority's own where there is none.

    Raises BundleError where the bundle is not whole, ConfigError where key or certificates cannot be used.
    """
    open_bundle(bundle, read_manifest(bundle).provider)
    file = bundle / SIGNATURE
    hashed = hashing.Config().set_ignored_paths(paths=[SIGNATURE])
    config = signing.Config().set_hashing_config(hashed)
    _refuse_password(key)
    if certificate is not None and not chain:
        raise ConfigError(f"{certificate} leads nowhere: name the certificates above it, the authority's own at least")
    try:
        if certificate is None:
            config.use_elliptic_key_signer(private_key=key)
        else:
            config.use_certificate_signer(private_key=key, signing_certificate=certificate, certificate_chain=chain)
    except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm) as error:
        with_what = ", ".join(str(path) for path in (key, certificate, *chain) if path is not None)
        text = f"{bundle} cannot be signed with {with_what}: {error}"
        raise ConfigError(
            f"{text}; a private key on P-256, P-384 or P-521, and its own certificates, are wanted"
        ) from error
    try:
        config.sign(bundle, file)
    except ValueError as error:
        raise BundleError(f"{bundle} cannot be signed: {error}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be written ({error.strerror})") from error
    return file


def _refuse_password(key: Path) -> None:
    """ConfigError where the key cannot be read, or only with a password."""
    try:
        serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{key} cannot be read ({error.strerror})") from error
    except TypeError as error:
        raise ConfigError(f"{key} has a password; `openssl pkey -in {key} -out …` takes it off") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{key} is no private key in PEM: {error}") from error
