"""A whole arm64 Debian under QEMU: its own kernel and systemd, and memory limits that act.

Nothing of it is configured under emulation, which takes many minutes: a configured Debian of this machine's processor
lends what its packages' scripts have written (`/etc`, dpkg's database), and the files are arm64's.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from export.download import default_cache
from tests.conftest import ROOT
from tests.systemd.packages import RELEASES, debian

TOOLS = ("qemu-system-aarch64", "mmdebstrap", "dpkg-deb", "depmod", "modprobe", "cpio", "mkfs.ext4")
HERE = Path(__file__).parent
RELEASE = 12
KERNEL = "linux-image-cloud-arm64"
MODULES = ("virtio_pci", "virtio_blk", "ext4")
"""What the kernel lacks to find its disk."""
DISK_BYTES = 3 * 2**30
MACHINE = "-M virt,gic-version=3 -accel tcg,thread=multi -cpu cortex-a76 -m 2048 -smp 2 -nographic -no-reboot -nic none"
"""A Pi 5's cores and the memory of its smallest, with no network at all."""
WORDS = "console=ttyAMA0 panic=-1 quiet systemd.show_status=false systemd.mask=serial-getty@ttyAMA0.service"
"""Without panic=-1 a panic hangs for ever; a login's prompt would take the console from us."""
OURS, THEIRS = ("amd64", "x86_64-linux-gnu"), ("arm64", "aarch64-linux-gnu")


def base() -> Path:
    """The arm64 Debian, made once and kept in the cache."""
    root = default_cache() / "arm64-guest"
    if not (root / "made").is_file():
        lender = debian(RELEASE)
        shutil.rmtree(root, ignore_errors=True)
        query = ["dpkg-query", f"--admindir={lender / 'var/lib/dpkg'}", "--show", "--showformat=${Package},"]
        names = subprocess.run(query, check=True, capture_output=True, text=True).stdout
        options = ["--quiet", "--variant=extract", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"]
        options += ["--architectures=arm64", f"--include={names}busybox-static,{KERNEL}"]
        subprocess.run(["mmdebstrap", *options, RELEASES[RELEASE], str(root)], check=True)
        lend(lender, root)
        (root / "made").touch()
    return root


def lend(lender: Path, root: Path) -> None:
    """What the lender's packages have written when they were configured, as arm64's would have."""
    subprocess.run(["cp", "-a", f"{lender}/etc/.", str(root / "etc")], check=True)
    for name in ("ld.so.cache", f"ld.so.conf.d/{OURS[1]}.conf"):
        (root / "etc" / name).unlink(missing_ok=True)
    (root / "etc/machine-id").write_text("")  # where there is none, the first boot asks questions
    shutil.rmtree(root / "var/lib/dpkg", ignore_errors=True)
    shutil.copytree(lender / "var/lib/dpkg", root / "var/lib/dpkg", symlinks=True)
    database = root / "var/lib/dpkg"
    for path in [database / "status", *(database / "info").iterdir()]:
        content = path.read_bytes()
        for ours, theirs in zip(OURS, THEIRS, strict=True):
            content = content.replace(ours.encode(), theirs.encode())
        path.write_bytes(content)
        path.rename(path.with_name(path.name.replace(f":{OURS[0]}.", f":{THEIRS[0]}.")))


def disk(folder: Path, package: Path, bundle: Path) -> Path:
    """An ext4 of the base with a package and a bundle, which runs `guest.sh` when it is up."""
    root = folder / "root"
    subprocess.run(["cp", "-a", str(base()), str(root)], check=True)
    for name in ("boot", "usr/lib/modules"):
        shutil.rmtree(root / name)
    shutil.copytree(bundle, root / "srv/edge-slm/bundle")
    shutil.copy(package, root / "root/edge-slm.deb")
    shutil.copy(HERE / "guest.sh", root / "root")
    shutil.copy(HERE / "guest.service", root / "etc/systemd/system")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    (wants / "guest.service").symlink_to("../guest.service")
    image = folder / "disk.ext4"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", "-d", str(root), str(image)], check=True)
    shutil.rmtree(root)
    return image


def start_of(folder: Path) -> tuple[Path, Path]:
    """The kernel, and a first filesystem of one program and a few modules that finds the disk."""
    root = base()
    kernel = next((root / "boot").glob("vmlinuz-*"))
    version = kernel.name.removeprefix("vmlinuz-")
    subprocess.run(["depmod", "-b", str(root), version], check=True)
    show = ["modprobe", "--dirname", str(root), "--set-version", version, "--show-depends"]
    lines = [subprocess.run([*show, name], check=True, capture_output=True, text=True).stdout for name in MODULES]
    modules = list(dict.fromkeys(re.findall(r"insmod (\S+)", "".join(lines))))
    tree = folder / "first"
    (tree / "bin").mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", tree / "bin")
    for number, module in enumerate(modules):
        shutil.copy(module, tree / f"{number:02}.ko")
    shutil.copy(HERE / "guest-init.sh", tree / "init")
    (tree / "init").chmod(0o755)
    archive = folder / "first.cpio"
    with archive.open("wb") as file:
        names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
        command = ["cpio", "--quiet", "--create", "--format=newc"]
        subprocess.run(command, check=True, cwd=tree, input=names.encode(), stdout=file)
    return kernel, archive


def missing() -> str:
    """What has to be installed first, in words; empty where nothing has."""
    tools = [tool for tool in TOOLS if shutil.which(tool) is None]
    who = [] if os.getuid() == 0 else ["root"]
    hint = ": apt install qemu-system-arm mmdebstrap cpio kmod" if tools else ""
    return ", ".join(who + tools) + hint


def tried(folder: Path, bundle: Path) -> dict[str, str]:
    """What `guest.sh` told, by name, with the last commit's package.

    RuntimeError, with the console, where it broke off.
    """
    words = [f"--release={RELEASE}", f"--architecture={THEIRS[0]}", f"--into={folder / 'packages'}"]
    subprocess.run([sys.executable, "-m", "deploy.deb", *words], cwd=ROOT, check=True)
    console = run(folder, next((folder / "packages").glob("edge-slm_*.deb")), bundle.resolve())
    said = dict(re.findall(r"^guest: (\S+) (.*)$", console, re.MULTILINE))
    if "done" not in said:
        raise RuntimeError(console)
    return said


def run(folder: Path, package: Path, bundle: Path, seconds: float = 900) -> str:
    """Boot it, let `guest.sh` do its work, and return what the console said. TimeoutExpired where it hangs."""
    kernel, first = start_of(folder)
    drive = f"file={disk(folder, package, bundle)},format=raw,if=virtio,cache=unsafe"
    command = ["qemu-system-aarch64", *MACHINE.split(), "-kernel", str(kernel), "-initrd", str(first)]
    command += ["-drive", drive, "-append", WORDS]
    console = folder / "console.log"
    with console.open("wb") as file:
        silent = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": subprocess.STDOUT}
        subprocess.run(command, timeout=seconds, check=False, **silent)
    return console.read_text(encoding="utf-8", errors="replace").replace("\r", "")
