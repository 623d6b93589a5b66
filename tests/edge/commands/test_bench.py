"""`edge bench` of a board elsewhere: it begins with one that loads its model for the first who asks."""

from __future__ import annotations

import json

from tests.conftest import embedded_broker
from tests.edge.commands.program import Board, ended, started
from tests.edge.commands.readings import INFO


def test_an_unloaded_board_is_measured(tmp_path):
    """It is woken by a request that counts for nothing, and then measured."""
    with embedded_broker(tmp_path) as port, Board(port) as board:
        board.info(**INFO, queue_per_client=8)
        board.state("unloaded")
        measuring = started(board.env, "bench", "--rounds=1", "--clients", "1", "--tokens=4", "--json")
        wakes = board.asked()
        assert wakes["max_tokens"] == 1
        board.ends("word")
        board.state("online")
        assert board.asked()["max_tokens"] == 4
        board.ends("word " * 4, usage={"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 0})
        status, out, said = ended(measuring)
        assert (status, set(json.loads(out)["rates"])) == (0, {"mqtt_1"}), said
