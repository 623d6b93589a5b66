"""Two layers of Phi-3.5-MoE's true width in floats: logits and routing as the export computes them and as Transformers.

Weights are random, drawn as they are read, and all of them are numbers of bfloat16. Transformers has one layer at a
time, in a folder of its own. `python -m benchmarks.moe_width FOLDER` is its part; `measure` runs it where that is
installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figure import Figure
from benchmarks.misread import TRACE_FIVE
from benchmarks.proofs import ROOT, TRACE
from benchmarks.random_source import RandomSource
from export.families.base import EMBEDDING, HEAD
from export.forward import SourceForward
from export.graphs import load_skeleton
from export.plan import plan_of
from export.quantize import Floats
from export.recipe import recipes
from export.stages import Layer, Stage, Text, Values, Watch, Weights

LAYERS, TOKENS, CHOSEN = 2, 96, 2
CONFIG: dict[str, Any] = {
    "architectures": ["PhiMoEForCausalLM"],
    "model_type": "phimoe",
    "attention_bias": True,
    "lm_head_bias": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "hidden_size": 4096,
    "intermediate_size": 6400,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "num_hidden_layers": LAYERS,
    "num_local_experts": 16,
    "num_experts_per_tok": CHOSEN,
    "max_position_embeddings": 4096,
    "rope_theta": 10000.0,
    "rms_norm_eps": 1e-5,
    "router_jitter_noise": 0.01,
    "tie_word_embeddings": False,
    "vocab_size": 512,
}
"""Phi-3.5-MoE's own but for layers, words and positions, of which neither the experts' width nor their choice hangs."""
BFLOAT16 = np.uint32(0xFFFF0000)
"""The bits of a float32 that bfloat16 has, too."""


class Drawn(RandomSource):
    """The checkpoint: no norm is plain, and no bias is nothing."""

    def __init__(self) -> None:
        super().__init__("phimoe", CONFIG)

    def tensor(self, name: str) -> Floats:
        """Seeded by the name, of a size that keeps an input's."""
        shape = self._shapes[name]
        values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
        if name != EMBEDDING:
            values *= np.float32(0.1 if len(shape) == 1 else shape[-1] ** -0.5)
        if name.endswith("norm.weight"):
            values += 1
        kept: Floats = (values.view(np.uint32) & BFLOAT16).view(np.float32)
        return kept


class Watched(Layer):
    """A layer that keeps how much of each token each expert has: of each run of it, float32 `[tokens, experts]`."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.routes: list[Floats] = []

    def advance(self, stage: Stage, values: Values, weights: Weights, see: Watch | None = None) -> Values:
        """As ever."""
        if stage.routing:
            self.routes.append(values[stage.routing][0])
        return super().advance(stage, values, weights, see)


def measure(_bundle: Path) -> list[Figure]:
    """How far logits are apart, and for how many tokens both experts of a layer are the same, by 4.57 and by 5."""
    logits, routes = ours()
    found = [theirs(python) for python in (TRACE, TRACE_FIVE)]
    off = max(float(np.abs(logits - each["logits"]).max() / np.abs(each["logits"]).max()) for each in found)
    alike = sum(same(ours, each[f"chosen_{index}"]) for each in found for index, ours in enumerate(routes))
    count = len(found) * LAYERS * TOKENS
    return [
        Figure("moe_width_logits_off", float(f"{off:.2g}"), "share", "<=", 0.002),
        Figure("moe_width_routing_equal", alike, f"of {count}", "==", count),
    ]


def same(ours: Floats, chosen: NDArray[np.int64]) -> int:
    """Tokens with the same experts. ours: `[tokens, experts]`; chosen: `[tokens, 2]`."""
    return sum(set(np.flatnonzero(row)) == set(theirs.tolist()) for row, theirs in zip(ours, chosen, strict=True))


def tokens() -> NDArray[np.int64]:
    """The text, `[1, TOKENS]`."""
    return np.random.default_rng(5).integers(0, CONFIG["vocab_size"], (1, TOKENS))


def ours() -> tuple[Floats, list[Floats]]:
    """Logits `[tokens, vocabulary]`, and of each layer what each expert has of each token."""
    plan = plan_of(Drawn(), recipes()["phimoe"])
    layer = Watched(load_skeleton("phimoe"), plan.sizes)
    forward = SourceForward(plan, layer)
    (values,) = forward.enter([Text(tokens())])
    for index in range(LAYERS):
        values = forward.layer(index)(values)
    return forward.logits()(values["normed"][0]), layer.routes


def theirs(python: Path) -> dict[str, NDArray[Any]]:
    """What `main` finds in another environment; RuntimeError where that is missing, or fails."""
    if not python.is_file():
        raise RuntimeError(f"{python.parent.parent.name} is missing; `make trace-test` makes it")
    with tempfile.TemporaryDirectory() as folder:
        command = [str(python), "-m", "benchmarks.moe_width", folder]
        done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip().splitlines()[-1])
        with np.load(Path(folder) / "found.npz") as found:
            return dict(found)


def main() -> None:
    """Logits, and of each layer which experts each token goes to, into a file of a folder."""
    folder, source, found = Path(sys.argv[1]), Drawn(), dict[str, Any]()
    values = None
    for index in range(LAYERS):
        one_layer(source, index, folder / "layer")
        values, found["logits"], found[f"chosen_{index}"] = through(folder / "layer", values)
    np.savez(folder / "found.npz", **found)


def one_layer(source: Drawn, index: int, folder: Path) -> None:
    """A checkpoint of one layer and of all that is around the layers."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, "num_hidden_layers": 1}), encoding="utf-8")
    own = f"model.layers.{index}."
    kept = {}
    for name in sorted(source.tensor_names()):
        if name.startswith(own) or not name.startswith("model.layers."):
            values = torch.from_numpy(source.tensor(name))
            kept[name.replace(own, "model.layers.0.")] = values.bfloat16()
    assert HEAD in kept
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def through(folder: Path, values: Any) -> tuple[Any, NDArray[np.float32], NDArray[np.int64]]:
    """A text behind a layer, its logits there, and each token's experts. values: before it; None for the tokens'."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.set_grad_enabled(False)
    model = transformers.PhimoeForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).float().eval()
    (router,) = [each for name, each in model.named_modules() if name.endswith((".router", "block_sparse_moe.gate"))]
    seen: dict[str, Any] = {}
    router.register_forward_hook(lambda _module, _inputs, made: seen.update(scores=made))
    model.model.layers[0].register_forward_hook(lambda _module, _inputs, made: seen.update(values=made))
    fed = {"input_ids": torch.from_numpy(tokens())} if values is None else {"inputs_embeds": values}
    logits = model(**fed, use_cache=False).logits[0].numpy()
    scores, behind = (made[0] if isinstance(made, tuple) else made for made in (seen["scores"], seen["values"]))
    mixer = sys.modules[type(model).__module__].sparsemixer
    chosen = mixer(scores, CONFIG["router_jitter_noise"], False)[1]
    return behind.clone(), logits, chosen.numpy()


if __name__ == "__main__":
    main()
