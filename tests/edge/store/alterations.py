"""Signed models, altered at random: whatever a board accepts of them, the reference implementation must accept, too."""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edge.errors import BundleError
from edge.store.signature import verify_folder
from tests.edge.store import signed
from tests.edge.store.signed_cases import GOOD, LETTER, Case, made_in

ODD = [None, "", 0, -1, 1.5, True, False, [], {}, "x", "../x", "/x", ".", "a" * 300, 10**30, [[]], {"a": {}}]
BASES = [kind for kind in GOOD if kind != LETTER]


class Alterations:
    """One altered model after the other. seed: of what is done to which."""

    def __init__(self, folder: Path, shop: signed.Workshop, seed: int) -> None:
        self.folder, self.shop, self.chance = folder, shop, random.Random(seed)
        self.bases: dict[str, Case] = {}

    def next(self) -> tuple[str, Case]:
        """What was done, and the model."""
        kind, do = self.chance.choice(BASES), self.chance.choice(WAYS)
        if kind not in self.bases:
            self.bases[kind] = made_in(self.shop, self.folder / f"base-{len(self.bases)}")
            GOOD[kind](self.bases[kind])
        base = self.bases[kind]
        model = self.folder / "altered"
        shutil.rmtree(model, ignore_errors=True)
        shutil.copytree(base.model, model, symlinks=True)
        case = Case(base.shop, model, base.signers)
        return f"{kind}: {do.__name__} {do(case, self.chance)}", case


def differs(case: Case) -> tuple[bool, str | None]:
    """Whether a board accepts it, and what the reference has against it then.

    A log's word is no part of a signature with a key: a board does not look at it, the reference wants it well formed.
    """
    try:
        verify_folder(case.model, case.signers)
    except BundleError:
        return False, None
    made = case.read()
    made["verificationMaterial"].update(tlogEntries=[], timestampVerificationData=None)
    case.write(made)
    return True, signed.reference(case.model, case.signature, case.signers)


def byte_of_signature(case: Case, chance: random.Random) -> str:
    """A byte of the signature file is another."""
    return byte(case.signature, chance)


def byte_of_file(case: Case, chance: random.Random) -> str:
    """A byte of a model's file is another."""
    return byte(some_file(case, chance), chance)


def byte(file: Path, chance: random.Random) -> str:
    """One byte of a file."""
    data = bytearray(file.read_bytes())
    place = chance.randrange(len(data))
    data[place] = chance.randrange(256)
    file.write_bytes(data)
    return f"{file.name} at {place}"


def node_of_signature(case: Case, chance: random.Random) -> str:
    """A value of the signature file is gone, or another."""
    made = case.read()
    done = node(made, chance)
    case.write(made)
    return done


def node_of_statement(case: Case, chance: random.Random) -> str:
    """A value of what is signed is gone, or another; somebody with the right key signs that."""
    made = case.read()
    told = json.loads(base64.b64decode(made["dsseEnvelope"]["payload"]))
    done = node(told, chance)
    if chance.random() < 0.5:
        signed_again(told)
    case.write(signed.forge(told, case.shop.keys["p256"]))
    return done


def signed_again(told: Any) -> None:
    """With the root digest that belongs to it, where there still is one."""
    try:
        signed.summed(told)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return


def node(made: Any, chance: random.Random) -> str:
    """Somewhere in a JSON value; where, and what is there now."""
    places = list(walk(made))
    within, key = chance.choice(places)
    how = chance.choice(["gone", "odd", "other", "twice"])
    if how == "gone":
        del within[key]
    elif how == "odd":
        within[key] = chance.choice(ODD)
    elif how == "other":
        other, its = chance.choice(places)
        within[key] = json.loads(json.dumps(other[its]))
    elif isinstance(within, list):
        within.append(within[key])
    else:
        within[f"{key}_"] = within[key]
    return f"{key}: {how}"


def walk(made: Any) -> Any:
    """Every place of a JSON value, but for what it lies in."""
    keys = made.keys() if isinstance(made, dict) else range(len(made)) if isinstance(made, list) else ()
    for key in keys:
        yield made, key
        yield from walk(made[key])


def files(case: Case, chance: random.Random) -> str:
    """A file is gone, shorter, longer, elsewhere, twice, or a link."""
    file = some_file(case, chance)
    how = chance.choice(["gone", "shorter", "longer", "moved", "more", "link", "empty"])
    data = file.read_bytes()
    other = file.parent / chance.choice(["more", ".git", "more.json", "a:0:1"])
    if how in ("gone", "moved", "link"):
        file.unlink()
    if how in ("moved", "more"):
        other.write_bytes(data)
    if how == "link":
        file.symlink_to(chance.choice(["model.sig", "/etc/hostname", "nowhere", "..", "model.onnx"]))
    if how in ("shorter", "longer", "empty"):
        file.write_bytes({"shorter": data[:-1], "longer": data + b"x", "empty": b""}[how])
    return f"{file.name}: {how} {other.name}"


def nothing(case: Case, chance: random.Random) -> str:
    """As it was: so that not all are refused."""
    return ""


def some_file(case: Case, chance: random.Random) -> Path:
    """One of the model's."""
    return chance.choice(
        sorted(
            path
            for path in case.model.rglob("*")
            if path.is_file() and path != case.signature and not path.is_symlink()
        )
    )


WAYS: list[Callable[[Case, random.Random], str]] = [
    byte_of_signature,
    byte_of_file,
    node_of_signature,
    node_of_signature,
    node_of_statement,
    node_of_statement,
    files,
    nothing,
]
