"""The command line: a file a subcommand, imported when it is asked for (`edge/__main__.py` has the table).

In come words, out go an exit status and what it printed. Start reading in `serve.py`, where the daemon's parts are put
together. Beside the subcommands:

    connection.py    options for a board and its broker, which several have
    logs.py          one line a record, whatever is written into it
    bench_memory.py  `edge bench --memory`
"""
