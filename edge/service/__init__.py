"""The daemon between the broker and the engine: admit, write down, answer, reply, deliver.

In come messages from a transport, out go replies, status and telemetry. It owns the protocols of what it needs and
knows neither paho nor a runtime. Start reading in `daemon.py`.

    daemon.py         start, the loop over what arrives, stop
    receiving.py      what arrives: understood, taken, acknowledged
    protocols.py      what it needs of a transport and of an engine
    admission.py      who is let in
    repeats.py        whether it was asked before, and what its asker is owed then
    uploads.py        requests that come in chunks
    picture_files.py  pictures that lie on the board
    waiting.py        a request from its arrival to its end
    vectors.py        whether vectors that are asked for can be made
    queue.py          who waits and who runs
    fair_order.py     whose turn it is
    speed.py          how fast the board answers, lately
    answering.py      the queue through the engine
    elsewhere.py      what another server answers instead, by the operator's rules
    rounds.py         one answer, with calls of the board's tools in between
    board_tools.py    what those do, and for whom
    jobs.py           a request as the engine takes it
    worker.py         the engine's process: start, feed, watch, end
    engine_events.py  what that process says
    afterwards.py     what an asker says later: to forget it, that an answer was good
    ratings.py        how many were
    replies.py        what an asker is told
    outbox.py         terminal messages until the broker has them
    journal.py        what is written down, from the event loop
    journal_file.py   the same on the disk
    journal_opening.py  its file, opened
    journal_erasing.py  what was dropped leaves it
    journal_schema.py  its tables, and those of older versions
    announcements.py  status, info, telemetry
    inference.py      what the daemon did, for telemetry
    happenings.py     changes that matter, as they come
    guard.py          the board's governor: readings in, its decisions carried out
    looks.py          what one look at the board says to it
    readiness.py      whether the board takes more, and why not
    load.py           the same told to who chooses a board
    fleet.py          its part in a fleet: in the group or out, what it takes, what it hands on
    roll.py           who else is in the fleet, and what follows from it
    held.py           what of the fleet's has no PUBACK yet
    heir.py           in the place of a board that does not come back
    seat.py           what is served now, which may change
    served.py         a bundle and its engine
    shelf.py          other bundles, loaded when they are named
    models.py         which model a request names: the bundle, or an adapter of it
    bundles.py        what it is at the start, and what else could be
    wishes.py         which bundle the operator wants
    installer.py      the process that fetches one
    newest.py         which one the repository has
    rollout.py        from one to another: fetch, try, keep or go back
    trials.py         the new one beside the old one, or after it
    trial.py          what it is asked, and how fast it must be
    report.py         what is told of all that
    callers.py        who asks through one
    doors.py          other ways in and out, kept apart
    signs.py          signs of life, for the service manager
    clock.py          the loop's time, which tests may let run
"""
