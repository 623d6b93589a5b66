"""An adopted bundle is measured against its source: the small Llama that `tests/data/genai-builder` was made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from edge.__main__ import main
from edge.bundle import open_bundle
from export.command import run
from tests.conftest import ROOT
from tests.export import small_model


@pytest.fixture
def adopted(tmp_path) -> Path:
    """The builder's folder with a manifest."""
    folder = tmp_path / "adopted"
    assert main(["bundle", "adopt", str(ROOT / "tests/data/genai-builder/llama"), "-o", str(folder)]) == 0
    return folder


@pytest.mark.slow
def test_its_loss_is_in_its_manifest(adopted, tmp_path):
    """What 4 bits cost this model, and the bundle is whole as before; another text is another figure."""
    source = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    assert run([str(source), "--measure", str(adopted)]) == 0
    first = open_bundle(adopted).manifest
    assert 0 < first.fidelity["kl_mean"] < 0.1
    assert set(first.fidelity) == {"kl_mean", "kl_p99", "top1_agreement", "perplexity", "reference_perplexity"}
    text = tmp_path / "text"
    text.write_text("The quick brown fox jumps over the lazy dog, 0123456789 times.\n" * 64)
    assert run([str(source), "--measure", str(adopted), "--evaluation", str(text)]) == 0
    assert open_bundle(adopted).manifest.fidelity != first.fidelity


def test_what_is_not_its_source_or_cannot_be_measured_is_refused(adopted, tmp_path, capsys):
    """By name, and the manifest stays."""
    weights = small_model.llama_weights()
    source = small_model.write_checkpoint(tmp_path / "source", weights)
    larger = {name: value[:-1] if name in small_model.TABLES else value for name, value in weights.items()}
    other = small_model.write_checkpoint(tmp_path / "other", larger, vocab_size=95)
    for words, says in (
        ([str(other), "--measure", str(adopted)], "95"),
        ([str(source), "--measure", str(tmp_path)], "not a bundle"),
        ([str(source), "--measure", str(adopted), "--context", "64"], "--context"),
    ):
        assert run(words) == 1
        assert says in capsys.readouterr().err
    assert open_bundle(adopted).manifest.fidelity == {}


def test_an_adapter_beside_it_is_refused_by_name(adopted, tmp_path, capsys):
    """Its branches are made for graphs of the export."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    assert run([str(adopted), "--adapter", str(folder), "--keep-apart"]) == 1
    assert "export the model from its source" in capsys.readouterr().err


def test_a_graph_that_tells_of_the_last_token_alone(tmp_path, capsys):
    """As the builder makes one with `prune_lm_head`: it is served, and not measured."""
    folder = Path(shutil.copytree(ROOT / "tests/data/genai-builder/llama", tmp_path / "pruned"))
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    last = onnx.helper.make_tensor("last", onnx.TensorProto.INT64, [1], [-1])
    model.graph.initializer.append(last)
    head = next(node for node in model.graph.node if "logits" in node.output)
    gather = onnx.helper.make_node("Gather", [head.input[0], "last"], ["pruned"], axis=1)
    model.graph.node.insert(len(model.graph.node) - 1, gather)
    head.input[0] = "pruned"
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 1
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    assert main(["bundle", "adopt", str(folder), "--in-place"]) == 0
    source = small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    assert run([str(source), "--measure", str(folder)]) == 1
    assert "last token alone" in capsys.readouterr().err
