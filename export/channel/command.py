"""The words of `edge-channel`, and what each does."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from edge.bundle import open_bundle, read_manifest
from edge.errors import ConfigError
from edge.store.index import NEWEST, Index
from edge.wire.topics import LEVEL
from export.channel import checking
from export.channel.chunks import lay
from export.channel.keys import Keys
from export.channel.repository import Repository, made, opened
from export.channel.roles import CHANNELS, ONLINE, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, key_of

DESCRIPTION = """\
A signed repository of bundles: a plain folder that any web server, a NAS or a USB stick brings to boards.

  edge-channel init /srv/repository --keys ~/keys
  edge-channel add /srv/repository bundle/ --keys ~/keys
  edge bundle install NAME                            (on a board)
"""
SOON_DAYS = 14
"""Before its end a role is pointed at."""
USED_DAYS = 14
"""So long what nothing names any more is kept: a board may be in the middle of fetching it."""


def run(arguments: list[str] | None = None) -> int:
    """Run a command; its exit status. Raises EdgeError."""
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.work
    return work(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-channel",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    command = _command(words, _init, "make a repository with new keys")
    _with_keys(command)
    command.add_argument("--channel", action="append", help="a channel; may be given again (default: stable, canary)")
    command = _command(words, _add, "publish a bundle as the newest of a channel")
    _with_keys(command)
    command.add_argument("bundle", type=Path, help="folder of the bundle, signed before where boards want that")
    command.add_argument("--channel", default="stable", help="where to (default: stable)")
    command.add_argument("--version", help="what it is called (default: the manifest's version)")
    command = _command(words, _promote, "publish a bundle of one channel in another, too")
    _with_keys(command)
    _with_bundle(command)
    command.add_argument("--from", dest="source", default="canary", help="where it is (default: canary)")
    command.add_argument("--to", dest="channel", default="stable", help="where to (default: stable)")
    command = _command(
        words, _withdraw, "take a bundle back; boards that have it keep it until they are told otherwise"
    )
    _with_keys(command)
    _with_bundle(command)
    command.add_argument("--channel", default="stable", help="where from (default: stable)")
    command = _command(
        words, _refresh, "sign anew before it expires: each night, by cron, what says which is the newest"
    )
    _with_keys(command)
    command.add_argument("--role", action="append", default=[], help="another role, too: root, targets, or a channel")
    command = _command(words, _rotate, "another key for a role; boards follow by themselves")
    _with_keys(command)
    command.add_argument("key", help="root, targets, online, or a channel")
    command = _command(words, _verify, "look at everything as a board would")
    command.add_argument("--root", type=Path, help="the root that boards have (default: the repository's first)")
    _command(words, _list, "print what is published, and when what expires")
    command = _command(words, _gc, f"remove what no channel names any more and is older than {USED_DAYS} days")
    command.add_argument("--days", type=float, default=USED_DAYS, help="how old instead")
    _sign_words(words)
    return parser


def _command(words: argparse._SubParsersAction, work: Callable[..., int], text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]  # argparse's own name is generic in its stubs alone
    command: argparse.ArgumentParser = words.add_parser(
        work.__name__[1:], help=text, description=text, allow_abbrev=False
    )
    command.add_argument("repository", type=Path, help="its folder")
    command.set_defaults(work=work)
    return command


def _with_keys(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keys",
        type=Path,
        action="append",
        required=True,
        help="folder of the keys; may be given again, for keys on a stick (new ones go into the first)",
    )
    command.add_argument("--passphrase-file", type=Path, help="what opens the keys (default: it is asked for)")
    command.add_argument("--days", type=_days, help="until what is signed now expires, instead of the usual")


def _with_bundle(command: argparse.ArgumentParser) -> None:
    command.add_argument("name", help="the bundle's")
    command.add_argument("version")


def _sign_words(words: argparse._SubParsersAction) -> None:  # type: ignore[type-arg]  # as above
    text = "sign a bundle's files (OpenSSF Model Signing), before it is added"
    command: argparse.ArgumentParser = words.add_parser("sign", help=text, description=text, allow_abbrev=False)
    command.add_argument("bundle", type=Path, help="its folder")
    command.add_argument("--key", type=Path, required=True, help="private key, PEM: P-256, P-384 or P-521")
    command.add_argument("--certificate", type=Path, help="certificate of that key, where boards trust an authority")
    command.add_argument(
        "--chain", type=Path, action="append", default=[], help="certificates above it; may be repeated"
    )
    command.set_defaults(work=_sign)


# --- the commands ---


def _init(options: argparse.Namespace) -> int:
    channels = list(dict.fromkeys(options.channel or CHANNELS))
    for name in channels:
        if not re.fullmatch(LEVEL, name) or name in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP, ONLINE):
            raise ConfigError(f"a channel cannot be called {name!r}")
    root = made(options.repository, _keys(options, is_new=True), channels, options.days)
    print(f"{options.repository} is a repository with the channels {', '.join(channels)}.")
    print(f"Boards are given {root} as store.root (/etc/edge-slm/root.json).")
    print("Put root.pem and targets.pem away, onto a stick in a drawer: they are needed for new keys alone.")
    print(f"Have `edge-channel refresh {options.repository}` run each night: boards refuse what nobody signs anew.")
    return 0


def _add(options: argparse.Namespace) -> int:
    manifest = read_manifest(options.bundle)
    version = options.version or manifest.version
    _refuse_version(version)
    bundle = open_bundle(options.bundle, manifest.provider)
    keys = _keys(options)
    with opened(options.repository) as repository:
        repository.channel(options.channel)
        signer = keys.signer(options.channel)  # before the work, so that a forgotten key costs none
        total = sum(entry.size_bytes for entry in manifest.files.values())
        with _bar("chunks", total) as bar:
            index = lay(bundle, version, options.repository, bar.update)
        is_newest = repository.put(options.channel, index, signer)
        repository.publish(keys, options.days)
    print(f"{_placed(index, options.channel, is_newest)}: {index.size_bytes / 1e6:.1f} MB.")
    return 0


def _refuse_version(version: str) -> None:
    if version == NEWEST or not re.fullmatch(LEVEL, version):
        raise ConfigError(f"a version cannot be called {version!r}; name another with --version, such as 6 or 1.2.0")


def _promote(options: argparse.Namespace) -> int:
    keys = _keys(options)
    with opened(options.repository) as repository:
        index = repository.find(options.source, options.name, options.version)
        is_newest = repository.put(options.channel, index, keys.signer(options.channel))
        repository.publish(keys, options.days)
    print(f"{_placed(index, options.channel, is_newest)}, too.")
    return 0


def _withdraw(options: argparse.Namespace) -> int:
    keys = _keys(options)
    with opened(options.repository) as repository:
        signer = keys.signer(options.channel)
        newest = repository.withdraw(options.channel, options.name, options.version, signer)
        repository.publish(keys, options.days)
    left = f"the newest is version {newest} now" if newest else "the channel has no other"
    print(f"{options.name}, version {options.version}, is in {options.channel} no more; {left}.")
    print("Boards that run it go on until they are told which other one to run.")
    return 0


def _refresh(options: argparse.Namespace) -> int:
    keys = _keys(options)
    with opened(options.repository) as repository:
        for role in options.role:
            if role not in (ROOT, TARGETS, *repository.channels):
                raise ConfigError(
                    f"there is no role {role!r}; there are root, targets, {', '.join(repository.channels)}"
                )
            repository.renew(role, keys.signer(key_of(role)))
        repository.publish(keys, options.days)
        print("signed anew: " + _ends(repository))
        return 0


def _rotate(options: argparse.Namespace) -> int:
    keys, name, new = _keys(options), options.key, f"{options.key}.new"
    with opened(options.repository) as repository:
        if name not in (ROOT, TARGETS, ONLINE, *repository.channels):
            raise ConfigError(f"there is no key {name!r}; there are root, targets, online, and one for each channel")
        if keys.has(new) and not repository.knows(name, keys.signer(new)):  # of a rotation that was broken off
            keys.drop(new)
        if not keys.has(new):
            repository.exchange(name, keys.signer(name), keys.make(new, beside=name))
            repository.publish(keys, options.days)
        keys.settle(name)
    print(f"{name} has a new key. The old one, {name}.old.pem, is worth nothing to boards that have seen this.")
    return 0


def _verify(options: argparse.Namespace) -> int:
    trusted = options.root or options.repository / "metadata" / "1.root.json"
    with opened(options.repository) as repository:
        indices, found = checking.metadata(repository, trusted)
        distinct = {index.digest: index for index in indices}.values()
        with _bar("verify", sum(index.size_bytes for index in distinct)) as bar:
            found += checking.chunks(repository, indices, bar.update)
        for line in found:
            print(line)
        if not found:
            print("A board would take everything. " + _ends(repository))
    return 1 if found else 0


def _list(options: argparse.Namespace) -> int:
    with opened(options.repository) as repository:
        for channel in repository.channels:
            print(f"{channel}:")
            newest = {index.name: index.version for _, index in repository.versions(channel)}
            for _, index in repository.versions(channel):
                mark = "newest" if newest[index.name] == index.version else ""
                print(f"  {_called(index):40} {index.digest[:12]} {index.size_bytes / 1e6:10.1f} MB  {mark}".rstrip())
        print(_ends(repository))
    return 0


def _gc(options: argparse.Namespace) -> int:
    with opened(options.repository) as repository:
        before = time.time() - options.days * 86400
        old = [file for file in checking.unused(repository) if file.stat().st_mtime < before]
        total = sum(file.stat().st_size for file in old)
        for file in old:
            file.unlink()
    print(f"{len(old)} files removed, {total / 1e6:.1f} MB.")
    return 0


def _sign(options: argparse.Namespace) -> int:
    from export.channel.signing import sign  # the reference implementation takes a second to be imported

    print(f"{sign(options.bundle, options.key, options.certificate, options.chain)} says who made the bundle.")
    return 0


# --- words ---


def _keys(options: argparse.Namespace, is_new: bool = False) -> Keys:
    given: bytes | None = None
    if options.passphrase_file:
        try:
            given = options.passphrase_file.read_bytes().strip()
        except OSError as error:
            raise ConfigError(f"{options.passphrase_file} cannot be read ({error.strerror})") from error
    asked: dict[bool, bytes] = {}

    def passphrase(file: Path) -> bytes:
        if given is not None:
            return given
        is_made = not file.exists()
        if is_made not in asked or not (is_new or is_made):
            asked[is_made] = _asked(file, is_made)
        return asked[is_made]

    return Keys(options.keys, passphrase)


def _asked(file: Path, is_made: bool) -> bytes:
    """From a terminal, a new one twice; ConfigError where there is none."""
    if not sys.stdin.isatty():
        raise ConfigError(f"{file} wants a passphrase: name a file that has it with --passphrase-file")
    if not is_made:
        return getpass.getpass(f"Passphrase of {file}: ").encode()
    first = getpass.getpass("Passphrase for the new keys (none for keys that anyone with the file can use): ")
    if first != getpass.getpass("The same once more: "):
        raise ConfigError("the two are not the same; nothing was made")
    return first.encode()


def _days(word: str) -> int:
    """A whole number of days; a century is longer than any board lasts, and dates end somewhere."""
    days = int(word)
    if abs(days) > 36_525:
        raise argparse.ArgumentTypeError(f"{word} days are more than 36525")
    return days


def _bar(what: str, total: int) -> tqdm[None]:
    return tqdm(total=total, desc=what, unit="B", unit_scale=True, delay=2, leave=False)


def _placed(index: Index, channel: str, is_newest: bool) -> str:
    text = f"is the newest {index.name} of" if is_newest else "was there already, behind a newer one, in"
    return f"{_called(index)} {text} {channel}"


def _called(index: Index) -> str:
    return f"{index.name} {index.version}"


def _ends(repository: Repository) -> str:
    """When what expires, soonest first, and what is due."""
    now = datetime.now(UTC)
    ends = sorted((signed.expires.replace(tzinfo=UTC), role) for role, signed in repository.expires())
    text = ", ".join(f"{role} expires on {when:%Y-%m-%d}" for when, role in ends)
    due = [role for when, role in ends if (when - now).days < SOON_DAYS]
    return f"{text}. Sign anew soon: {', '.join(due)}." if due else f"{text}."
