"""What a board refuses, by the program that it runs: the reason is told, and the store is as it was."""

from __future__ import annotations

import re

import pytest

from tests.edge.store.harms import HARMS, MORE_HARMS, refused


@pytest.mark.parametrize("kind", [*HARMS, *MORE_HARMS])
def test_a_bad_bundle_is_refused(kind, tmp_path):
    """With the reason in words, an exit status that says whether it may pass, and nothing left behind."""
    harm = {**HARMS, **MORE_HARMS}[kind]
    told, before, after = refused(harm, tmp_path, is_here=kind in MORE_HARMS)
    assert told.last["state"] == "refused"
    assert re.search(harm.says, told.last["reason"])
    assert (told.status, told.last["passes"]) == (harm.status, harm.status == 75)
    assert told.errors == ""
    assert after == before
