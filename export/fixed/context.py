"""A bundle's pair of graphs compiled ahead for one system on a chip: what its NPU loads, with the weights in it.

Both hold them, so that they are there twice. QNN can share them between two graphs, but its emulator does not load what
is made so, and what nothing here has loaded is not shipped (decision 85).
"""

from __future__ import annotations

from pathlib import Path

from edge.bundle import SLICE_GRAPH, TOKEN_GRAPH
from edge.engine.providers import row_of
from edge.engine.static.sessions import Sessions
from export import pack
from export.errors import UnsupportedError
from export.fixed.checks import SOCS
from export.plan import Plan
from export.progress import Report


def compile_pair(folder: Path, plan: Plan, report: Report) -> None:
    """Put what is made of a bundle's graphs in their place, and take away the weights that are in it now.

    UnsupportedError where the provider does not take all of them.
    """
    row, soc = row_of(plan.recipe.provider), plan.recipe.soc
    sessions = Sessions(row, 0, {"soc_model": str(SOCS.get(soc, soc))})
    made = folder / "compiled"
    made.mkdir()
    for number, name in enumerate((SLICE_GRAPH, TOKEN_GRAPH)):
        report("compile", number, 2, name)
        try:
            sessions.opened(folder / name, made / name)
        except Exception as error:  # a tree of its own that has no common root
            raise UnsupportedError(f"{row.name} does not compile {name} for {soc}: {error}") from error
        (folder / name).unlink()
    report("compile", 2, 2, "")
    (folder / pack.WEIGHTS).unlink()
    for each in made.iterdir():
        each.rename(folder / each.name)
    made.rmdir()
