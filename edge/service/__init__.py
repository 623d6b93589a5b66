"""The daemon between the broker and the engine: admit, write down, answer, reply, deliver.

In come messages from a transport, out go replies, status and telemetry. It owns the protocols of what it needs
(`protocols.py`) and knows neither paho nor a runtime. Start reading in `daemon.py`.

    daemon.py         start, the loop over what arrives, stop
    admission.py      who is let in
    uploads.py        requests that come in chunks
    picture_files.py  pictures that lie on the board
    queue.py          who waits and who runs; fair_order.py: whose turn it is
    answering.py      the queue through the engine
    worker.py         the engine's process: start, feed, watch, end
    replies.py        what an asker is told; outbox.py: until the broker has it
    journal.py        what is written down, from the event loop; journal_file.py: on the disk
    announcements.py  status, info, telemetry
"""
