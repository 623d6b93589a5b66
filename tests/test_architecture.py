"""The house's rules: who imports whom, one file a third-party client, stand-ins instead of patches."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("edge", "export") for path in (ROOT / folder).rglob("*.py"))
ONE_FILE = {  # the broker is a folder: the codec's packets are its vocabulary; so is genai: a model and a tokenizer
    "paho": "edge/mqtt/transport.py",
    "onnxruntime_genai": "edge/engine/genai/",
    "onnxruntime": ("edge/engine/graph/session.py", "export/runtime.py"),
    "llguidance": "edge/engine/text/guidance.py",
    "mqtt5": "edge/mqtt/broker/",
    "jinja2": "edge/engine/text/chat_template.py",
    "gguf": "export/source/gguf.py",
    "huggingface_hub": "export/source/hub.py",
    "leather": "export/report.py",
    "safetensors": "export/source/folder.py",
    "tokenizers": "export/calibration_text.py",
    "torch": ("export/trace.py", "export/vision_trace.py"),
    "optimum": ("export/trace.py", "export/vision_trace.py"),
    "PIL": "edge/engine/pictures/crops.py",
}
FUNCTION_LINES_MAX = 60


def imported(path: Path) -> set[str]:
    """Modules that a file imports, those within functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def module(path: Path) -> str:
    """A file's module name."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("library", ONE_FILE)
def test_a_third_party_client_lives_in_one_file(library):
    """Its replacement is a change of that file alone."""
    users = {
        str(path.relative_to(ROOT)) for path in SOURCES if any(name.split(".")[0] == library for name in imported(path))
    }
    assert all(user.startswith(ONE_FILE[library]) for user in users)


def test_edge_does_not_know_export_and_export_knows_little_of_edge():
    """The bundle is the whole contract between the two programs, the chat template and stand-ins aside."""
    for path in SOURCES:
        tops = {name.split(".")[0] for name in imported(path)}
        if path.relative_to(ROOT).parts[0] == "edge":
            assert not tops & {"export", "deploy", "torch", "optimum", "transformers"}, path


def test_the_service_knows_neither_its_transport_nor_its_engine():
    """It owns the protocols; the wiring is in edge/commands/serve.py."""
    for path in (ROOT / "edge/service").glob("*.py"):
        assert not imported(path) & {"edge.mqtt.transport", "edge.service.worker", "edge.engine.genai.engine"}, path


def test_no_import_circle():
    """Every module can be read after those that it imports."""
    names = {module(path): path for path in SOURCES}
    edges = {name: imported(path) & set(names) - {name} for name, path in names.items()}
    for package in [name for name, path in names.items() if path.name == "__init__.py"]:
        edges[package] = {name for name in edges[package] if not name.startswith(f"{package}.")}
    done: set[str] = set()
    while ready := {name for name in edges if name not in done and edges[name] <= done}:
        done |= ready
    assert set(edges) - done == set()


def test_no_patching_library():
    """Stand-ins are product code, so that users have them too."""
    for path in (ROOT / "tests").rglob("*.py"):
        assert not {name for name in imported(path) if name.startswith("unittest.mock")}, path


def test_functions_fit_in_a_glance():
    """None is longer than a screen; the median is a handful of lines."""
    lengths = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= FUNCTION_LINES_MAX, f"{path}:{node.name}"
                lengths.append(length)
    assert sorted(lengths)[len(lengths) // 2] <= 10
