"""onnxruntime-genai's Engine, its own way to answer several at once, over our bundle."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: later is too late

import numpy as np
import onnx
import onnxruntime_genai as og
from onnx import numpy_helper

from edge.bundle import GRAPH
from edge.engine import budget
from edge.engine.graph.io_binding import LOGITS_FROM, MORE_LOGITS


def opened(bundle: Path, folder: Path, tokens: int) -> Callable[[Sequence[list[int]]], float]:
    """What takes prompts to tokens a second of all their answers, of so many tokens each, with every core."""
    os.environ.pop("ORT_GQA_DISABLE_FLASH_ATTENTION", None)  # our engine's setting, not what it comes with
    config = og.Config(str(with_all_logits(bundle, folder)))
    options = {"session_options": {"intra_op_num_threads": budget.threads(0)}}
    config.overlay(json.dumps({"model": {"decoder": options}}))
    engine = og.Engine(og.Model(config))
    events = engine.create_event_buffer(64)

    def answered(prompts: Sequence[list[int]]) -> float:
        started = time.perf_counter()
        requests = [begun(engine, prompt, tokens) for prompt in prompts]
        made = 0
        while engine.has_pending_requests():
            made += sum(event.token is not None for event in engine.run(events))
        seconds = time.perf_counter() - started
        for request in requests:
            request.close()
        return made / seconds

    return answered


def begun(engine: og.Engine, prompt: list[int], tokens: int) -> og.Request:
    """One greedy request."""
    limits = og.RequestOptions()
    limits.set_max_session_tokens(len(prompt) + tokens + 1)
    request = engine.create_request(options=limits)
    turn = og.TurnOptions(request)
    turn.set_do_sample(False)
    turn.set_min_generated_tokens(tokens)
    turn.set_max_generated_tokens(tokens)
    request.begin_turn(np.array(prompt, np.int32), turn)
    return request


def with_all_logits(bundle: Path, target: Path) -> Path:
    """A copy of the bundle that gives logits of every position, which the Engine wants of several texts."""
    shutil.copytree(bundle, target)
    model = onnx.load(target / GRAPH, load_external_data=False)
    graph = model.graph
    graph.node.remove(next(each for each in graph.node if each.output[0] == "logits"))
    next(each for each in graph.node if each.output[0] == MORE_LOGITS).output[0] = "logits"
    graph.output.remove(next(each for each in graph.output if each.name == MORE_LOGITS))
    logits = next(each for each in graph.output if each.name == "logits")
    logits.type.tensor_type.shape.dim[1].dim_param = "sequence_length"
    graph.input.remove(next(each for each in graph.input if each.name == LOGITS_FROM))
    first = next(each for each in graph.initializer if each.name == LOGITS_FROM)
    first.CopyFrom(numpy_helper.from_array(np.array([np.iinfo(np.int32).min], np.int64), LOGITS_FROM))
    (target / GRAPH).write_bytes(model.SerializeToString())
    return target
