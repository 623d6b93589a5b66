"""The private keys of a repository: one file a role, PKCS#8 in PEM, encrypted where there is a passphrase.

Several folders may be named, so that what signs seldom (`root`, `targets`) can lie on a stick in a drawer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from securesystemslib.signer import CryptoSigner, SSlibKey

from edge.errors import ConfigError

Passphrase = Callable[[Path], bytes]
"""Asked for the passphrase of a key's file; empty for none."""


class Keys:
    """Those in some folders; new ones go into the first."""

    def __init__(self, folders: Sequence[Path], passphrase: Passphrase) -> None:
        self._folders, self._passphrase = list(folders), passphrase

    def signer(self, name: str) -> CryptoSigner:
        """What signs with a key. ConfigError where there is none, or it cannot be read."""
        if (file := self._file(name)) is None:
            places = ", ".join(map(str, self._folders))
            what = f"run `rotate` of {name} again, which was broken off" if self.has(f"{name}.new") else ""
            text = f"the key {name}.pem is in none of these folders: {places}"
            raise ConfigError(f"{text}; {what or 'name its own with --keys'}")
        return self._opened(file)

    def _opened(self, file: Path) -> CryptoSigner:
        try:
            data = file.read_bytes()
            secret = self._passphrase(file) if b"ENCRYPTED" in data else b""
            key = serialization.load_pem_private_key(data, secret or None)
        except OSError as error:
            raise ConfigError(f"{file} cannot be read ({error.strerror})") from error
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{file} cannot be opened: is the passphrase right? ({error})") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"{file} is no Ed25519 key, which `edge-channel init` makes")
        return CryptoSigner(key, _public(key))

    def has(self, name: str) -> bool:
        """Whether there is a key of this name."""
        return self._file(name) is not None

    def make(self, name: str, beside: str | None = None) -> CryptoSigner:
        """A new key, in the folder of the one that is named, else in the first.

        ConfigError where there is one of this name, or it cannot be written.
        """
        old = self._file(beside) if beside else None
        folder = old.parent if old else self._folders[0]
        if self.has(name):
            raise ConfigError(f"there is a key {name}.pem already; move it away first")
        key = Ed25519PrivateKey.generate()
        secret = self._passphrase(folder / f"{name}.pem")
        encryption = BestAvailableEncryption(secret) if secret else NoEncryption()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _lay(folder / f"{name}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        except OSError as error:
            raise ConfigError(f"{error.filename or folder} cannot be written ({error.strerror})") from error
        return CryptoSigner(key, _public(key))

    def settle(self, name: str) -> None:
        """NAME.new.pem takes the place of NAME.pem, which is kept as NAME.old.pem.

        Where that was broken off between the two there is no NAME.pem any more.
        """
        new = self._file(f"{name}.new")
        assert new is not None
        if (old := self._file(name)) is not None:
            old.replace(old.with_name(f"{name}.old.pem"))
        new.replace(new.with_name(f"{name}.pem"))

    def drop(self, name: str) -> None:
        """A key that was made and never used."""
        if (file := self._file(name)) is not None:
            file.unlink()

    def _file(self, name: str) -> Path | None:
        return next((found for folder in self._folders if (found := folder / f"{name}.pem").is_file()), None)


def _lay(file: Path, data: bytes) -> None:
    """Whole and on the disk, or not there at all, and never over another: who loses a key that boards know is lost."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        number = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(number, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(number)
        try:
            os.link(beside, file)
        except FileExistsError:
            raise
        except OSError:  # FAT, as sticks have it, knows no second names
            beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _public(key: Ed25519PrivateKey) -> SSlibKey:
    return SSlibKey.from_crypto(key.public_key())
