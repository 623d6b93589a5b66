"""Where weights come from: a GGUF file or a Hugging Face folder, seen the same way.

Every source speaks Transformers' names and layouts (`model.layers.0.self_attn.q_proj.weight`, `[out, in]`),
reads one tensor at a time and checks it before anything is built on it. Start reading in base.py: what a source offers.
folder.py and gguf.py are files, shards.py is which of a folder's files and what is in them, config_only.py is a model
not downloaded yet, hub.py downloads it. A wrapper (wrapped.py) sees another source changed: adapter.py with a LoRA
adapter (adapter_config.py knows its keys), split.py with its packed projections apart, zero_biases.py with biases of
zeros, regrouped.py with Phi-3-small's matrices in a Llama's words, text_part.py without its
pictures; quantised/ is a folder whose matrices are rounded already
(AWQ, GPTQ, bitsandbytes, fp8, compressed-tensors).
"""

from __future__ import annotations

from pathlib import Path

from export.errors import SourceError
from export.source.base import Source
from export.source.folder import FolderSource
from export.source.gguf import GgufSource
from export.source.quantised import quantised

__all__ = ["Source", "open_source"]


def open_source(path: Path) -> Source:
    """The source at a path: a `.gguf` file or a folder with `config.json`."""
    if path.is_file() and path.suffix == ".gguf":
        return GgufSource(path)
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise SourceError(f"{path} holds an adapter alone; give the model it was trained on, and it with --adapter")
    if (path / "config.json").is_file():
        return quantised(FolderSource(path))
    raise SourceError(f"{path} is neither a .gguf file nor a folder with a config.json")
