"""The daemon between the broker and the engine: admit, write down, answer, reply, deliver.

In come messages from a transport, out go replies, status and telemetry. It owns the protocols of what it needs and
knows neither paho nor a runtime. Start reading in `daemon.py`.

    daemon.py         start, the loop over what arrives, stop
    protocols.py      what it needs of a transport and of an engine
    admission.py      who is let in
    repeats.py        whether it was asked before, and what its asker is owed then
    uploads.py        requests that come in chunks
    picture_files.py  pictures that lie on the board
    waiting.py        a request from its arrival to its end
    queue.py          who waits and who runs
    fair_order.py     whose turn it is
    speed.py          how fast the board answers, lately
    answering.py      the queue through the engine
    worker.py         the engine's process: start, feed, watch, end
    engine_events.py  what that process says
    replies.py        what an asker is told
    outbox.py         terminal messages until the broker has them
    journal.py        what is written down, from the event loop
    journal_file.py   the same on the disk
    journal_opening.py  its file, opened
    journal_schema.py  its tables, and those of older versions
    announcements.py  status, info, telemetry
    inference.py      what the daemon did, as a source of telemetry
    clock.py          the loop's time, which tests may let run
"""
