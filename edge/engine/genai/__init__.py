"""onnxruntime-genai: an engine for every provider it knows, and the tokenizer of both engines.

Jobs in, events out, one job at a time. Only this folder imports it. Start reading in `engine.py`.

    engine.py     its model and its generator as an engine of ours
    tokenizer.py  conversations and texts to token ids and back, by the reader that the bundle names
    reader.py     its own reader of a tokenizer; the other is text/exact.py
"""
