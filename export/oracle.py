"""Transformers itself as the judge of a bundle: its own reading of the checkpoint, whole, in float32.

The export reads a checkpoint by code of its own, so that what it misreads is misread in source and bundle alike. This
needs torch and Transformers, PEFT for an adapter, and the model's floats in memory: 4 bytes a weight, and 8 of a GGUF
file while it is loaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from export.errors import FidelityError, UnsupportedError
from export.quantize import Floats
from export.source import Source
from export.source.adapter import AdapterSource
from export.source.wrapped import WrappedSource
from export.stages import Tokens

READING_MAX = 1e-3
"""Nats a token from Transformers to the export's own reading of a checkpoint: float32 leaves a millionth."""


class Oracle:
    """The checkpoint that a source is read from, with its adapter, as Transformers loads it.

    Raises UnsupportedError where it does not.
    """

    def __init__(self, source: Source) -> None:
        adapter = adapter_of(source)
        check_installed(is_gguf=is_gguf(source.path), is_adapted=adapter is not None)
        how = "sdpa" if source.config.get("attn_logit_softcapping") is None else "eager"  # sdpa has no caps on scores
        self._model = _loaded(source.path, adapter, how)

    def logits(self, tokens: Tokens) -> Floats:
        """Of every position of one text int64 `[1, tokens]`, float32 `[tokens, vocabulary]`."""
        import torch

        with torch.inference_mode():
            found: Floats = self._model(torch.from_numpy(tokens), use_cache=False).logits[0].numpy()
        return found


def check_installed(is_gguf: bool, is_adapted: bool) -> None:
    """UnsupportedError where what this needs is not installed."""
    wanted = ["torch", "transformers", *(["accelerate"] if is_gguf else []), *(["peft"] if is_adapted else [])]
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise UnsupportedError(
            f"--oracle measures against Transformers, and wants what is not installed:"
            f" `pip install {' '.join(missing)}`, or export without --oracle"
        )


def is_gguf(path: Path) -> bool:
    """Whether Transformers' reader of GGUF files is wanted, which is another."""
    return path.suffix == ".gguf"


def adapter_of(source: Source) -> Path | None:
    """The folder of the adapter that is merged into a source, None where there is none."""
    while isinstance(source, WrappedSource):
        if isinstance(source, AdapterSource):
            return source.folder
        source = source.inner
    return None


def check_reading(path: Path, divergence: float) -> None:
    """FidelityError where the export's own reading of a checkpoint is not Transformers'. divergence: nats a token."""
    if divergence <= READING_MAX:
        return
    aside = "; of a GGUF file Transformers leaves some keys out, so try its Hugging Face folder"
    raise FidelityError(
        f"{path} is misread: what the export makes of it is {divergence:.3g} nats a token from what Transformers makes"
        f" of it, so nothing was packed{aside if is_gguf(path) else ''}"
    )


def _loaded(path: Path, adapter: Path | None, attention: str) -> Any:
    """The model of a folder or a GGUF file; no code of the checkpoint is run, and nothing is fetched.

    attention: which of Transformers' attends.
    """
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    where = {"gguf_file": path.name} if is_gguf(path) else {}
    try:
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            path.parent if where else path,
            dtype=torch.float32,
            attn_implementation=attention,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
            **where,
        )
        if adapter:
            model = _adapted(model, adapter)
    except Exception as error:  # whatever a library raises: it does not load this
        reason = str(error).strip().partition("\n")[0]
        raise UnsupportedError(f"Transformers cannot load {path} ({reason}); export it without --oracle") from error
    if made_up := sorted(found["missing_keys"]):
        raise UnsupportedError(f"Transformers finds no tensor {made_up[0]} in {path}; export it without --oracle")
    return model.eval()


def _adapted(model: Any, folder: Path) -> Any:
    """With PEFT's own reading of an adapter."""
    from peft import PeftModel

    return PeftModel.from_pretrained(model, folder)
