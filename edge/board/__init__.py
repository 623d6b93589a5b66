"""The board: what it is, how it fares, and what it gives and takes.

A reader gets a root folder that a test can replace, and hands out plain values with units in their names. Start
reading in `source.py`.

    source.py    what a source of telemetry is, and one look at all of them
    host.py      memory, processor, the board's name
    thermal.py   temperatures
    disk.py      free space, SD cards
    verified.py  files whose contents were verified before
    heap.py      freed memory back to the system
    systemd.py   signs of life to the service manager
"""
