"""The shape of the code, the length of the front door, and whether the pages hold, by the tests' own reckoning."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.figure import Figure
from tests.test_architecture import drawn, file_lengths, floors, function_lengths

ROOT = Path(__file__).resolve().parent.parent


def measure(_bundle: Path) -> list[Figure]:
    """Rooms and floors as drawn from imports, lengths, pages."""
    rooms, functions = drawn(), function_lengths()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").count("\n")
    docs = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests/test_docs.py"], cwd=ROOT, check=False)
    return [
        Figure("house_rooms", len(rooms), "rooms", "<=", 15),
        Figure("house_floors", floors(rooms), "floors", "<=", 8),
        Figure("function_lines_median", functions[len(functions) // 2], "lines", "<=", 6),
        Figure("function_lines_p90", functions[int(len(functions) * 0.9)], "lines", "<=", 16),
        Figure("function_lines_most", functions[-1], "lines", "<=", 50),
        Figure("file_lines_most", file_lengths()[-1], "lines", "<=", 350),
        Figure("readme_lines", readme, "lines", "<=", 120),
        Figure("docs_check_exit_status", docs.returncode, "", "==", 0),
    ]
