"""The place that a bundle goes to, and what may be replaced there: a bundle that an export made, nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from edge.bundle import MANIFEST, Manifest, read_manifest
from edge.errors import BundleError
from export.errors import TargetError

SUFFIX = "-bundle"
"""Behind a default name that would be the source's own."""
NO_BUNDLE = f"exists and is no bundle, having no {MANIFEST} of an export"


def place_of(output: Path) -> Path:
    """Where an output really lies, its links followed: a link to a bundle stays, the bundle that it leads to counts.

    Raises TargetError for a link that leads nowhere, and for a path that no file can have or the engine cannot open.
    """
    try:
        place = Path(os.path.realpath(output))
        leads_nowhere = output.is_symlink() and not place.exists()
        str(place).encode()
    except OSError as error:
        raise TargetError(f"{output} cannot be a place: {error.strerror}; name another with -o") from error
    except UnicodeEncodeError as error:
        raise TargetError(f"{place} is not UTF-8, and the engine could not open it; name another with -o") from error
    if leads_nowhere:
        raise TargetError(f"{output} is a link that leads nowhere; remove it, or name another place with -o")
    return place


def default_place(name: str, model: Path) -> Path:
    """The bundle's name in the folder that we are in; another where the model itself lies there."""
    place = Path(name)
    while lies_in(model, place) or lies_in(place, model):
        place = place.with_name(f"{place.name}{SUFFIX}")
    return place


def is_there(target: Path) -> bool:
    """Whether a bundle lies there; TargetError where something else does."""
    if not os.path.lexists(target):
        return False
    try:
        read_manifest(target)
    except BundleError as error:
        raise TargetError(f"{target} {NO_BUNDLE}: name another place with -o") from error
    return True


def check_free(target: Path, force: bool, used: Sequence[Path] = (), cache: Path | None = None) -> None:
    """TargetError where something lies there, unless `force` may replace it: a bundle that nothing here depends on.

    used: what this export reads. cache: where it keeps downloads, which a bundle may lie in.
    """
    if not os.path.lexists(target):
        return
    if why := why_not_replaced(target, used, cache):
        raise TargetError(f"{target} {why}; --force replaces a bundle and nothing else: name another place with -o")
    if not force:
        raise TargetError(f"{target} exists; pass --force to replace it")
    if why := why_stuck(target):
        raise TargetError(f"{target} cannot be replaced: {why}")


def why_not_replaced(target: Path, used: Sequence[Path], cache: Path | None) -> str:
    """What speaks against replacing what lies there; empty where nothing does."""
    for path, what in ((Path(), "the folder you are in"), (_home(), "your home folder"), (cache, "the cache")):
        if path is not None and lies_in(path, target):
            return f"is or holds {what}"
    for path in used:
        if lies_in(path, target):
            return f"is or holds {path}, which this export reads"
        if path.is_dir() and lies_in(target, path):
            return f"is in {path}, which this export reads"
    if is_mount(target):
        return "is where a disk is mounted"
    return why_no_bundle(target)


def _home() -> Path | None:
    """Ours, if we have one."""
    with suppress(RuntimeError):
        return Path.home()
    return None


def why_no_bundle(folder: Path) -> str:
    """What makes a place something else than a bundle as an export leaves it; empty where it is one.

    Its manifest is one of ours, and there is nothing that it does not name; that files are missing or damaged is no
    reason to keep them.
    """
    if not stat.S_ISDIR(folder.lstat().st_mode):
        return "is no folder"
    try:
        manifest = read_manifest(folder)
        strange = next(strangers(folder, manifest), None)
    except BundleError:
        return NO_BUNDLE
    except OSError as error:
        return f"cannot be looked through ({error.strerror})"
    return f"holds {strange}, which its manifest does not name" if strange else ""


def strangers(folder: Path, manifest: Manifest) -> Iterator[str]:
    """What lies in a bundle's folder and is none of its files; a link is none, whatever it leads to. Raises OSError."""
    files = {*manifest.files, MANIFEST}
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    for place, inner, names in os.walk(folder, onerror=_raise):
        for name in (*inner, *names):
            path = Path(place) / name
            own, mode = path.relative_to(folder).as_posix(), path.lstat().st_mode
            is_ours = own in files if stat.S_ISREG(mode) else stat.S_ISDIR(mode) and own in folders
            if not is_ours or is_mount(path):
                yield own


def _raise(error: OSError) -> None:
    raise error


def why_stuck(bundle: Path) -> str:
    """What would keep us from putting another in a bundle's place, known before the hours that one takes."""
    for place, _, _ in os.walk(bundle):
        if not os.access(place, os.W_OK | os.X_OK):
            return f"{place} is not ours to write"
    above, own = bundle.parent.stat(), bundle.stat()
    if above.st_mode & stat.S_ISVTX and os.geteuid() not in (0, own.st_uid, above.st_uid):
        return f"in {bundle.parent} only its owner may move it"
    return ""


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies in it, by whatever names; both must exist."""
    try:
        wanted = folder.stat()
        real = Path(os.path.realpath(path))
        return any(os.path.samestat(each.stat(), wanted) for each in (real, *real.parents))
    except OSError:
        return False


def is_mount(path: Path) -> bool:
    """Whether something is mounted there, from the same file system (a bind mount), too."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return path.is_mount()
    real = os.path.realpath(path)
    return any(_unescaped(line.split(" ")[4]) == real for line in lines) or path.is_mount()


def _unescaped(place: str) -> str:
    """A path as it is, from how the kernel writes it: with a blank in octal digits."""
    for code in (" ", "\t", "\n", "\\"):
        place = place.replace(f"\\{ord(code):03o}", code)
    return place
