"""`edge-channel`: a signed repository of bundles, made and looked after on a workstation.

The layout is that of `edge/store/index.py`; boards read it with `edge/store/trust.py`. Start reading in `command.py`.

    __main__.py    the program
    command.py     its words, and what each does
    repository.py  the folder: its signed metadata, read, changed and published in one step
    reading.py     that metadata read again, and refused where it was altered
    writing.py     one role's metadata signed and written
    roles.py       who may sign what, and for how long
    keys.py        the private keys, in folders of their own
    chunks.py      a bundle cut into chunks, and the chunks laid down
    checking.py    all of it looked at as a board would
    signing.py     a bundle's signature: who made its files (OpenSSF Model Signing)
"""
