"""Graphs of fixed shapes in plain operators, for processors that compile a graph whole: Qualcomm's HTP, by QNN.

They are made of the same skeleton as every other bundle's graph. Start reading in `making.py`, then `plain.py`.

    plain.py      the skeleton's operators as plain ones, for runs of so many tokens
    attention.py  GroupQueryAttention among them
    encodings.py  values between operators as whole numbers of 16 bits, keys and values of 8
    tensors.py    weights in whole numbers of 4 or 8 bits, a step a channel, and what is constant beside them
    graphs.py     head, layer, tail and the whole, as models
    forward.py    texts through them a layer at a time: what ranges values have, what the bundle lost
    making.py     the bundle of a pair of graphs: one for a slice of a prompt, one for a token
    checks.py     what can have such graphs, and what they can be compiled for
    context.py    the pair compiled ahead for a system on a chip
"""
