"""A trace of two layers in, a skeleton out: the operators that are fast on ARM, x86 and CUDA.

Start reading in decoder.py: a decoder whose layers are a Llama's. Beside it gemma.py, a Gemma 3's, and vision.py, a
picture tower's. All look at a traced graph through trace.py and make nodes with nodes.py. What a config adds to a layer
is options.py's. A family with another kind of layer has a file of its own: mixture.py and small.py, whose layers are
written down, since no trace can show them.
"""
