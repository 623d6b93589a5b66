"""What goes into a package, without building one; `make deb-test` builds and boots them."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

from deploy.deb import kiosk, pack, tree
from deploy.deb.targets import TARGETS, Target
from deploy.deb.wheels import BUILD_ONLY, placed, unpack, wanted
from deploy.lock import EXTRAS
from tests.conftest import ROOT

pytestmark = pytest.mark.checkout
each_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


def closure(name: str, target: Target, extra: str = "") -> Iterator[str]:
    """What a distribution needs on a target, and what that needs."""
    for line in distribution(name).requires or []:
        need = Requirement(line)
        environment = target.marker_environment() | {"extra": extra}
        if need.marker is None or need.marker.evaluate(environment):
            yield need.name.lower()
            yield from closure(need.name, target)


@each_target
def test_a_package_has_what_the_program_needs_and_no_more(target: Target):
    """By what each library says of itself; the exact tokenizer comes alone, without its hub client."""
    names = {name.replace("_", "-") for name, _, _ in wanted(ROOT, target)}
    each = (closure("edge-slm", target, extra) for extra in EXTRAS["board"])
    needed = {name.replace("_", "-") for names in each for name in names}
    assert names == needed | {"tokenizers"}
    assert not names & BUILD_ONLY
    assert all(hashes.count("--hash=sha256:") for _, _, hashes in wanted(ROOT, target))


def test_markers_are_the_targets_and_not_this_pythons():
    """Debian 13's Python takes another numpy than Debian 12's."""
    versions = {target.python: dict(each[:2] for each in wanted(ROOT, target))["numpy"] for target in TARGETS}
    assert versions["3.11"] != versions["3.13"]


def test_of_a_wheel_the_libraries_alone_are_taken(tmp_path: Path):
    """No script that would name this machine's Python, and nothing that climbs out."""
    wheel = tmp_path / "a-1.whl"
    files = (
        "a/__init__.py",
        "a-1.data/platlib/a/more.py",
        "a-1.data/scripts/a",
        "a-1.data/headers/a.h",
        "a/.gitignore",
    )
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in files:
            archive.writestr(name, name)
    unpack(wheel, tmp_path / "site")
    found = {path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*.*")}
    assert found == {"a/__init__.py", "a/more.py"}
    for name in ("../outside.py", "/etc/passwd"):
        with pytest.raises(AssertionError):
            placed(PurePosixPath(name))


@each_target
def test_what_is_laid_out(tmp_path: Path, target: Target):
    """Units name the package's own environment; settings are a conffile; what a systemd does not know is not there."""
    tree.lay_out(ROOT, tmp_path, target)
    units = tmp_path / "usr/lib/systemd/system"
    for unit in units.glob("edge*.service"):
        assert tree.CHECKOUT_HOME not in unit.read_text()
        assert f"/{tree.HOME}/bin/python" in unit.read_text()
    assert (units / "edge.service.d/50-restart.conf").exists() is (target.systemd >= 254)
    assert pack.settings(tmp_path) == [Path("etc/edge-slm/edge.toml")]
    home = tmp_path / tree.HOME
    assert str((home / "bin/python3").readlink()) == f"../../../bin/python{target.python}"
    configuration = configparser.ConfigParser()
    configuration.read_string("[all]\n" + (home / "pyvenv.cfg").read_text())
    assert configuration["all"]["include-system-site-packages"] == "false"


def test_nothing_of_a_machine_is_left(tmp_path: Path):
    """Modes and dates are the same whatever umask and clock there were."""
    (tmp_path / "a").mkdir(mode=0o700)
    (tmp_path / "a/file").write_text("x")
    (tmp_path / "a/file").chmod(0o600)
    tree.settle(tmp_path, 1)
    found = [(path.stat().st_mode & 0o777, path.stat().st_mtime) for path in (tmp_path / "a", tmp_path / "a/file")]
    assert found == [(0o755, 1), (0o644, 1)]


@pytest.mark.parametrize("folder", ["control", "control-kiosk"])
@pytest.mark.parametrize("name", pack.SCRIPTS)
def test_what_dpkg_runs_can_be_read_by_a_shell(folder, name):
    """By the strictest that is here."""
    subprocess.run(["sh", "-n", str(ROOT / "deploy/deb" / folder / name)], check=True)


@each_target
def test_a_control_file_is_whole(target: Target):
    """Each line is a field or goes on with one."""
    lines = pack.described(target, "1", 1).splitlines()
    assert all(line.startswith(" ") or ": " in line for line in lines)
    assert f"Depends: python{target.python}," in "\n".join(lines)


def test_the_kiosks_package_is_laid_out(tmp_path: Path):
    """Its units name the other package's environment, and its settings are conffiles."""
    kiosk.lay_out(ROOT, tmp_path)
    for unit in (tmp_path / "usr/lib/systemd").rglob("*.service"):
        assert tree.CHECKOUT_HOME not in unit.read_text()
    settings = ["chromium/policies/managed/edge-kiosk.json", "edge-slm/kiosk.env", "edge-slm/kiosk/kiosk.json"]
    assert set(pack.settings(tmp_path)) == {Path("etc") / name for name in settings}
    assert (tmp_path / "usr/share/edge-slm-kiosk/page/index.html").is_file()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_the_kiosks_package_is_the_same_whoever_builds_it(tmp_path: Path):
    """Another folder and umask give the same bytes."""
    packages = []
    for umask in (0o022, 0o077):
        before = os.umask(umask)
        try:
            folder = tmp_path / f"{umask:o}"
            (folder / "tree").mkdir(parents=True)
            packages.append(kiosk.build(ROOT, folder / "tree", "1", 1_700_000_000, folder).read_bytes())
        finally:
            os.umask(before)
    assert packages[0] == packages[1]
