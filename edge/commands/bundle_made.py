"""A bundle that is made here: what it takes is told and agreed to before anything is fetched; edge-export makes it.

The export is a program of its own, which a board need not have. It goes on with a download that broke off, waits where
another makes the same bundle, and leaves nothing half.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.board.disk import free_bytes
from edge.board.memory import total_bytes
from edge.commands.bundle_places import cache_folder, made_folder
from edge.commands.catalogue import Entry, megabytes
from edge.errors import BundleError, ConfigError, EdgeError, UsageError

PROGRAM = "edge-export"
LACKING = (
    f"{PROGRAM}, which makes bundles, is not installed here whole: pip install 'edge-slm[export]'; in a checkout"
    " `make demo` sets it up. A board that is too small gets a bundle that was made elsewhere (docs/export.md)"
)
SHORT_SECONDS = 120.0
"""What takes longer is asked for before."""
DISK_SPARE_BYTES = 64 << 20
"""What is left free on the disk."""
Count = Annotated[int, Field(ge=0)]


class Estimate(BaseModel):
    """What `edge-export --dry-run --json` says; what else it says is passed over.

    is_here: whether nothing is left to be downloaded. seconds: to make the bundle, without the download.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    is_here: bool
    bundle_bytes: Count
    floor_bytes: Count
    memory_bytes: Count
    seconds: Annotated[float, Field(ge=0)]
    disk_free_bytes: Count
    memory_available_bytes: Count


def make(entry: Entry, provider: str, is_agreed: bool) -> Path:
    """Have a model's bundle made in the cache, and wait for it; its folder.

    provider: the execution provider that it is for. is_agreed: whether nobody is to be asked.

    Raises BundleError where this machine lacks memory or disk for it, UsageError where it takes long and nobody agreed,
    ConfigError without the export, EdgeError where that failed.
    """
    program, place = export_program(), made_folder(entry, provider)
    check_board(entry)
    words = [entry.source, *entry.options, "-o", str(place), "--cache", str(cache_folder()), "--provider", provider]
    if is_being_made(place):  # by whoever agreed to it; memory and disk are theirs already
        tell(f"{entry.name} is being made; this waits for it")
    else:
        estimate = estimated(program, words)
        check_room(entry, estimate)
        tell(f"{entry.name} is not here; it is made of {entry.source}, which takes {described(entry, estimate)}")
        if estimate.seconds > SHORT_SECONDS and not is_agreed:
            agree("make it?", "making it takes long; --yes agrees to that")
    export(program, [*words, "--if-missing"])
    return place


def export_program() -> str:
    """Where edge-export is: beside this program, or on the path. ConfigError where it is not."""
    beside = (Path(sys.argv[0]).parent, Path(sys.executable).parent)
    found = next((path for folder in beside if (path := shutil.which(PROGRAM, path=str(folder)))), None)
    if (program := found or shutil.which(PROGRAM)) is None:
        raise ConfigError(LACKING)
    return program


def is_being_made(place: Path) -> bool:
    """Whether an export is at work for a place: it has the folder `.NAME.partial` beside it locked."""
    try:
        descriptor = os.open(place.with_name(f".{place.name}.partial"), os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def check_board(entry: Entry) -> None:
    """BundleError where this machine could never serve a model, or has no disk for it, by the catalogue alone."""
    total = total_bytes(Path("/"))
    if total is not None and entry.memory_bytes > total:
        need, have = entry.memory_bytes >> 20, total >> 20
        raise BundleError(f"{entry.name} needs {need} MiB of memory to answer, but this machine has {have} MiB in all")
    check_disk(entry, free_bytes(_existing(cache_folder())), 0, entry.bundle_bytes)


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def estimated(program: str, words: list[str]) -> Estimate:
    """What edge-export reckons of an export with some words, which may fetch a config of a few kilobytes.

    EdgeError where it refuses the model; ConfigError where it is there, as on every board, without what it needs.
    """
    asked = [program, *words, "--dry-run", "--json"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"{PROGRAM} ended with {done.returncode}"]
        is_lacking = said[-1].startswith(("ModuleNotFoundError", "ImportError"))
        raise ConfigError(f"{LACKING} ({said[-1]})") if is_lacking else EdgeError(said[-1])
    try:
        return Estimate.model_validate(json.loads(done.stdout))
    except (ValueError, ValidationError) as error:
        raise ConfigError(f"{program} is another version than this program: install both from one release") from error


def check_room(entry: Entry, estimate: Estimate) -> None:
    """BundleError, with both figures, where memory or disk do not suffice now."""
    if estimate.memory_bytes > estimate.memory_available_bytes:
        need, have = estimate.memory_bytes >> 20, estimate.memory_available_bytes >> 20
        text = f"making {entry.name} needs {need} MiB of memory, but {have} MiB are available"
        raise BundleError(f"{text}: make it on another machine (docs/export.md)", passes=True)
    source = 0 if estimate.is_here else entry.source_bytes
    check_disk(entry, estimate.disk_free_bytes, source, estimate.bundle_bytes)


def check_disk(entry: Entry, free: int, source: int, bundle: int) -> None:
    """BundleError, with the sum, where a disk does not hold what is downloaded and what is made of it."""
    need = source + bundle + DISK_SPARE_BYTES
    if need > free:
        parts = f"{megabytes(source)} to download and " if source else ""
        text = f"{entry.name} needs {megabytes(need)} of disk ({parts}{megabytes(bundle)} for the bundle)"
        raise BundleError(f"{text}, but {megabytes(free)} are free in {cache_folder()}", passes=True)


def described(entry: Entry, estimate: Estimate) -> str:
    """What a person agrees to, in a line."""
    load = "" if estimate.is_here else f"{megabytes(entry.source_bytes)} to download, "
    return (
        f"{load}{megabytes(estimate.bundle_bytes)} of disk for the bundle, {estimate.memory_bytes / 2**30:.1f} GiB of"
        f" memory and about {duration(estimate.seconds)} ({entry.licence})"
    )


def duration(seconds: float) -> str:
    """A time for a person."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tell(text: str) -> None:
    """Say what happens, beside the answer."""
    print(text, file=sys.stderr, flush=True)


def agree(question: str, otherwise: str) -> None:
    """Ask on a terminal, where Enter is yes. UsageError for a no, and with `otherwise` where there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(otherwise)
    print(f"{question} [Y/n] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer or answer.strip().casefold() not in ("", "y", "yes"):
        raise UsageError("nothing was done")


def export(program: str, words: list[str]) -> None:
    """Run edge-export, its words on standard error; it ends, and tidies up, where we do. EdgeError where it fails."""
    process = subprocess.Popen(
        [program, *words], stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), start_new_session=True
    )
    try:
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if status:
        raise EdgeError(f"{PROGRAM} ended with exit status {status}; the lines above say why")
