"""Our fused graph beside the one that onnxruntime-genai's own builder makes of the same weights.

Both in 4 bits, symmetric, blocks of 32, accuracy level 4, the head in 8 bits and for the last position alone; both
run by the same Generator in one process, in turns.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: later is too late

import numpy as np
import onnxruntime_genai as og
from safetensors.numpy import save_file

from benchmarks.figure import Figure
from export.download import default_cache, fetch
from export.pipeline import export_bundle
from export.plan import plan_of
from export.recipe import Recipe, recipes
from export.source import open_source

PACKAGES = (
    "onnxruntime-genai==0.18.0",
    "onnxruntime==1.32.0",
    "torch==2.13.0",
    "transformers>=5,<6",
    "onnx_ir",
    "onnx",
)
"""The builder wants a newer Transformers than Optimum does, so it has an environment of its own."""
OPTIONS = ("algo_config=rtn", "matmul_mixed_precision=last_matmul:int8", "prune_lm_head=true", "accuracy_level=4")
OURS = Recipe(
    licence="Apache-2.0",
    name="ours",
    method="rtn",
    is_symmetric=True,
    context_length=2048,
    evaluation_tokens=0,
    prompts=(),
)
ROUNDS, PROMPT, ANSWER = 7, 512, 96


def measure(_bundle: Path) -> list[Figure]:
    """Medians of the ratios, ours over the builder's: tokens a second, decode and prefill."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = checkpoint(folder / "source")
        built = build(source, folder / "built")
        ours = export_bundle(open_source(source), OURS, folder / "ours", False, lambda *_: None).path
        decode, prefill = compare(ours, built)
    return [
        Figure("decode_over_genai_builder", round(decode, 3), "ratio", ">=", 1),
        Figure("prefill_over_genai_builder", round(prefill, 3), "ratio", ">=", 1),
    ]


def checkpoint(folder: Path) -> Path:
    """The default model as a Hugging Face folder."""
    source = open_source(fetch(recipes()["smollm2-135m"]))
    plan = plan_of(source, OURS)
    folder.mkdir()
    save_file({name: np.array(source.tensor(name)) for name in plan.shapes}, folder / "model.safetensors")
    config = {**source.config, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
    config |= {"eos_token_id": source.stop_token_ids[0], "bos_token_id": source.stop_token_ids[0]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, text in source.tokenizer_files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def build(source: Path, target: Path) -> Path:
    """What the builder makes, in its own environment, which is made once and kept in the cache."""
    home = default_cache() / "genai-builder"
    python = home / "bin" / "python"
    if not (home / "complete").is_file():
        print("installing the builder's environment (once)…", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (home / "complete").touch()
    command = [str(python), "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(target)]
    command += ["-p", "int4", "-e", "cpu", "-c", str(target.parent / "cache"), "--extra_options", *OPTIONS]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"the builder failed: {done.stderr[-2000:]}")
    return target


def compare(ours: Path, theirs: Path) -> tuple[float, float]:
    """The median ratios of decode and prefill speed, the order alternated."""
    models = [og.Model(str(path)) for path in (ours, theirs)]
    prompt = [int(token) for token in np.random.default_rng(0).integers(100, 40000, PROMPT)]
    ratios: list[tuple[float, float]] = []
    for number in range(ROUNDS):
        order = (0, 1) if number % 2 else (1, 0)
        seconds = {index: timed(models[index], prompt) for index in order}
        ratios.append((seconds[1][0] / seconds[0][0], seconds[1][1] / seconds[0][1]))
    decode, prefill = (statistics.median(each) for each in zip(*ratios, strict=True))
    return decode, prefill


def timed(model: Any, prompt: list[int]) -> tuple[float, float]:
    """Seconds of decoding ANSWER tokens, and of reading the prompt."""
    params = og.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=PROMPT + ANSWER + 1, min_length=PROMPT + ANSWER + 1)
    generator = og.Generator(model, params)
    started = time.perf_counter()
    generator.append_tokens(prompt)
    generator.generate_next_token()
    read = time.perf_counter()
    for _ in range(ANSWER):
        generator.generate_next_token()
    return time.perf_counter() - read, read - started
