"""The board: what it is, how it fares, and what it gives and takes.

A reader gets a root folder that a test can replace, and hands out plain values with units in their names. Start
reading in `source.py`.

    files.py     a file of /proc or /sys: a value, absent, denied or failed
    source.py    what a source of telemetry is
    sensors.py   all of them, each on its own thread
    sources.py   which there are
    board.py     the board's name and kind
    thermal.py   temperatures and fans, of
    zones.py     the kernel's thermal zones, and
    hwmon.py     chips that measure
    memory.py    what is free and who holds it, with
    pressure.py  how long things waited, and
    cgroup.py    the control group's limits
    cpu.py       the processor
    throttling.py whether the board slows itself down
    power.py     what it takes, by
    pmic.py      a Pi 5's power chip,
    ina.py       a Jetson's monitors,
    rapl.py      an x86 processor's counters, or
    tegrastats.py what NVIDIA's program prints
    mailbox.py   how a Pi's firmware is asked
    gpu.py       GPUs and NPUs, with
    nvml.py      NVIDIA's cards
    battery.py   a battery, or
    termux.py    what Termux:API says of one
    program.py   a program that tells, within bounds
    energy.py    joules of an answer, which
    wattmeter.py samples are taken for
    disk.py      free space, SD cards
    verified.py  files whose contents were verified before
    clock.py     the processor's clock: its steps, and a cap that is asked for
    clock_helper.py  the cap, set by root
    calibration.py what fewer threads cost and save here
    instruments.py sensors, energy and clock together, as the daemon has them
    at_work.py   which of others' functions a process is in
    heap.py      one heap for all threads, freed memory back to the system
    systemd.py   signs of life to the service manager
"""
