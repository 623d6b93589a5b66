"""Where a bundle goes: what `--force` replaces, what it leaves, and that nothing of ours stays beside it."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.bundle import open_bundle
from export import workshop
from export.errors import TargetError
from export.naming import name_of, valid
from export.target import check_free, default_place, is_mount, is_there, place_of
from tests import places
from tests.conftest import ROOT
from tests.export import small_model

OPTIONS = ["--method=rtn", "--context=64", "--allow-loss"]


def run(model: Path | str, *options: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """An export of a small model, from a folder."""
    command = [*places.COMMAND, str(model), *OPTIONS, *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with a checkpoint and its bundle."""
    room = tmp_path_factory.mktemp("made")
    places.made(room)
    done = run("source", "-o", "bundle", cwd=room)
    assert done.returncode == 0, done.stderr
    return room


@pytest.fixture
def room(made, tmp_path) -> Path:
    """The same for a test to change."""
    return shutil.copytree(made, tmp_path / "room")


@pytest.mark.parametrize("kind", places.KINDS, ids=lambda kind: kind.__name__)
def test_force_leaves_what_is_no_bundle(made, tmp_path, kind):
    """Twelve kinds of places: a sentence, exit status 1, and every file, link and folder around it as before."""
    assert places.is_left_whole(kind, tmp_path, made / "bundle")


def test_force_replaces_a_bundle(room):
    """A damaged one too, by a path with a slash behind it and `..` in it; and nothing lies beside it afterwards."""
    (room / "bundle/model.onnx").write_bytes(b"")
    done = run("source", "-o", "source/../bundle/", "--force", cwd=room)
    assert done.returncode == 0, done.stderr
    open_bundle(room / "bundle")
    assert sorted(path.name for path in room.iterdir()) == ["bundle", "source"]


def test_a_link_to_a_bundle_stays_and_its_bundle_is_replaced(room):
    """What the link leads to is new, the link is the same; one that leads nowhere is refused."""
    (room / "link").symlink_to("bundle")
    before = (room / "bundle").stat().st_ino
    assert run("source", "-o", "link", "--force", cwd=room).returncode == 0
    assert (room / "link").is_symlink()
    assert (room / "bundle").stat().st_ino != before
    (room / "dangling").symlink_to("nowhere")
    assert "leads nowhere" in run("source", "-o", "dangling", "--force", cwd=room).stderr
    assert not (room / "nowhere").exists()


@pytest.mark.slow
def test_the_default_name_is_never_the_sources(made, tmp_path):
    """From the parent of the checkpoint, in it, and for the folder `.`: a bundle beside it, whose name is said."""
    for number, (model, inside) in enumerate((("source", ""), ("source/", ""), ("./source", ""), (".", "source"))):
        room = tmp_path / str(number)
        shutil.copytree(made / "source", room / "source")
        before = places.state(room / "source")
        done = run(model, cwd=room / inside)
        assert done.returncode == 0, done.stderr
        assert "the bundle goes to source-bundle" in done.stderr or inside
        bundle = next(path.parent for path in room.rglob("manifest.json"))
        assert open_bundle(bundle).manifest.name == "source"
        after = places.state(room / "source")
        assert {name: after[name] for name in before if "/source/" in name} == {
            name: value for name, value in before.items() if "/source/" in name
        }


def test_names_are_made_of_what_is_there():
    """Dots are part of a folder's name; of a file's only the type goes; what a manifest does not take is left out."""
    for given, wanted in {
        "SmolLM2-1.7B-Instruct": "SmolLM2-1.7B-Instruct",
        "my model": "my-model",
        "Größe 7 (neu)": "Grosse-7-neu",
        ".hidden": "hidden",
        "owner@main": "owner-main",
        "模型": "model",
        "x" * 80: "x" * 64,
        "phi-3.5.gguf": "phi-3.5",
        "phi-3.5-00001-of-00003.gguf": "phi-3.5",
        "Phi-3.Q4_0.gguf": "Phi-3.Q4_0",
    }.items():
        assert name_of(Path(given)) == wanted
        assert valid(wanted) == wanted


def test_the_name_of_a_folder_that_ends_like_a_file(tmp_path):
    """It is kept whole; `.` and `..` are called what they are called from outside."""
    (tmp_path / "model.gguf/inner").mkdir(parents=True)
    assert name_of(tmp_path / "model.gguf") == "model.gguf"
    assert name_of(tmp_path / "model.gguf/inner/..") == "model.gguf"


def test_where_something_else_lies_if_missing_says_so(room):
    """A bundle is left, a folder of something else is no bundle."""
    assert is_there(room / "bundle")
    assert not is_there(room / "nothing")
    with pytest.raises(TargetError, match="is no bundle"):
        is_there(room / "source")
    done = run("source", "-o", "source", "--if-missing", cwd=room)
    assert (done.returncode, "is no bundle" in done.stderr) == (1, True)


def test_a_mounted_disk_is_not_replaced(room):
    """Nor is a folder of the same disk that is mounted there, of which no number tells."""
    assert is_mount(Path("/proc"))
    if os.geteuid() or not shutil.which("unshare"):
        pytest.skip("needs root and unshare, to mount something")
    shutil.copytree(room / "bundle", room / "mounted")
    export = f"{sys.executable} -m export source -o mounted --force {' '.join(OPTIONS)}"
    script = f"mount --bind bundle mounted && {export}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], cwd=room, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "where a disk is mounted" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("in_the_way", ["folder", "file", "link"])
def test_what_is_no_workshop_of_ours_is_left(made, tmp_path, in_the_way):
    """A `.NAME.partial` that no export made is named, and stays as it is, as a `.NAME.old` does."""
    partial = tmp_path / ".bundle.partial"
    files = places.files(tmp_path / "letters", a__txt="dear")
    places.files(tmp_path / ".bundle.old", a__txt="dear")
    {
        "folder": lambda: shutil.copytree(files, partial),
        "file": lambda: partial.write_text("mine"),
        "link": lambda: partial.symlink_to(files),
    }[in_the_way]()
    before = places.state(tmp_path)
    done = run(made / "source", "-o", "bundle", cwd=tmp_path)
    assert (done.returncode, ".bundle.partial is in the way" in done.stderr) == (1, True), done.stderr
    assert places.state(tmp_path) == before


@pytest.mark.slow
def test_what_a_killed_export_left_is_cleared_by_the_next(tmp_path):
    """SIGKILL leaves a workshop behind; the next export of that name takes it for what it is."""
    source = long_model(tmp_path / "source")
    running = started(source, tmp_path / "out/bundle")
    wait_for(tmp_path / "out/.bundle.partial/bundle/model.onnx.data", running)
    running.kill()
    running.communicate()
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".bundle.partial"]
    assert run(source, "-o", tmp_path / "out/bundle", cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["bundle"]


def long_model(folder: Path, layers: int = 40) -> Path:
    """A small model with layers enough to be stopped among them."""
    weights = small_model.llama_weights()
    many = {k.replace("layers.1", f"layers.{i}"): v for i in range(2, layers) for k, v in weights.items()}
    return small_model.write_checkpoint(folder, weights | many, num_hidden_layers=layers)


def started(source: Path, target: Path) -> subprocess.Popen[str]:
    """An export that runs."""
    command = [*places.COMMAND, str(source), "-o", str(target), *OPTIONS]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(file: Path, running: subprocess.Popen[str]) -> None:
    """Until an export has begun a file."""
    while not file.exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize(
    "file",
    [
        "rehearsal",
        pytest.param("rehearsal/genai_config.json", marks=pytest.mark.slow),
        pytest.param("bundle/model.onnx.data", marks=pytest.mark.slow),
        pytest.param("bundle/model.onnx", marks=pytest.mark.slow),
    ],
)
def test_a_signal_leaves_nothing_behind(tmp_path, number, file):
    """In a rehearsal, while the engine is asked, among layers: the shell's status, a sentence, no file, no child."""
    source = long_model(tmp_path / "source")
    running = started(source, tmp_path / "out/bundle")
    wait_for(tmp_path / "out/.bundle.partial" / file, running)
    running.send_signal(number)
    _, said = running.communicate(timeout=60)  # it ends with the last child that holds its standard error
    assert running.returncode == 128 + number, said
    assert "Traceback" not in said
    assert said.count("stopped; nothing was left behind") == 1
    assert not (tmp_path / "out").exists()


def test_a_signal_that_is_ignored_stays_so(tmp_path, made):
    """What `nohup` has us ignore does not end an export."""
    command = ["nohup", *places.COMMAND, str(made / "source"), "-o", str(tmp_path / "bundle"), *OPTIONS]
    running = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(tmp_path / ".bundle.partial", running)
    running.send_signal(signal.SIGHUP)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_while_pip_downloads(tmp_path, number):
    """The pip that we have started ends with us, and the cache holds nothing half-made."""
    pip = "import os, sys, time; print(os.getpid(), flush=True, file=sys.stderr); time.sleep(60)"
    tools = places.files(tmp_path / "tools/pip")
    (tools / "__main__.py").write_text(pip)
    (tools / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": f"{tools.parent}:{ROOT}"}
    command = [*places.COMMAND, "smollm2-135m", "-o", str(tmp_path / "out"), "--cache", str(tmp_path / "cache")]
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    assert "downloading" in running.stderr.readline()
    child = int(running.stderr.readline())
    running.send_signal(number)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 128 + number, said
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("tools", "cache")] == []
    assert list((tmp_path / "cache").iterdir()) == []


def bundle_pair(folder: Path) -> tuple[Path, Path, Path]:
    """A workshop with something new, and a place with something old."""
    target, own = folder / "target", folder / ".target.partial"
    places.files(target, a__txt="old")
    places.files(own / workshop.BUNDLE, a__txt="new")
    (own / workshop.MARK).write_text(workshop.WORDS)
    return own, own / workshop.BUNDLE, target


def test_an_exchange_is_one_step(tmp_path):
    """The place has the new bundle, the workshop the old one."""
    own, made, target = bundle_pair(tmp_path)
    workshop.put(made, target, replaces=True)
    assert (target / "a.txt").read_text() == "new"
    assert (own / workshop.BUNDLE / "a.txt").read_text() == "old"
    assert ctypes.CDLL(None).renameat2


def test_a_place_that_is_taken_meanwhile_is_left(tmp_path):
    """Without `--force` nothing that has come there since is replaced, not even an empty folder."""
    _, made, target = bundle_pair(tmp_path)
    with pytest.raises(TargetError, match="meanwhile"):
        workshop.put(made, target, replaces=False)
    assert (target / "a.txt").read_text() == "old"


def test_an_exchange_in_two_steps_that_breaks_off_between_them(tmp_path):
    """The old bundle is in the workshop then, and the next export of that name puts it back before all else."""
    own, _, target = bundle_pair(tmp_path)
    target.rename(own / workshop.OLD)
    with workshop.staging(target) as folder:
        assert (target / "a.txt").read_text() == "old"
        assert [path.name for path in folder.iterdir()] == [workshop.MARK]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_a_place_that_another_owns_is_refused_first(room):
    """What could not be replaced at the end is not begun."""
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (room / "bundle").chmod(0o500)
    with pytest.raises(TargetError, match="cannot be replaced"):
        check_free(room / "bundle", force=True)


def test_a_source_within_its_own_place(room):
    """Neither a bundle that holds what is read is replaced, nor one in the source's folder."""
    bundle = shutil.copytree(room / "bundle", room / "source/bundle")
    with pytest.raises(TargetError, match="which this export reads"):
        check_free(room / "bundle", True, [room / "bundle/golden.json"])
    with pytest.raises(TargetError, match="which this export reads"):
        check_free(bundle, True, [room / "source"])


def test_a_bundle_in_the_cache_is_replaced_and_the_cache_is_not(room):
    """`make` keeps its bundle there."""
    check_free(room / "bundle", True, cache=room)
    with pytest.raises(TargetError, match="is or holds the cache"):
        check_free(room / "bundle", True, cache=room / "bundle")


def test_an_empty_output_is_no_folder(room):
    """It would be the one that we are in."""
    done = run("source", "-o", "", "--force", cwd=room)
    assert (done.returncode, "is empty" in done.stderr) == (2, True)


def test_a_default_place_beside_its_source(tmp_path, monkeypatch):
    """Neither the source's, nor what holds it, nor within it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    assert default_place("a", Path("a")) == Path("a-bundle")
    assert default_place("a", Path("a/b")) == Path("a-bundle")
    assert default_place("b", Path("a/b")) == Path("b")
    assert place_of(Path("a/../b")) == tmp_path / "b"
