"""The governor: what the engine may take of the board, so that it does not get too hot, too short of memory or flat.

Readings come in with their time, about once a second; a decision goes out. It reads no clock and no file, and holds no
thread: the same inputs give the same decisions. Start reading in `governor.py`.

    decision.py  what comes in, what goes out
    governor.py  all of it together, a step at a time
    presets.py   what is known of boards: how fast they heat up, what they may have
    levers.py    the ladder: clocks, then threads, then pauses, the cheapest first
    forecast.py  the temperature in a while, at any rung of the ladder
    heat.py      which rung the heat allows: down at once, up slowly
    power.py     which rung the supply and the battery allow
    memory.py    what a shortage of memory asks for
    policy.py    what the operator may set
"""

from edge.governor.decision import Decision, Inputs
from edge.governor.governor import Governor
from edge.governor.levers import Levers, ThreadCount
from edge.governor.policy import Policy
from edge.governor.presets import PRESETS, Preset, preset_for

__all__ = ["PRESETS", "Decision", "Governor", "Inputs", "Levers", "Policy", "Preset", "ThreadCount", "preset_for"]
