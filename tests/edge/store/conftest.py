"""A repository with one bundle, and a board that trusts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge.store.boards import Board
from tests.edge.store.publishing import Published, make_bundle


@pytest.fixture
def published(tmp_path: Path) -> Published:
    """A repository with one bundle, version 1, in stable."""
    repository = Published(tmp_path / "repository")
    repository.add(make_bundle(tmp_path / "made/1"), "1")
    return repository


@pytest.fixture
def board(tmp_path: Path, published: Published) -> Board:
    """A board that trusts it."""
    return Board(tmp_path / "board", published.folder, published.trusted)
