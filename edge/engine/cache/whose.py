"""Whose remembered beginnings are: a tag of the salt before each block's name, so that all of one salt can be let go.

What has no salt has no tag: it came with the bundle, or is everybody's.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

PREFIXES = "prefixes"
"""The folder of a cache, or of a bundle, that they lie in."""
FILE_SUFFIX, PARTIAL = ".kv", ".partial"
HASH_BYTES, TAG_BYTES = 16, 8


def tag_of(salt: str) -> bytes:
    """What names of a salt's blocks begin with."""
    return hashlib.blake2b(salt.encode(), digest_size=TAG_BYTES).digest() if salt else b""


def is_of(key: bytes, salt: str) -> bool:
    """Whether a block's name is of a salt."""
    tag = tag_of(salt)
    return len(key) == HASH_BYTES + len(tag) and key.startswith(tag)


def forget_files(root: Path, salt: str) -> None:
    """Remove the files of a salt, of every bundle and engine below a cache's folder."""
    for ending in (FILE_SUFFIX, PARTIAL):
        for path in root.glob(f"*/{tag_of(salt).hex()}*{ending}"):
            if is_of(_key(path), salt):
                path.unlink(missing_ok=True)


def _key(path: Path) -> bytes:
    try:
        return bytes.fromhex(path.stem)
    except ValueError:
        return b""  # not ours
