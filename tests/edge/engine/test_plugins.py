"""Providers that come as plugins, with the plugins themselves: `make providers-test` installs them.

No device of theirs is here. WebGPU runs on SwiftShader, Chromium's Vulkan on the processor: emulated, not hardware. So
that onnxruntime looks for a GPU at all, a private mount namespace shows it a card in sysfs. QNN offers its emulator.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import open_bundle
from edge.engine import Options
from edge.engine.graph.plugins import devices
from edge.engine.providers import row_of
from edge.engine.static.graph import FixedGraph
from edge.errors import BundleError
from export.fixed import making
from export.plan import make_plan
from export.recipe import Recipe
from export.source import open_source
from tests.export import small_model
from tests.export.test_pipeline import NO_LIMITS, export

SWIFTSHADER = Path("/usr/lib/chromium/vk_swiftshader_icd.json")
pytestmark = [
    pytest.mark.providers,
    pytest.mark.skipif("RUN_PROVIDERS" not in os.environ, reason="wants the providers' wheels: make providers-test"),
]
TOLD = """
import sys
from pathlib import Path
from edge import engine
from edge.engine import Job, Options
from edge.engine.opening import open_engine
opened = open_engine(Path(sys.argv[1]), Options(provider=sys.argv[2], threads=2))
engine.answer(opened, Job(1, [{"role": "user", "content": "hello there"}], 40), lambda text: print(text, end=""))
"""
CARD = {"vendor": "0x1af4\n", "device": "0x1050\n", "class": "0x030000\n", "uevent": "DRIVER=virtio\n"}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A bundle of two layers for WebGPU."""
    folder = tmp_path_factory.mktemp("small")
    source = small_model.write_checkpoint(folder / "llama", small_model.llama_weights())
    recipe = Recipe(licence="none", context_length=64, limits=NO_LIMITS, method="rtn", accuracy_level=0)
    return export(source, folder / "webgpu", recipe.model_copy(update={"provider": "webgpu"}))


def with_a_card(folder: Path, *command: str) -> list[str]:
    """A command that finds a graphics card in sysfs, and SwiftShader behind it."""
    classes = folder / "class"
    classes.mkdir()
    for each in Path("/sys/class").iterdir():
        if each.name != "drm":
            (classes / each.name).mkdir()
    card = classes / "drm/card0/device"
    card.mkdir(parents=True)
    for name, text in CARD.items():
        (card / name).write_text(text)
    mounted = f'mount --make-rprivate / && mount --bind {classes} /sys/class && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", mounted, "sh", *command]


def answered(command: list[str]) -> str:
    """What it printed."""
    environment = {**os.environ, "VK_ICD_FILENAMES": str(SWIFTSHADER)}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=240, text=True).stdout


def test_webgpu_says_what_the_cpu_says(small, tmp_path):
    """The bundle that the export makes for it, through the engine that serves it, 40 greedy tokens."""
    assert open_bundle(small, provider="webgpu").manifest.kv_cache == "float32"
    run = [sys.executable, "-c", TOLD, str(small)]
    told = answered(with_a_card(tmp_path, *run, "webgpu"))
    assert told.strip()
    assert told == answered([*run, "cpu"])


def test_webgpu_without_a_card():
    """It offers nothing where onnxruntime finds no card; on hardware there may be one."""
    if Path("/sys/class/drm").exists():
        pytest.skip("there may be a card here")
    assert devices(row_of("webgpu")) == []


def test_openvino_offers_intels_devices_alone():
    """None on another maker's processor."""
    if "GenuineIntel" in Path("/proc/cpuinfo").read_text():
        pytest.skip("the processor is Intel's")
    assert devices(row_of("openvino")) == []


EMULATED = pytest.mark.skipif(platform.machine() != "x86_64", reason="the emulator is in the wheel for x86_64")
FIXED = Recipe(
    licence="none",
    method="rtn",
    bits=8,
    provider="qnn",
    context_length=64,
    calibration_tokens=512,
    evaluation_tokens=0,
    prompts=(),
)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory) -> Callable[..., Path]:
    """A bundle of two layers for QNN: what a board compiles, or compiled ahead for a system on a chip.

    One of huge sums has a channel that stays in floats.
    """
    folder = tmp_path_factory.mktemp("fixed")

    def made(soc: str, huge: bool = False) -> Path:
        bundle = folder / f"bundle-{soc}-{huge}"
        if not bundle.exists():
            bundle.mkdir()
            weights = small_model.llama_weights()
            weights["model.layers.0.mlp.down_proj.weight"][7] *= 3000 if huge else 1
            source = open_source(small_model.write_checkpoint(folder / f"llama-{soc}-{huge}", weights))
            making.make(bundle, make_plan(source, FIXED.model_copy(update={"soc": soc})), lambda *_: None)
        return open_bundle(bundle, provider="qnn").path

    return made


@EMULATED
def test_qnn_says_what_the_cpu_says(fixed):
    """Emulator, not hardware: where it takes another token of 48, that is as good as the one that the CPU took."""
    beginnings = [[int(token) for token in np.random.default_rng(seed).integers(3, 96, 11)] for seed in range(2)]
    command = [sys.executable, "-m", "benchmarks.qnn", str(fixed("")), json.dumps(beginnings), "48"]
    found = json.loads(answered(command).rpartition("FOUND ")[2])
    assert found["tokens_equal"] > 0.9
    assert found["margin"] < 0.05


READ = """
import json, sys
from pathlib import Path
import numpy as np
from edge.bundle import Bundle, read_manifest
from edge.engine import Options
from edge.engine.static.graph import FixedGraph
bundle, provider, folder = sys.argv[1:]
graph = FixedGraph(Bundle(Path(bundle), read_manifest(Path(bundle))), Options(provider, cache_folder=folder), 1)
print("FOUND", json.dumps(graph.run(0, np.arange(3, 24)[None], np.zeros(1, np.int64))[0, 0].tolist()))
"""


def read(bundle: Path, provider: str, folder: str = "") -> np.ndarray:
    """The logits after some tokens."""
    told = answered([sys.executable, "-c", READ, str(bundle), provider, folder])
    return np.array(json.loads(told.rpartition("FOUND ")[2]))


@EMULATED
def test_qnn_takes_sums_that_stay_floats(fixed):
    """Emulator, not hardware: in 16 bits, for a system on a chip whose HTP has these."""
    assert np.corrcoef(read(fixed("SM8650", True), "qnn"), read(fixed("", True), "cpu"))[0, 1] > 0.99


@EMULATED
def test_what_qnn_compiles_is_as_what_it_was_given(fixed, tmp_path):
    """Ahead for a Snapdragon, or at the first start and kept for the next: the same tokens, no weights beside it."""
    given, kept = fixed(""), tmp_path / "cache"
    runs = [(given, ""), (given, str(kept)), (given, str(kept)), (fixed("SM8650"), "")]
    first, *others = (read(bundle, "qnn", folder) for bundle, folder in runs)
    for other in others:
        assert np.corrcoef(first, other)[0, 1] > 0.999
    (folder,) = (kept / "compiled").iterdir()
    assert {each.name for each in folder.iterdir()} >= {"slice.onnx", "slice_qnn.bin", "token.onnx", "token_qnn.bin"}
    compiled = open_bundle(fixed("SM8650"), provider="qnn")
    assert compiled.manifest.fixed.soc == "SM8650"
    assert "model.onnx.data" not in compiled.manifest.files
    with pytest.raises(BundleError, match="compiled for SM8650, and cpu cannot run"):
        FixedGraph(compiled, Options(), 1)


@EMULATED
def test_qnn_leaves_our_graph_to_the_cpu(small):
    """Emulator, not hardware: of a graph whose lengths are open it takes what reshapes the mask, and no product."""
    row = row_of("qnn")
    assert [each for each in devices(row) if each.endswith("; emulator, not hardware)")]
    script = (
        "import json, sys, onnxruntime_qnn as qnn; from edge.engine.graph.session import runtime; ort = runtime();"
        f"ort.register_execution_provider_library({row.runtime_name!r}, qnn.get_library_path());"
        "options = ort.SessionOptions(); options.log_severity_level = 3;"
        "options.add_session_config_entry('session.record_ep_graph_assignment_info', '1');"
        f"found = [each for each in ort.get_ep_devices() if each.ep_name == {row.runtime_name!r}];"
        "options.add_provider_for_devices(found, {'backend_path': qnn.get_qnn_htp_path(), 'soc_model': '60'});"
        "parts = ort.InferenceSession(sys.argv[1], options).get_provider_graph_assignment_info();"
        "print('TAKEN', json.dumps({p.ep_name: [n.op_type for n in p.get_nodes()] for p in parts}))"
    )
    told = answered([sys.executable, "-c", script, str(small / "model.onnx")])
    taken = json.loads(told.rpartition("TAKEN ")[2])
    assert set(taken) <= {row.runtime_name, "CPUExecutionProvider"}
    assert not set(taken.get(row.runtime_name, [])) & {"MatMulNBits", "GroupQueryAttention", "MatMul"}
