"""A folder's chat template, from wherever Transformers takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from export.errors import SourceError

FILE, FOLDER = "chat_template.jinja", "additional_chat_templates"
CONFIGS = ("tokenizer_config.json", "chat_template.json")
"""The latter is a processor's; it is looked at where a folder has nothing else."""
DEFAULT = "default"


def chat_template_of(folder: Path) -> str:
    """The Jinja text for a conversation without tools; empty where there is none.

    Files of their own go before all that tokenizer_config.json says, a template or a list of them by name; of several
    it is the one named default (`PreTrainedTokenizerBase._from_pretrained` and `get_chat_template`, 4.57 and 5).
    Raises SourceError where there are some, and none has that name.
    """
    templates = dict(_files(folder)) or next(filter(None, (_named(folder / name) for name in CONFIGS)), {})
    if templates and DEFAULT not in templates:
        names = ", ".join(sorted(templates))
        raise SourceError(f"{folder} has chat templates named {names}, but none named {DEFAULT}; write one to {FILE}")
    return templates.get(DEFAULT, "")


def written_beside(folder: Path) -> str:
    """The Jinja text of the folder's chat_template.jinja; empty where there is none."""
    return _text(folder / FILE) if (folder / FILE).is_file() else ""


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    """Templates in files of their own, by their names."""
    if (folder / FILE).is_file():
        yield DEFAULT, written_beside(folder)
    for file in sorted((folder / FOLDER).glob("*.jinja")):
        yield file.stem, _text(file)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{file} cannot be read as text: {error}") from error


def _named(file: Path) -> dict[str, str]:
    """Those of a JSON file; nothing where there is no such file, or it has none."""
    if not file.is_file():
        return {}
    try:
        told = json.loads(_text(file))
        found = told.get("chat_template")
        templates = _by_name(found)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise SourceError(f"the chat template of {file} cannot be read: {error}") from error
    return {name: text for name, text in templates.items() if text}


def _by_name(found: Any) -> dict[str, str]:
    """A text, a list of names and templates, or an object of them."""
    if isinstance(found, list):
        return {each["name"]: each["template"] for each in found}
    return dict(found) if isinstance(found, dict) else {DEFAULT: found} if found else {}
