"""A stand-in of Termux: its prefix with the programs that deploy/phone calls, which write down how they were called.

What `proot-distro login` runs sees a root folder of its own, by mount namespaces or by the real proot, with this
machine's programs and our interpreter in it. Where runit is installed it can be the real one.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT

SCRIPT = ROOT / "deploy/phone/install.sh"
LOGGED = '#!/bin/sh\necho "${0##*/} $*" >> "$TERMUX_CALLS"\n'
BATTERY = '{"health":"GOOD","percentage":80,"status":"DISCHARGING","temperature":30.5,"current":-394}'
PROGRAMS = {
    "pkg": "",
    "uname": 'echo "${TERMUX_MACHINE:-aarch64}"\n',
    "termux-wake-lock": "",
    "termux-wake-unlock": "",
    "termux-battery-status": f"echo '{BATTERY}'\n",
    "service-daemon": "",
    "sv": "",
    "sv-enable": 'rm -f "$SVDIR/$1/down"\n',
}
RUNIT = {  # as termux-services has them, with runit's own sv and runsvdir
    "service-daemon": '[ -e "$PREFIX/runsvdir" ] || { setsid runsvdir "$SVDIR" & echo $! > "$PREFIX/runsvdir"; }\n',
    "sv-enable": 'rm -f "$SVDIR/$1/down"\nexec sv up "$1"\n',
}
PROOT_DISTRO = r"""
[ "$1 $2" = "login --help" ] && exec echo "  --minimal  $TERMUX_NO_MINIMAL" | sed "s/--minimal  no//"
containers=$PREFIX/var/lib/proot-distro/containers
case $1 in
    install) mkdir -p "$containers/$3/rootfs"; exec cp -R "$TERMUX_IMAGE/." "$containers/$3/rootfs" ;;
    remove) exec rm -rf "$containers/$2" ;;
esac
root=$containers/$2/rootfs
[ -d "$root" ] || { echo "container '$2' is not installed." >&2; exit 1; }
shift 2
binds=$TERMUX_BINDS
while [ "$1" != -- ]; do
    case $1 in --bind) binds="$binds $2"; shift ;; esac
    shift
done
shift
for bind in $binds; do
    place=$root/${bind#*:}
    if [ -d "${bind%%:*}" ]; then
        mkdir -p "$place"
    else
        mkdir -p "${place%/*}"
        : >> "$place"
    fi
done
command=
for word; do command="$command '$(printf %s "$word" | sed "s/'/'\\\\''/g")'"; done
if [ -n "$TERMUX_PROOT" ]; then
    set -- -r "$root" -w /
    for bind in $binds; do set -- "$@" -b "$bind"; done
    exec env -i TERM=dumb "$TERMUX_PROOT" "$@" /bin/sh -c "$command"
fi
exec unshare --map-root-user --mount /bin/sh -ec '
    root=$1; shift; binds=$1; shift
    mount --make-rprivate /
    for bind in $binds; do mount --rbind "${bind%%:*}" "$root/${bind#*:}"; done
    exec env -i TERM=dumb /usr/sbin/chroot "$root" /bin/sh -c "$1"
' - "$root" "$binds" "$command"
"""
PYTHON = """#!/bin/sh
case "$1 $2" in
    "-m venv")
        mkdir -p "$4/bin"
        sed "s/-m venv/-m none/" "$0" > "$4/bin/python"
        exec chmod 755 "$4/bin/python" ;;
    "-m pip") echo "$*" >> /pip.log; exit 0 ;;
esac
PYTHONPATH={root} exec {python} "$@"
"""
APT = '#!/bin/sh\necho "$*" >> /apt.log\nmkdir -p /etc/ssl/certs\n: > /etc/ssl/certs/ca-certificates.crt\n'


class Termux:
    """One phone's. has_runit: whether services are the real runit's. Logins are by the proot that TERMUX_PROOT has."""

    def __init__(self, folder: Path, *, has_runit: bool = False) -> None:
        self.prefix, self.home = folder / "usr", folder / "home"
        self._calls, self._has_runit = folder / "calls", has_runit
        for path in (self.prefix / "bin", self.prefix / "var/service", self.home):
            path.mkdir(parents=True)
        programs = {**PROGRAMS, **RUNIT} if has_runit else PROGRAMS
        for name, body in {**programs, "proot-distro": PROOT_DISTRO}.items():
            if not (has_runit and name == "sv"):
                _program(self.prefix / "bin" / name, LOGGED + body)
        (self.prefix / "bin/sh").symlink_to("/bin/sh")
        _program(self.prefix / "share/termux-services/svlogger", _svlogger())
        self.env = {
            "PATH": f"{self.prefix}/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "PREFIX": str(self.prefix),
            "HOME": str(self.home),
            "TERMUX_VERSION": "0.118.3",
            "TERMUX_CALLS": str(self._calls),
            "TERMUX_IMAGE": str(_image(folder / "image")),
            "TERMUX_BINDS": " ".join(_binds()),
            "TERMUX_PROOT": "",
            "SYSFS": str(_cores(folder / "sys")),
            "SVDIR": str(self.prefix / "var/service"),
            "LOGDIR": str(self.prefix / "var/log"),
        }

    @property
    def root(self) -> Path:
        """Of the Debian that is installed."""
        return self.prefix / "var/lib/proot-distro/containers/edge-slm/rootfs"

    @property
    def service(self) -> Path:
        """The daemon's."""
        return self.prefix / "var/service/edge"

    def install(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """The script with such options."""
        return self.run(["sh", str(SCRIPT), *words], **env)

    def run(self, command: Sequence[str], **env: str) -> subprocess.CompletedProcess[str]:
        """A program in Termux."""
        all_env = {**self.env, **env}
        with (self.home.parent / "output").open("w+") as output:  # not a pipe, which what it leaves running would keep
            done = subprocess.run(command, env=all_env, stdout=output, stderr=output, timeout=120, check=False)
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, output.read())

    def calls(self) -> list[str]:
        """How its programs were called since this was last asked."""
        said = self._calls.read_text().splitlines() if self._calls.exists() else []
        self._calls.write_text("")
        return said

    def close(self) -> None:
        """End what runit keeps up."""
        number = self.prefix / "runsvdir"
        if number.exists():
            os.kill(int(number.read_text()), signal.SIGHUP)  # it ends them in order


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _svlogger() -> str:
    return '#!/bin/sh\nmkdir -p "$LOGDIR/sv/edge"\nexec cat >> "$LOGDIR/sv/edge/current"\n'


def _binds() -> list[str]:
    """What of this machine the root sees: its programs, our interpreter with its libraries, the project."""
    base = Path(sys.base_prefix)
    is_shared = base in (Path("/usr"), Path("/usr/local"))
    ours = [sys.prefix, *([f"{base}/bin", f"{base}/lib"] if is_shared else [str(base)]), str(ROOT)]
    theirs = ["/usr/bin", "/usr/lib", "/lib", "/lib64", "/bin", "/proc", "/dev", "/sys"]
    bundle = os.environ.get("TEST_BUNDLE")
    paths = [path for path in (*theirs, *ours, *([bundle] if bundle else [])) if Path(path).exists()]
    return [f"{path}:{path}" for path in dict.fromkeys(paths)]


def _image(folder: Path) -> Path:
    """What proot-distro unpacks: the few programs of Debian's that are not this machine's."""
    programs = folder / "usr/local/sbin"  # before the folder that may be this machine's
    _program(programs / "python3", PYTHON.format(root=ROOT, python=sys.executable))
    _program(programs / "apt-get", APT)
    for name in ("tmp", "root", "etc", "run", "mnt"):
        (folder / name).mkdir()
    return folder


def _cores(root: Path) -> Path:
    """Four slow ones, three fast ones, one faster still."""
    for core, hertz in enumerate([1_800_000] * 4 + [2_400_000] * 3 + [2_900_000]):
        path = root / f"devices/system/cpu/cpu{core}/cpufreq/cpuinfo_max_freq"
        path.parent.mkdir(parents=True)
        path.write_text(f"{hertz}\n")
    return root


def missing(*programs: str) -> str:
    """Which of these are not installed; empty where all are."""
    return ", ".join(name for name in programs if shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin") is None)


def wait_for_text(path: Path, text: str, seconds: float = 120) -> str:
    """A file's text once it holds this."""
    until = time.monotonic() + seconds
    while text not in (said := path.read_text(errors="replace") if path.exists() else ""):
        if time.monotonic() > until:
            raise TimeoutError(f"{path} lacks {text!r} after {seconds:g} s:\n{said}")
        time.sleep(0.1)
    return said
