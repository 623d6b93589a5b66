"""A bundle on disk: the whole contract between the export, which writes bundles, and the daemon, which reads them.

A bundle is a folder: `manifest.json` beside what onnxruntime-genai loads. Start reading in `manifest.py`.

    manifest.py  what a manifest says
    opening.py   a bundle opened after everything about it was checked
    adopting.py  a manifest for a folder that onnxruntime-genai's builder or Olive made
    genai_config.py  what such a folder says of itself
    graph_header.py  what an ONNX file reads, gives and computes
"""

from __future__ import annotations

from edge.bundle.adopting import ADOPTED, Reader, Wishes, adopted, files_of
from edge.bundle.manifest import (
    ADAPTER_GRAPH,
    ADAPTERS,
    DOCUMENTS,
    EMBEDDING,
    GRAPH,
    MANIFEST,
    SCHEMA,
    SENTENCE_GRAPH,
    SENTENCE_TOKENIZER,
    SIGNATURE,
    SLICE_GRAPH,
    TOGETHER_GRAPH,
    TOKEN_GRAPH,
    USUAL,
    VISION,
    WEIGHTS,
    Adapter,
    Calibration,
    Count,
    File,
    Fixed,
    Golden,
    Manifest,
    Origin,
    Pictures,
    Positive,
    Provider,
    Quantization,
    Sampling,
    SentenceModel,
    Sha256,
)
from edge.bundle.opening import (
    MANIFEST_BYTES_MAX,
    Bundle,
    Progress,
    Verified,
    check_hashes,
    hash_file,
    open_bundle,
    read_manifest,
)

__all__ = [
    "ADAPTERS",
    "ADAPTER_GRAPH",
    "ADOPTED",
    "DOCUMENTS",
    "EMBEDDING",
    "GRAPH",
    "MANIFEST",
    "MANIFEST_BYTES_MAX",
    "SCHEMA",
    "SENTENCE_GRAPH",
    "SENTENCE_TOKENIZER",
    "SIGNATURE",
    "SLICE_GRAPH",
    "TOGETHER_GRAPH",
    "TOKEN_GRAPH",
    "USUAL",
    "VISION",
    "WEIGHTS",
    "Adapter",
    "Bundle",
    "Calibration",
    "Count",
    "File",
    "Fixed",
    "Golden",
    "Manifest",
    "Origin",
    "Pictures",
    "Positive",
    "Progress",
    "Provider",
    "Quantization",
    "Reader",
    "Sampling",
    "SentenceModel",
    "Sha256",
    "Verified",
    "Wishes",
    "adopted",
    "check_hashes",
    "files_of",
    "hash_file",
    "open_bundle",
    "read_manifest",
]
