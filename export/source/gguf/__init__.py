"""A GGUF file, or the parts of one, as a source. Start reading in source.py.

header.py reads keys and tensors within the file's bounds, parts.py joins what was split, keys.py knows every key,
names.py every tensor, config.py says the sizes in Transformers' words, mixture.py what experts have beside that,
blocks.py has the values.
"""

from __future__ import annotations

from export.source.gguf.source import GgufSource

__all__ = ["GgufSource"]
