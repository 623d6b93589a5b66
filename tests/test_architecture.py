"""The house's rules: who imports whom, one file a third-party client, stand-ins instead of patches."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from edge.__main__ import COMMANDS

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path for folder in ("edge", "export") for path in (ROOT / folder).rglob("*.py"))
ONE_FILE = {  # the broker is a folder: the codec's packets are its vocabulary; so is genai: a model and a tokenizer
    "paho": "edge/mqtt/paho_client.py",
    "onnxruntime_genai": "edge/engine/genai/",
    "onnxruntime": ("edge/engine/graph/session.py", "export/runtime.py"),
    "llguidance": "edge/engine/text/guidance.py",
    "mqtt5": "edge/mqtt/broker/",
    "wyoming": "edge/doors/assist/",
    "starlette": "edge/doors/http/",
    "uvicorn": "edge/doors/http/server.py",
    "prometheus_client": "edge/doors/prometheus.py",
    "jinja2": "edge/engine/text/chat_template.py",
    "gguf": "export/source/gguf/",
    "huggingface_hub": "export/source/hub.py",
    "leather": "export/charts.py",
    "safetensors": "export/source/shards.py",
    "tokenizers": "edge/engine/text/exact.py",
    "torch": ("export/trace.py", "export/vision_trace.py", "export/oracle.py"),
    "transformers": ("export/trace.py", "export/vision_trace.py", "export/oracle.py"),
    "peft": "export/oracle.py",
    "optimum": ("export/trace.py", "export/vision_trace.py"),
    "PIL": "edge/engine/pictures/crops.py",
    "pynvml": "edge/board/nvml.py",
    "pypdfium2": "edge/documents/pdf.py",
    "rich": "edge/commands/status_live.py",
    "tuf": ("edge/store/trust.py", "export/channel/"),
    "urllib3": ("edge/store/fetch.py", "edge/doors/upstream.py"),
    "cryptography": ("edge/store/signature.py", "export/channel/"),
    "model_signing": "export/channel/",
}
NEIGHBOURS = {  # a room of edge/, and those that it may import; a room is a package or a file beside them
    "errors": set(),
    "bundle": {"errors"},
    "wire": {"errors"},
    "board": {"errors"},
    "governor": {"errors"},
    "documents": {"errors"},
    "config": {"errors", "bundle", "wire"},
    "engine": {"errors", "bundle", "wire", "board", "documents"},
    "store": {"errors", "bundle", "wire", "board", "config"},
    "mqtt": {"errors", "wire", "config"},
    "service": {"errors", "bundle", "wire", "board", "governor", "config", "engine", "store"},
    "doors": {"errors", "wire", "config"},
    "commands": {
        "errors",
        "bundle",
        "wire",
        "board",
        "governor",
        "config",
        "engine",
        "store",
        "mqtt",
        "service",
        "doors",
        "documents",
    },
    "testing": {"errors", "bundle", "wire", "config", "engine", "store", "service", "commands"},
    "__main__": {"errors", "commands"},
}
FLOORS_MAX = 8
OF_EDGE = {  # what the export knows of the daemon: the contract, the engine to measure with, what both must do alike
    "edge.errors",
    "edge.bundle",
    "edge.config",
    "edge.engine",
    "edge.service.worker",
    "edge.wire.pictures",
    "edge.board.disk",
    "edge.board.memory",
    "edge.store.index",
    "edge.store.fetch",  # a repository is looked at as a board would
    "edge.store.trust",
    "edge.wire.topics",
}
FUNCTION_LINES_MAX, FUNCTION_LINES_P90, FUNCTION_LINES_MEDIAN, FILE_LINES_MAX = 50, 16, 6, 350

FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


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


def room(name: str) -> str | None:
    """The room of edge/ that a module belongs to; None for a module elsewhere and for edge itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "edge" and len(parts) > 1 and parts[1] in NEIGHBOURS else None


def drawn() -> dict[str, set[str]]:
    """Each room of edge/ with the rooms that it imports."""
    rooms: dict[str, set[str]] = {}
    for path in (ROOT / "edge").rglob("*.py"):
        if (own := room(module(path))) is not None:
            rooms.setdefault(own, set()).update({room(name) for name in imported(path)} - {None, own})
    return rooms


def test_each_room_imports_its_allowed_neighbours_alone():
    """The table above is the house; a file beside the rooms that is not in it would be a room of its own."""
    there = {path.relative_to(ROOT / "edge").with_suffix("").parts[0] for path in (ROOT / "edge").rglob("*.py")}
    assert there - {"__init__"} == set(NEIGHBOURS)
    for own, others in drawn().items():
        assert others <= NEIGHBOURS[own], own


def floors(rooms: dict[str, set[str]]) -> int:
    """How many lie above each other, each room above all that it imports; ValueError where they go in a circle."""
    count = 0
    while rooms:
        lowest = {name for name, others in rooms.items() if not others & set(rooms)}
        if not lowest:
            raise ValueError(f"a circle among {sorted(rooms)}")
        rooms = {name: others for name, others in rooms.items() if name not in lowest}
        count += 1
    return count


def test_the_house_has_few_floors():
    """The command line is at the top."""
    assert floors(drawn()) <= FLOORS_MAX


def test_edge_does_not_know_export_and_export_knows_little_of_edge():
    """The bundle is the contract between the two programs; what else the export takes is named above."""
    for path in SOURCES:
        names = imported(path)
        if path.relative_to(ROOT).parts[0] == "edge":
            assert not {name.split(".")[0] for name in names} & {"export", "deploy", "torch", "optimum", "transformers"}
        else:
            strange = {name for name in names if name.startswith("edge.") and not name.startswith(tuple(OF_EDGE))}
            assert strange == set(), path


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


def function_lengths() -> list[int]:
    """Lines of every function, the shortest first."""
    trees = (ast.parse(path.read_text()) for path in SOURCES)
    functions = (node for tree in trees for node in ast.walk(tree) if isinstance(node, FUNCTION))
    return sorted((node.end_lineno or node.lineno) - node.lineno + 1 for node in functions)


def file_lengths() -> list[int]:
    """Lines of every file, the shortest first."""
    return sorted(path.read_text().count("\n") for path in SOURCES)


def test_functions_fit_in_a_glance():
    """None is longer than a screen, the median is a handful of lines, and no file is a long read."""
    lengths = function_lengths()
    assert lengths[-1] <= FUNCTION_LINES_MAX
    assert lengths[len(lengths) // 2] <= FUNCTION_LINES_MEDIAN
    assert lengths[int(len(lengths) * 0.9)] <= FUNCTION_LINES_P90
    assert file_lengths()[-1] <= FILE_LINES_MAX


def test_every_package_says_where_to_start():
    """Its docstring names the file to begin with, and every file but a subcommand's."""
    for path in SOURCES:
        if path.name == "__init__.py" and path.parent.parent.is_relative_to(ROOT / "edge"):
            text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
            assert "Start reading in" in text, path
            files = {each.name for each in path.parent.glob("*.py")} - {"__init__.py"}
            named = {f"{command}.py" for command in COMMANDS} if path.parent.name == "commands" else set()
            assert {name for name in files - named if name not in text} == set(), path
