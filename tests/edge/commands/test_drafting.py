"""`engine.draft`: where it is looked for, what it takes, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.commands import doctor_machine
from edge.commands.bundle_cache import users
from edge.commands.doctor_unit import MIB, drop_in
from edge.commands.drafting import draft_bytes, draft_folder, draft_of
from edge.commands.serve import checked_bundle, opened_shelf, served_from
from edge.config import Engine, Model, Settings, Telemetry
from edge.engine import Options
from edge.engine.opening import open_engine
from edge.errors import BundleError, ConfigError
from edge.testing import scripted_manifest, write_tree
from tests.conftest import embedded_broker, serving, wait_until
from tests.edge.commands.test_doctor import found_by


def bundle_at(folder: Path, need_mib: int = 1, **changes: object) -> Path:
    """A scripted bundle that wants so much memory."""
    manifest = scripted_manifest(memory_floor_bytes=need_mib * MIB, **changes)
    write_tree(folder, {"manifest.json": manifest.model_dump_json()})
    return folder


def settings(folder: Path, draft: str, board_mib: int = 1000, **more: object) -> Settings:
    """A board whose bundle is `own` in a folder."""
    root = write_tree(
        folder / "root", {"proc/meminfo": f"MemTotal: {board_mib << 10} kB\nMemAvailable: {board_mib << 9} kB\n"}
    )
    return Settings(engine=Engine(bundle=folder / "own", draft=draft), telemetry=Telemetry(root=root), **more)


def test_where_it_is_looked_for(tmp_path):
    """A path is one; a name is that of a table, of a folder beside the bundle, or of what lies in one."""
    own, small = bundle_at(tmp_path / "own", name="large"), bundle_at(tmp_path / "folder", name="small")
    other = bundle_at(tmp_path / "elsewhere/other")
    models = {"quick": Model(bundle=other)}
    asked = {"": None, str(other): other, "quick": other, "folder": small, "small": small, "large": own}
    for name, wanted in asked.items():
        assert draft_folder(settings(tmp_path, name, models=models)) == wanted
    with pytest.raises(BundleError, match=r"no bundle nobody in \[models\] or in .*write its folder's path"):
        draft_folder(settings(tmp_path, "nobody"))
    with pytest.raises(BundleError, match=r"engine\.draft: .*/nothing is not a bundle"):
        draft_of(settings(tmp_path, str(tmp_path / "nothing")))
    assert draft_bytes(settings(tmp_path, "")) == 0
    assert users(small, settings(tmp_path, "small")) == ["engine.draft"]
    assert users(small, settings(tmp_path, "nobody")) == []


def test_its_memory_counts(tmp_path):
    """Both floors together, before it is started, in a trial, and in the unit's limits; not for further bundles."""
    bundle_at(tmp_path / "own", 300)
    small = bundle_at(tmp_path / "small", 150)
    board = settings(tmp_path, "small", models={"small": Model(bundle=small)})
    assert checked_bundle(board, verify_hashes=False).path == tmp_path / "own"
    served = served_from(board, tmp_path / "own", "engine.bundle")
    assert served.memory_floor_bytes == 450 * MIB
    (shelf,) = opened_shelf(board).manifests
    assert shelf.memory_floor_bytes == 150 * MIB
    assert "which wants 514 MiB" in drop_in(board)
    with pytest.raises(BundleError, match=r"own with its draft needs 450 MiB of free memory, but this board has 400"):
        checked_bundle(settings(tmp_path, "small", 800), verify_hashes=False)


def test_what_the_doctor_says(tmp_path, bundle):
    """The arithmetic of both, and how many tokens it knows; a bundle with other tokens is named."""
    board = settings(tmp_path, str(bundle), 64_000)
    board = board.model_copy(update={"engine": Engine(bundle=bundle, draft=str(bundle), verify_hashes=False)})
    texts = [text for text, _ in found_by(lambda: doctor_machine.bundle(board))]
    assert "for smollm2-135m-instruct, which drafts = " in texts[0]
    assert texts[1].endswith("drafts for it, and knows 49152 of its 49152 tokens")


def test_other_engines_take_none(bundle):
    """It is said, not passed over."""
    with pytest.raises(ConfigError, match=r"engine\.draft is for the batched engine, and .* is run by the genai one"):
        open_engine(bundle, Options(kind="genai", draft=str(bundle)))


@pytest.mark.slow
def test_a_daemon_with_a_draft(bundle, tmp_path):
    """It is opened by its name, and the engine answers its warm-up."""
    own = tmp_path / "bundles/own"
    own.parent.mkdir()
    own.symlink_to(bundle)
    draft = {"EDGE_ENGINE__DRAFT": "smollm2-135m-instruct"}
    with embedded_broker(tmp_path) as port, serving(own, port, tmp_path, **draft) as daemon:
        wait_until(lambda: "model ready" in daemon.log.read_text(), 120)
        assert daemon.stop() == 0
