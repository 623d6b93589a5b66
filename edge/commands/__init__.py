"""The command line: a file a subcommand, imported when it is asked for (`edge/__main__.py` has the table).

In come words, out go an exit status and what it printed. Start reading in `serve.py`, where the daemon's parts are put
together. Beside the subcommands:

    connection.py    options for a board and its broker, which several have
    answering.py     how a question is to be answered: an option a field of the request
    inputs.py        files, words and standard input, read as far as any board would
    streams.py       standard output and error, whatever they are: closed, full, a terminal
    signals.py       which signals end a command
    running.py       work that they end, tidily
    printing.py      an answer as it comes, repaired where pieces are missing
    summaries.py     tokens and times of an answer, in a line
    vectors.py       `edge ask --embed`: vectors of texts
    boards.py        which boards a broker knows
    seen.py          what boards have said of themselves, bounded
    status_rows.py   a line of `edge status` each
    status_alarms.py  which of them want a look
    status_lines.py  them together, whatever a board says
    status_live.py   the same on a terminal, as it changes
    drafting.py      the bundle that guesses for the one that answers
    logs.py          one line a record, whatever is written into it
    findings.py      what `edge doctor` finds, and how well
    doctor_board.py  in a board's readings
    doctor_machine.py  on the machine that it runs on
    doctor_providers.py  of what onnxruntime can compute on
    bundle_store.py  `edge bundle install`, `list`, `rollback`, `remove`
    bundle_adopt.py  `edge bundle adopt`: a folder of onnxruntime-genai's builder or Olive
    bundle_installer.py  the installer, a process of its own
    bundle_cache.py  `edge bundle pull`, and the bundles that are not the board's
    bundle_places.py  where bundles lie on this machine
    bundle_made.py   a bundle that edge-export makes, with what that takes told before
    catalogue.py     models by name
    run_service.py   who answers `edge run`: a daemon that is there, or one for the call
    run_host.py      that daemon and its broker, a process of its own
    run_talk.py      a question, or a conversation
    doctor_unit.py   `edge doctor --unit`: what the unit may take of it
    kiosk_browser.py  `edge browser`: a page on the board's screen, watched
    kiosk_chromium.py  Chromium as a kiosk wants it
    kiosk_pipe.py    its DevTools protocol, over pipes
    kiosk_screen.py  `edge screen`: on and off
    bench_memory.py  `edge bench --memory`
    bench_energy.py  `edge bench --energy`
"""
