"""Folders of onnxruntime-genai's own builder, adopted as they are: greedy answers beside the Generator's on the same.

The real SmolLM2 in 4 bits, with keys and values in floats and in int8. `python -m benchmarks.adopted KIND BUILT
ADOPTED` is one of the two, in a process of its own, since onnxruntime takes its settings once. `make trace-test`
installs the builder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.builder import checkpoint
from benchmarks.figure import Figure
from benchmarks.misread import TRACE_FIVE
from benchmarks.proofs import ROOT
from edge.bundle import read_manifest
from edge.engine import Job, Options, answer
from edge.engine.batch.engine import BatchedEngine
from edge.engine.genai.tokenizer import Tokenizer

QUESTIONS = (
    "What is the capital of France?",
    "Count from one to ten.",
    "List four rivers of Europe, one on each line.",
    "Why is the sky blue?",
    "Write a haiku about rain.",
    "What does a firmware do?",
    "Name the planets.",
    "Translate 'good morning' to Spanish.",
)
TOKENS = 48
LAYERS, SCALE = 30, 0.25
"""Of SmolLM2: its layers, and a step of its keys and values that holds them without a cut."""
SETTINGS = {"HF_HUB_OFFLINE": "1", "ORT_GQA_DISABLE_FLASH_ATTENTION": "1", "PYTHONPATH": str(ROOT)}
"""Flash attention sums in another order; the batched engine has it off at such contexts."""


def measure(_bundle: Path) -> list[Figure]:
    """Answers that are the same to the letter, of both folders."""
    alike = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = checkpoint(folder / "source")
        for built in (build(source, folder / "int4"), build(source, folder / "int8-cache", int8_cache(folder))):
            found = [adopted_and_asked(built, kind) for kind in ("ours", "theirs")]
            alike += sum(ours == theirs for ours, theirs in zip(*found, strict=True))
    count = 2 * len(QUESTIONS)
    return [Figure("adopted_answers_equal", alike, f"of {count}", "==", count)]


def int8_cache(folder: Path) -> tuple[str, ...]:
    """The builder's options for keys and values in int8, one step for all of a layer; its file of steps."""
    steps = [[SCALE]] * LAYERS
    (folder / "steps.json").write_text(json.dumps({"scales": {"k_scales": steps, "v_scales": steps}}))
    return ("kv_cache_quant_scheme=int8_per_tensor", f"kv_cache_scale_file={folder / 'steps.json'}")


def build(source: Path, target: Path, options: tuple[str, ...] = (), python: Path = TRACE_FIVE) -> Path:
    """What the builder makes of a checkpoint; RuntimeError where it is missing, or fails."""
    if not python.is_file():
        raise RuntimeError(f"{python.parent.parent.name} is missing; `make trace-test` makes it")
    command = [str(python), "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(target)]
    command += ["-p", "int4", "-e", "cpu", "-c", str(target.parent / "cache")]
    ran([*command, *(["--extra_options", *options] if options else [])])
    return target


def adopted_and_asked(built: Path, kind: str) -> list[str]:
    """The answers to all questions, of the batched engine or of the Generator."""
    adopted = built.parent / f"{built.name}-adopted"
    if not adopted.is_dir():
        ran([sys.executable, "-m", "edge", "bundle", "adopt", str(built), "-o", str(adopted)])
    found: list[str] = json.loads(ran([sys.executable, "-m", "benchmarks.adopted", kind, str(built), str(adopted)]))
    return found


def ran(command: list[str]) -> str:
    """A program's last line; RuntimeError where it fails."""
    environment = {**os.environ, **SETTINGS}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.strip().rpartition("\n")[2]


def ours(adopted: Path) -> Iterator[str]:
    """The batched engine's answers, without guesses and without what is known."""
    engine = BatchedEngine(adopted, Options(prefix_bytes=0, drafts=False))
    for question in QUESTIONS:
        pieces: list[str] = []
        answer(engine, Job(1, [{"role": "user", "content": question}], TOKENS), pieces.append)
        yield "".join(pieces)


def theirs(built: Path, adopted: Path) -> Iterator[str]:
    """The Generator's on the builder's folder, of the same prompts."""
    import onnxruntime_genai as og

    tokenizer, model = Tokenizer(adopted, read_manifest(adopted)), og.Model(str(built))
    for question in QUESTIONS:
        tokens = tokenizer.encode([{"role": "user", "content": question}])
        params = og.GeneratorParams(model)
        params.set_search_options(max_length=len(tokens) + TOKENS, do_sample=False)
        generator = og.Generator(model, params)
        generator.append_tokens(tokens)
        while not generator.is_done():
            generator.generate_next_token()
        yield tokenizer.text([int(each) for each in generator.get_sequence(0)[len(tokens) :]])


def main() -> None:
    """The answers as JSON."""
    kind, built, adopted = sys.argv[1], *map(Path, sys.argv[2:])
    print(json.dumps(list(ours(adopted) if kind == "ours" else theirs(built, adopted))))


if __name__ == "__main__":
    main()
