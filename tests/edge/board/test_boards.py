"""Whole boards: each tree of tests/boards gives exactly what its folder says, and all of it is as the wire has it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis.strategies import binary, data, dictionaries, from_regex, sampled_from

from edge.board.sensors import read_all
from edge.wire.telemetry import Telemetry
from tests import boards

each_board = pytest.mark.parametrize("name", boards.NAMES)


@each_board
def test_a_board_gives_what_its_folder_says(name, tmp_path):
    """To the last digit and the last reason."""
    assert boards.body(name, tmp_path) == boards.expected(name)


@each_board
def test_a_reading_is_as_the_wire_has_it(name, tmp_path):
    """No field but those of the schema, with its types and ranges."""
    for key, value in boards.body(name, tmp_path).items():
        Telemetry.__pydantic_validator__.validate_assignment(Telemetry.model_construct(), key, value)


@each_board
def test_a_board_says_where_its_values_are_from(name):
    """Its page tells captures from what was built of documentation."""
    text = (boards.HERE / name / "README.md").read_text()
    assert "capture" in text


def test_the_hostile_board_counts_what_was_counted_by_hand():
    """Each of its troubles, and none twice."""
    assert sum(boards.expected("hostile")["errors"].values()) == boards.HOSTILE_ERRORS


ODD = binary(max_size=40) | from_regex(r"\A-?[0-9]{1,22}( -?[0-9]{1,12}){0,9}\n?\Z").map(str.encode)
"""What a driver might say in the place of what it should."""


@pytest.fixture(scope="module", params=boards.NAMES)
def board(request, tmp_path_factory):
    """A board's name, and its tree, which many examples look at."""
    return request.param, boards.plant(request.param, tmp_path_factory.mktemp(request.param))


@settings(max_examples=40)
@given(data=data())
def test_whatever_a_file_holds_the_rest_is_told(board, data):
    """Odd bytes in the place of any files: nothing that the wire does not have, and no source loses its reading."""
    name, planted = board
    odd = data.draw(dictionaries(sampled_from(sorted(boards.files_of(name))), ODD, min_size=1, max_size=6))
    changed = {planted.root / path: text for path, text in odd.items()}

    def read(path):
        return changed[path] if path in changed else planted.read(path)

    found = read_all(boards.sources(planted), planted.root, read).body()
    for key, value in found.items():
        Telemetry.__pydantic_validator__.validate_assignment(Telemetry.model_construct(), key, value)
    assert [why for source, why in found["failed"].items() if why.startswith(f"{source}: ")] == []
