"""What an export is run in: streams that nobody reads, folders that are gone or closed, names that no file can have."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge.bundle import open_bundle
from tests.conftest import ROOT
from tests.export import small_model

pytestmark = pytest.mark.slow
EXPORT = f"{sys.executable} -m export"
QUICK = "--method=rtn --context=64 --allow-loss"


@pytest.fixture
def room(tmp_path) -> Path:
    """A folder with a checkpoint."""
    small_model.write_checkpoint(tmp_path / "source", small_model.llama_weights())
    return tmp_path


def shell(room: Path, script: str, *before: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A script's end, run in a folder. before: a command that runs it."""
    told = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        [*before, "bash", "-c", script], cwd=room, env=told, capture_output=True, text=True, timeout=100, check=False
    )


def sentence(ended: subprocess.CompletedProcess[str]) -> str:
    """The one that an export has ended with, at exit status 1."""
    (last,) = [line for line in ended.stderr.splitlines() if line.startswith("edge-export: ")]
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    return last


@pytest.mark.parametrize("streams", ["2>/dev/full", "<&- >&- 2>&-", "2> >(true)"])
def test_words_that_nobody_hears_are_no_reason_to_end(room, streams):
    """The bundle is made where standard error is full, closed or a pipe without a reader."""
    assert shell(room, f"{EXPORT} source -o bundle {QUICK} {streams}").returncode == 0
    assert open_bundle(room / "bundle").manifest.name == "source"


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", [f"source -o bundle {QUICK}", "source --dry-run --context=64", "--help"])
def test_a_result_that_is_lost_is_told(room, command, unbuffered):
    """A sentence and exit status 1, once, where standard output is full; the bundle is made."""
    ended = shell(room, f"{EXPORT} {command} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    assert "standard output: No space left" in sentence(ended)
    assert "Exception" not in ended.stderr
    assert (room / "bundle").exists() == ("-o" in command)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (f"source -o {'x' * 300}", "File name too long"),
        (f"source -o {'x' * 250}", "File name too long"),
        (f"{'x' * 300}", "File name too long"),
        ("source -o $'\\xff'", "not UTF-8"),
        ("source -o /proc/bundle", "/proc cannot be written"),
        ("source -o source/config.json/bundle", "name another place"),
        ("source -o a/b/c --calibration nowhere", "nowhere cannot be read"),
        ("source -o a/b/c --context 99999", "exact up to 128"),
    ],
)
def test_a_path_that_cannot_be_is_refused(room, command, says):
    """A sentence, at once, and nothing is left, no folder for the bundle either."""
    assert says in sentence(shell(room, f"{EXPORT} {command}"))
    assert [path.name for path in room.iterdir()] == ["source"]


@pytest.mark.parametrize("words", ["source -o ''", "''", "source -o '~/bundle'", f"source --context {'9' * 5000}"])
def test_an_argument_that_cannot_be_meant_is_refused(room, words):
    """In the parser's words, and short."""
    ended = shell(room, f"{EXPORT} {words}")
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()[-1]) < 200
    assert [path.name for path in room.iterdir()] == ["source"]


def test_in_a_folder_that_is_gone(room):
    """A bundle elsewhere is made and replaced; one in that folder is refused in a sentence."""
    gone, source = "mkdir gone && cd gone && rmdir ../gone", room / "source"
    made = shell(room, f"{gone}; for each in 1 2; do {EXPORT} {source} -o {room}/bundle --force {QUICK}; done")
    assert made.returncode == 0, made.stderr
    assert "name another" in shell(room, f"{gone}; {EXPORT} {source} {QUICK}").stderr.splitlines()[-1]


def test_without_a_home(room):
    """A user who has none exports what lies here, and is told what to say for a download."""
    who = ("unshare", "--user", "--map-user=54321")
    if shell(room, "true", *who).returncode:
        pytest.skip("nobody can be made here")
    made = shell(room, f"unset HOME; {EXPORT} source -o bundle {QUICK}", *who)
    assert made.returncode == 0, made.stderr
    assert "--cache DIR" in sentence(shell(room, f"unset HOME; {EXPORT} smollm2-135m -o other", *who))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model-1.safetensors", "."])
def test_a_file_that_we_may_not_read_is_named(room, file):
    """It and not the place where the bundle goes to."""
    who = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
    (room / "source" / file).chmod(0)
    said = sentence(shell(room, f"{EXPORT} source -o bundle", *who))
    (room / "source" / file).chmod(0o700)
    assert f"source/{file}".removesuffix("/.") in said
    assert "cannot be written" not in said
    assert [path.name for path in room.iterdir()] == ["source"]


def test_a_bundle_in_the_lower_layer_of_an_overlay_is_replaced(room):
    """Its folder can be neither exchanged nor renamed there, as in a container whose image brought it."""
    script = f"""set -e; {EXPORT} source -o bundle {QUICK}
        mount -t tmpfs none t && mkdir t/lower t/upper t/work t/all && mv bundle t/lower/old || exit 77
        mount -t overlay -o lowerdir=t/lower,upperdir=t/upper,workdir=t/work none t/all || exit 77
        {EXPORT} source -o t/all/old --name new --force {QUICK}
        ls -A t/all; grep '"name": "new"' t/all/old/manifest.json"""
    (room / "t").mkdir()
    ended = shell(room, script, "unshare", "-m")
    if ended.returncode in (1, 77) and ("unshare" in ended.stderr or "mount:" in ended.stderr):
        pytest.skip("nothing can be mounted here")
    assert ended.returncode == 0, ended.stderr
    assert "\nold\n" in ended.stdout
    assert ".old.partial" not in ended.stdout
