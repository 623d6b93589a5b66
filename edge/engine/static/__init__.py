"""The engine over graphs of fixed shapes, as a provider that compiles them takes them. Start reading in `engine.py`.

engine.py    our own engine, with such graphs in the place of its usual one
graph.py     the pair of graphs: a slice of a prompt, a token
caches.py    keys and values as these graphs read them
sessions.py  onnxruntime's sessions over them, on the processor or by a plugin
compiled.py  what a plugin has made of them, kept
"""
