"""What the door is tried with: without a daemon, with a scripted one, with a real model; once a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from edge.testing.inside import MemoryInside
from tests.conftest import free_port, serving, wait_until
from tests.edge.doors.http import doors
from tests.edge.doors.http.bodies import ABOUT


@pytest.fixture(scope="module")
def door() -> Iterator[tuple[str, MemoryInside]]:
    """Open to the test."""
    inside = MemoryInside()
    inside.about = dict(ABOUT)
    with doors.door(inside) as place:
        yield place, inside


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon with a scripted engine."""
    with doors.board(tmp_path_factory.mktemp("board"), pieces=2) as made:
        yield made.address


@pytest.fixture(scope="module")
def model(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A daemon with a real model."""
    place = f"127.0.0.1:{free_port()}"
    with serving(bundle, 1, tmp_path_factory.mktemp("model"), EDGE_HTTP__ADDRESS=place):
        wait_until(lambda: doors.is_there(f"http://{place}") and httpx.get(f"http://{place}/health").status_code == 200)
        yield f"http://{place}"
