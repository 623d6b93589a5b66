"""What a bundle is called where nobody says: after its model, in letters that a manifest, a topic and a path take."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a manifest's name may be (edge.bundle.Manifest)."""
GGUF = re.compile(r"(-\d{5}-of-\d{5})?\.gguf$")
"""The end of a file's name that is not the model's: the type, and which part of how many it is."""


def name_of(model: Path) -> str:
    """A valid name after a model's file or folder; of a folder's name nothing is cut, dots are part of it."""
    name = model.name if model.name not in ("", "..") else model.resolve().name
    return valid(name if model.is_dir() else GGUF.sub("", name))


def valid(name: str) -> str:
    """A name with what a manifest does not take left out: `Größe 7 (neu)` is `Grosse-7-neu`; `model` for nothing."""
    if NAME.fullmatch(name):
        return name
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).lstrip("._-")
    return plain[:64].rstrip("-") or "model"
