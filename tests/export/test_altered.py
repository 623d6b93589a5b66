"""Altered checkpoints: each is refused by the name of what is altered, or says what Transformers says of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.bundle import read_manifest
from export.errors import ExportError
from export.source import Source, open_source
from export.source.adapter import AdapterSource
from tests.export import beside
from tests.export.altered import CASES, Case, Made, loaded

pytestmark = [
    pytest.mark.trace,
    pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="the trace extra is not installed"),
]
LENGTHS = (9, 30, 50, 70, 100)


def opened(made: Made) -> Source:
    """What is exported."""
    source = open_source(made.path)
    return AdapterSource(source, made.adapter) if made.adapter else source


def exported(made: Made, target: Path) -> tuple[Path | None, str]:
    """The float bundle, or why there is none."""
    try:
        return beside.float_bundle(opened(made), target), ""
    except ExportError as error:
        return None, str(error)


def theirs(made: Made) -> Any:
    """Transformers' model, with PEFT's adapter; None where it cannot load it, or had to make up a tensor of it."""
    import transformers

    if made.reference is None:
        return None
    try:
        _, found = transformers.AutoModelForCausalLM.from_pretrained(made.reference, output_loading_info=True)
        if found["missing_keys"] or found["mismatched_keys"]:
            return None
        model = with_adapter(loaded(made.reference), made.adapter).eval()
        is_sound = np.isfinite(beside.their_logits(model, [5, 6, 7])).all()
    except Exception:  # whatever it is: Transformers does not read this
        return None
    return model if is_sound else None


def with_adapter(model: Any, adapter: Path | None) -> Any:
    """With PEFT's own way of adding it."""
    if adapter is None:
        return model
    from peft import PeftModel

    return PeftModel.from_pretrained(model, adapter)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_altered_checkpoint_is_refused_by_name_or_right(case: Case, tmp_path):
    """What Transformers cannot read is refused; what it can is, too, or has its logits. Nothing else, no traceback."""
    if case.kind == "adapters":
        pytest.importorskip("peft")
    made = case.make(tmp_path)
    bundle, refusal = exported(made, tmp_path / "bundle")
    if bundle is None:
        assert any(name in refusal for name in case.names), f"the refusal names none of {case.names}: {refusal}"
        return
    with beside.quiet():
        model = theirs(made)
        assert model is not None, "exported, but Transformers cannot read it"
        assert read_manifest(bundle).context_length >= LENGTHS[0], "no text was short enough to compare"
        worst = max(beside.differences(bundle, model, *LENGTHS))
    assert worst < beside.TOLERANCE, "exported, and other logits than Transformers'"
