"""onnxruntime-genai: an engine for every provider it knows, and the tokenizer of both engines.

Only this folder imports it. Start reading in `engine.py`.
"""
