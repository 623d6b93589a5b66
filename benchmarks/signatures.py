"""Who signed a bundle's files: every kind of signature, models altered at random, and what others publish."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from edge.errors import BundleError
from edge.store.signature import verify_folder
from tests.edge.store.alterations import Alterations, differs
from tests.edge.store.signed import Workshop
from tests.edge.store.signed_cases import BAD, GOOD, made_in
from tests.edge.store.vectors import vectors

ALTERATIONS, SEED = 5000, 24
VECTORS = 21
"""The specification's eight, and thirteen of the reference implementation's."""


def measure(_bundle: Path) -> list[Figure]:
    """Kinds that come out as they should, and altered models that a board takes and the reference does not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shop = Workshop(folder / "shop")
        accepted = sum(is_accepted(shop, folder / f"good-{number}", kind) for number, kind in enumerate(GOOD))
        refused = sum(is_refused(shop, folder / f"bad-{number}", kind) for number, kind in enumerate(BAD))
        alone = accepted_alone(shop, folder / "altered")
    return [
        Figure("signatures_accepted_kinds", accepted, f"of {len(GOOD)}", "==", len(GOOD)),
        Figure("signatures_refused_kinds", refused, f"of {len(BAD)}", "==", len(BAD)),
        Figure("signatures_accepted_alone", alone, f"of {ALTERATIONS}", "==", 0),
    ]


def measure_vectors(_bundle: Path) -> list[Figure]:
    """Published signatures that come out as they should."""
    if (checkouts := os.environ.get("OMS_VECTORS")) is None:
        raise RuntimeError("OMS_VECTORS names no folder with the published signatures (tests/edge/store/vectors.py)")
    right = 0
    with tempfile.TemporaryDirectory() as name:
        for vector in vectors(Path(checkouts), Path(name)):
            wrong = vector.wrong()
            print(f"{vector.name}: {wrong or 'as it should'}", file=sys.stderr, flush=True)
            right += wrong is None
    return [Figure("signatures_published", right, f"of {VECTORS}", "==", VECTORS)]


def is_accepted(shop: Workshop, folder: Path, kind: str) -> bool:
    """Whether a kind of good signature is one to a board."""
    case = made_in(shop, folder)
    GOOD[kind](case)
    try:
        verify_folder(case.model, case.signers)
    except BundleError as error:
        print(f"{kind}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def is_refused(shop: Workshop, folder: Path, kind: str) -> bool:
    """Whether a kind of bad signature is refused by its reason."""
    case, (do, says) = made_in(shop, folder), BAD[kind]
    do(case)
    try:
        who = verify_folder(case.model, case.signers)
    except BundleError as error:
        print(f"{kind}: {error}", file=sys.stderr, flush=True)
        return re.search(says, str(error)) is not None
    print(f"{kind}: accepted, {who}", file=sys.stderr, flush=True)
    return False


def accepted_alone(shop: Workshop, folder: Path) -> int:
    """Altered models that a board accepts and the reference implementation refuses."""
    alterations, alone, accepted = Alterations(folder, shop, SEED), 0, 0
    for _ in range(ALTERATIONS):
        done, case = alterations.next()
        is_accepted, against = differs(case)
        accepted += is_accepted
        if against is not None:
            print(f"{done}: {against}", file=sys.stderr, flush=True)
            alone += 1
    print(f"{accepted} of {ALTERATIONS} altered models are accepted", file=sys.stderr, flush=True)
    return alone
