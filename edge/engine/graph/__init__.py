"""The bundle's graph, run by onnxruntime. Token ids and a cache in, logits out. Start reading in `session.py`.

session.py     the decoder, the picture tower, the embedding model; the only file of the daemon that imports onnxruntime
io_binding.py  memory of ours bound to the graph's inputs and outputs
adapters.py    an adapter's matrices, mapped from its file
together.py    several adapters' matrices as one, for rows that differ in them
plugins.py     what devices a provider's plugin offers, told by a process of its own
packed.py      weights as this processor wants them, kept on the disk
"""
