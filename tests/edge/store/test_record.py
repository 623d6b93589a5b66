"""What a store knows of its bundles: each change from one state to the next, and what must stay on the disk."""

from __future__ import annotations

import pytest

from edge.store.record import FAILURES_MAX, Failure, Record, Trial

A, B, C = (letter * 64 for letter in "abc")


def test_installed_tried_kept():
    """The states of a good bundle; what was in use is remembered, the operator's own as None."""
    record = Record().to_be_tried(A)
    assert (record.verified, record.digests) == (A, {A})
    record = record.trying(A)
    assert record == Record(tried=Trial(digest=A))
    record = record.kept_now(1)
    assert record == Record(kept=A, previous=[None])
    record = record.to_be_tried(B).trying(B).kept_now(1)
    assert record == Record(kept=B, previous=[A])
    assert record.digests == {A, B}


def test_installing_during_a_trial():
    """The trial goes on; what was installed meanwhile waits for its own."""
    record = Record().trying(A).to_be_tried(B)
    assert record.tried == Trial(digest=A)
    record = record.kept_now(1)
    assert (record.kept, record.verified) == (A, B)


def test_what_is_in_use_is_not_to_be_tried():
    """Installing it again changes nothing."""
    record = Record(kept=A)
    assert record.to_be_tried(A) == record


def test_kept_again():
    """What was before is in use at once, and what was in use is what was before; neither counts as failed."""
    record = Record(kept=B, previous=[A, None]).to_be_tried(A).kept_again(A, 2)
    assert record == Record(kept=A, previous=[B, None])
    assert record.kept_again(None, 1) == Record(kept=None, previous=[A])


def test_a_trial_that_begins_again():
    """Is counted, so that a bundle which takes the board down is not tried for ever."""
    assert Record().trying(A).trying(A).tried == Trial(digest=A, attempts=2)
    assert Record().trying(A).trying(B).tried == Trial(digest=B)


def test_rolled_back():
    """What was kept is still in use; why the other failed is known, once, and until it is kept after all."""
    record = Record(kept=A).trying(B).rolled_back("slow", 1.0)
    assert (record.kept, record.tried, record.why_not(B)) == (A, None, "slow")
    assert B not in record.digests
    record = record.trying(B).rolled_back("slower", 2.0)
    assert record.failed == [Failure(digest=B, reason="slower", time=2.0)]
    assert record.trying(B).kept_now(1).failed == []


def test_failures_are_bounded():
    """The latest ones are remembered."""
    record = Record()
    for number in range(FAILURES_MAX + 5):
        record = record.trying(f"{number:064x}").rolled_back("bad", float(number))
    assert len(record.failed) == FAILURES_MAX
    assert record.failed[0].digest == f"{FAILURES_MAX + 4:064x}"


def test_gone_back():
    """To what was in use before, which is not remembered any more as such; the other counts as failed."""
    record = Record(kept=B, previous=[A, None]).gone_back(3.0)
    assert (record.kept, record.previous) == (A, [None])
    assert record.why_not(B) is not None
    record = record.gone_back(4.0)
    assert (record.kept, record.previous) == (None, [])
    with pytest.raises(ValueError, match="nothing was in use before"):
        record.gone_back(5.0)


def test_going_back_during_a_trial():
    """Gives up the trial; what is kept stays in use."""
    record = Record(kept=A, previous=[None]).trying(B).gone_back(1.0)
    assert (record.kept, record.previous, record.tried) == (A, [None], None)
    assert record.why_not(B) is not None


def test_going_back_from_the_operators_own():
    """It has no digest, and cannot fail."""
    assert Record(previous=[A], verified=B).gone_back(1.0) == Record(kept=A)


def test_without():
    """A bundle that is deleted is not gone back to, and not tried."""
    record = Record(kept=A, previous=[B], verified=C)
    assert record.without(B).without(C) == Record(kept=A)
