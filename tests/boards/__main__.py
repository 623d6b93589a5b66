"""`python -m tests.boards [NAME…]`: write what is read of a board now into its expected.json."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests import boards


def main(names: list[str]) -> None:
    """All boards where none is named."""
    for name in names or boards.NAMES:
        with tempfile.TemporaryDirectory() as folder:
            text = json.dumps(boards.body(name, Path(folder)), indent=1, ensure_ascii=False)
        (boards.HERE / name / "expected.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
