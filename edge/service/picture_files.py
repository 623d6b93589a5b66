"""Pictures that lie on the board and are asked about by name: from one folder that the operator names, no other."""

from __future__ import annotations

import stat
from pathlib import Path

from edge.errors import BadRequest, NotFound, TooLarge, Unsupported

PARAM = "image_url"


def read_picture(folder: Path | None, name: str, bytes_max: int) -> bytes:
    """A picture's bytes. Raises Fault where it may not be read, is not there or is too large."""
    if folder is None:
        raise Unsupported("this board shows no pictures of its own (its setting limits.picture_folder)", PARAM)
    path = (folder / name.replace("\0", "/../")).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise BadRequest(f"{name[:100]!r} is not in the folder that may be looked into", PARAM)
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"{name[:100]!r} is no file", PARAM)
        if found.st_size > bytes_max:
            raise TooLarge(f"{name[:100]!r} has {found.st_size} bytes, but {bytes_max} are read", PARAM)
        return path.read_bytes()
    except OSError as error:
        raise NotFound(f"{name[:100]!r} cannot be read: {error.strerror}", PARAM) from error
