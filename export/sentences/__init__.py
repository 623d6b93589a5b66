"""An embedding model of sentences for a bundle: a folder of sentence-transformers in, one graph and a tokenizer out.

Start reading in `make.py`.

    make.py     a folder to `sentences/model.onnx`, `sentences/tokenizer.json` and what the manifest says of them
    config.py   what the folder's files say, each key read or known, or refused by its name
    tokens.py   its tokenizer
    weights.py  its tensors, each read or known to change nothing
    graph.py    the graph: token ids and mask in, vectors out
    rounding.py matrices in 8 bits
    known.py    models that are known by name, and fetched
    adding.py   a finished bundle with an embedding model or documents more
"""
