"""Vectors of texts without a model: the same text has the same one, whatever is beside it."""

from __future__ import annotations

import base64
import hashlib
import math
import struct

from edge.bundle import SentenceModel
from edge.engine import Finished, Job

SCRIPTED = SentenceModel(name="scripted-vectors", dimensions=4, tokens_max=8, licence="none", source="0" * 64)
"""What a scripted engine makes them with; a manifest has it that is to bring an embedding model."""


def scripted_vectors(job: Job) -> Finished:
    """A job's, each of length 1. A word is a token, and a text has two more; what is behind the most is not read."""
    texts = job.texts or []
    tokens = sum(min(SCRIPTED.tokens_max, len(text.split()) + 2) for text in texts)
    vectors = [base64.b64encode(vector(text)).decode() for text in texts]
    said = {"model": SCRIPTED.name, "dimensions": SCRIPTED.dimensions, "vectors": vectors}
    return Finished("stop", tokens, 0, 0.01, 0.0, embeddings=said)


def vector(text: str) -> bytes:
    """Of one text, as little-endian float32."""
    digest = hashlib.sha256(text.encode(errors="replace")).digest()
    values = [byte - 127.5 for byte in digest[: SCRIPTED.dimensions]]
    return struct.pack(f"<{len(values)}f", *(value / math.hypot(*values) for value in values))
