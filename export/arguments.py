"""What the command line may say, looked at before any model is: what can be refused at once is."""

from __future__ import annotations

import argparse
import re
from contextlib import suppress
from pathlib import Path

from export.calibration_text import read_text
from export.download import default_cache
from export.errors import SourceError, TargetError
from export.golden import read_questions
from export.naming import NAME, valid
from export.tasks.questions import QUESTIONS_MAX
from export.warm import read_prompt


def name(text: str) -> str:
    """A bundle's name."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no name: up to 64 letters, digits and . _ - are, such as {valid(text)}"
        )
    return text


def version(text: str) -> str:
    """A bundle's version, as a repository and a topic take it."""
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no version: up to 64 letters, digits and . _ - are")
    return text


def model(text: str) -> str:
    """A model: where it lies, or what it is called."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; say which model, file or folder")
    if "\0" in text:
        raise argparse.ArgumentTypeError("no path has a NUL in it")
    return text


def path(text: str) -> Path:
    """A path; an empty one would be the folder that we are in."""
    first = model(text).split("/")[0]
    if first.startswith("~") and not Path(first).exists():
        raise argparse.ArgumentTypeError(f"{text}: the shell has left the ~ in it; write your home out, or ./{text}")
    return Path(text)


def tokens(text: str) -> int:
    """How many, one at least."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of tokens; the least is 1")
    return int(text)


def questions(text: str) -> int:
    """How many of the task questions; none at all, too."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or int(text) > QUESTIONS_MAX:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number of questions; there are 0 to {QUESTIONS_MAX}")
    return int(text)


def check_files(options: argparse.Namespace) -> None:
    """Every file that the command line names is there and is what it should be.

    Raises SourceError naming the one that is not, TargetError for a cache that is no folder, OSError for what cannot
    be looked at.
    """
    for file in (options.calibration, options.evaluation):
        if file:
            read_text(file)
    if options.golden:
        read_questions(options.golden)
    for file in options.warm or ():
        read_prompt(file)
    if options.pictures and (not options.pictures.is_dir() or len(list(options.pictures.iterdir())) < 2):
        raise SourceError(f"{options.pictures} is no folder with two pictures or more")
    check_adapters(options.adapter or [], options.keep_apart)
    if options.cache and options.cache.exists() and not options.cache.is_dir():
        raise TargetError(f"{options.cache} is no folder that downloads could be kept in")


def check_adapters(folders: list[Path], are_apart: bool) -> None:
    """Each is an adapter, and several stay apart. Raises SourceError."""
    for folder in folders:
        if not (folder / "adapter_config.json").is_file():
            raise SourceError(f"{folder} is no adapter: it has no adapter_config.json")
    if len(folders) > 1 and not are_apart:
        raise SourceError("one adapter can be merged; --keep-apart lets each request choose among several")
    if are_apart and not folders:
        raise SourceError("--keep-apart is for adapters; --adapter DIR names one")


def kept_in(options: argparse.Namespace) -> Path | None:
    """The cache, which a bundle may lie in, but never takes the place of; None for a user who has none."""
    with suppress(TargetError):
        return options.cache or default_cache()
    return None
