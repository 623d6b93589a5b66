"""A bundle for a budget: each kind of matrix gets the bits that lose least in the bytes there are.

Start reading in `fitting.py`, which is the whole of it: measure, choose, tell.

    fitting.py    a plan's recipe with the formats that fit its budget
    groups.py     what is decided on together, and what it may be stored in
    looking.py    a layer's matrices, with what they read in the source
    forwards.py   the source with one group rounded, all of them side by side
    measuring.py  what each group loses alone, and its error in other formats
    choosing.py   the bytes where they save most; loss by size
    telling.py    the choice as a page and a chart
    boards.py     boards by name, and what their memory leaves to weights
    asking.py     `--size`, `--bits` and `--fit` of the command line
"""

from __future__ import annotations

from export.budget.asking import add_budget, budgeted
from export.budget.fitting import within_budget

__all__ = ["add_budget", "budgeted", "within_budget"]
