"""What the export reads it understands: altered checkpoints, kinds held to Transformers, and what the report says lost.

`python -m benchmarks.misread` is the part that Transformers is needed for; `measure` runs it where that is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.figure import Figure
from benchmarks.proofs import ROOT, TRACE, Proof, passed
from export.download import fetch
from export.families.held import HELD
from export.pipeline import export_bundle
from export.plan import plan_of
from export.recipe import Limits, Recipe, recipes
from export.source import Source, open_source
from export.verify import texts
from tests.export.altered import CASES

TRACE_FIVE = TRACE.parent.parent / "transformers-5" / "bin" / "python"
"""Where the fifth Transformers and PEFT are, made by `make trace-test`, too."""
ALTERED, KINDS = ("tests/export/test_altered.py",), ("tests/export/test_held.py", "-k", "held_to_transformers")
WITHOUT_PEFT = sum(case.kind != "adapters" for case in CASES)
PROOFS = (
    Proof("altered_checkpoints_right", ALTERED, len(CASES), TRACE_FIVE),
    Proof("altered_checkpoints_right_by_4_57", ALTERED, WITHOUT_PEFT, TRACE),
    Proof("kinds_held_to_transformers", KINDS, len(HELD), TRACE_FIVE),
    Proof("kinds_held_to_transformers_4_57", KINDS, len(HELD), TRACE),
)
ROUNDED = Recipe(
    licence="none", method="rtn", context_length=1024, prompts=(), limits=Limits(kl_mean=1e9, top1_agreement=0)
)


def measure(_bundle: Path) -> list[Figure]:
    """Tests that pass, and how far what a bundle's report says is from what is measured beside it."""
    found = [Figure(proof.name, passed(proof), f"of {proof.count}", "==", proof.count) for proof in PROOFS]
    for name, each in measured_beside().items():
        off = abs(each["reported"] / each["measured"] - 1)
        found.append(Figure(f"reported_kl_off_transformers_{name}", round(off, 4), "share", "<=", 0.15))
    return found


def measured_beside() -> dict[str, dict[str, float]]:
    """What `main` prints, from where Transformers is."""
    command = [str(TRACE_FIVE), "-m", "benchmarks.misread"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    """Print what the report of each model's bundle says it lost, and what it lost by Transformers and its own graph."""
    with tempfile.TemporaryDirectory() as folder:
        made = {name: make(Path(folder) / name) for name, make in MODELS.items()}
        print(json.dumps({name: lost(path) for name, path in made.items()}))
    return 0


def lost(checkpoint: Path) -> dict[str, float]:
    """Nats a token: as the manifest says, and between Transformers' logits and those of the bundle's graph as it is."""
    from tests.export.altered import loaded
    from tests.export.beside import bundle_logits, quiet, their_logits

    source = open_source(checkpoint)
    recipe = ROUNDED.model_copy(update={"context_length": min(1024, source.config["max_position_embeddings"])})
    bundle = export_bundle(source, recipe, checkpoint.parent / f"{checkpoint.name}-bundle", False, lambda *_: None)
    with quiet():
        model = loaded(checkpoint)
    found = []
    for sample in texts(plan_of(source, recipe)):
        text = sample.tokens[0].tolist()
        wanted, ours = log_softmax(their_logits(model, text)), log_softmax(bundle_logits(bundle.path, text))
        found.append((np.exp(wanted) * (wanted - ours)).sum(-1)[:-1])
    return {"reported": bundle.manifest.fidelity["kl_mean"], "measured": float(np.concatenate(found).mean())}


def log_softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """In doubles, over the last axis."""
    values = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    normal: NDArray[np.float64] = values - np.log(np.exp(values).sum(-1, keepdims=True))
    return normal


def smollm2(folder: Path) -> Path:
    """The default model's published weights as a Hugging Face folder."""
    return as_folder(open_source(fetch(recipes()["smollm2-135m"])), folder)


def small_phi3(folder: Path) -> Path:
    """A small Phi-3 with random weights, as Transformers saves it."""
    from tests.export.small_transformers import checkpoint

    return checkpoint(folder, "phi3")


MODELS: dict[str, Callable[[Path], Path]] = {"smollm2": smollm2, "small_phi3": small_phi3}


def as_folder(source: Source, folder: Path) -> Path:
    """A Llama of a GGUF file as a Hugging Face folder of the same weights."""
    from safetensors.numpy import save_file

    folder.mkdir(exist_ok=True)
    plan = plan_of(source, Recipe(licence="none", context_length=512))
    save_file({name: np.array(source.tensor(name)) for name in plan.shapes}, folder / "model.safetensors")
    config = {**source.config, "architectures": ["LlamaForCausalLM"], "model_type": "llama"}
    config["eos_token_id"] = source.stop_token_ids
    (folder / "config.json").write_text(json.dumps(config))
    for name, text in source.tokenizer_files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    sys.exit(main())
