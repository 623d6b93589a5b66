"""Published signatures come out as they should; `OMS_VECTORS` says where they are (`tests/edge/store/vectors.py`)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.edge.store.vectors import vectors

CHECKOUTS = os.environ.get("OMS_VECTORS")


@pytest.mark.skipif(CHECKOUTS is None, reason="OMS_VECTORS names no checkouts of the published signatures")
def test_published_signatures(tmp_path):
    """The specification's vectors, and every version's signatures that the reference implementation keeps."""
    found = list(vectors(Path(CHECKOUTS), tmp_path))
    assert len(found) >= 21
    assert {vector.name: wrong for vector in found if (wrong := vector.wrong()) is not None} == {}
