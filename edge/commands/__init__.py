"""The command line: a file a subcommand, imported when it is asked for (`edge/__main__.py` has the table).

Each has `add_arguments` and `main`, which returns the exit status. Start reading in `serve.py`, where the daemon's
parts are put together.
"""
