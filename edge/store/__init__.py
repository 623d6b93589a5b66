"""The bundles on a board: fetched from a signed repository, verified, tried, kept or rolled back.

What is heavy (The Update Framework, cryptography, HTTP) is loaded by the installer alone, a process of its own
(`python -m edge.store`), and never by the daemon, which knows `record.py` and `store.py`. Start reading in
`install.py`.

    __main__.py       the installer's command line, and what it says as it goes
    install.py        one bundle: trusted, refused early or not, fetched, verified, there
    trust.py          the repository's metadata (The Update Framework), and what the clock has to do with it
    fetch.py          bytes of a repository, in a folder or behind a web server
    chunks.py         a bundle's files, of chunks that are here and of chunks that are fetched
    signature.py      who signed a bundle's files (OpenSSF Model Signing)
    statement.py      the forms of a signature file, and what it says
    signed_files.py   whether a folder's files are those that were signed
    index.py          a bundle's files and their chunks, as a repository lists them
    store.py          the folder: bundles, and the record, which survives a power cut at any point
    record.py         which bundle is in use, which is tried, which failed and why; pure
"""
