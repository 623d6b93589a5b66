"""What `edge doctor` finds on the machine that it runs on, beside what its sensors tell."""

from __future__ import annotations

import ctypes
import datetime
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from edge.board.clock import Clock, steps_hertz
from edge.board.disk import is_on_sd_card
from edge.board.files import Files
from edge.board.memory import available_bytes
from edge.bundle import MANIFEST, Manifest, read_manifest
from edge.commands.boards import boards
from edge.commands.drafting import draft_of
from edge.commands.findings import Finding, Reading, bad, look
from edge.commands.running import run
from edge.commands.serve import checked_bundle
from edge.commands.status_rows import part
from edge.config import Settings, config_file
from edge.engine.draft.same_ids import known_ids
from edge.engine.text.exact import MISSING, is_installed
from edge.errors import BundleError
from edge.governor import PRESETS
from edge.mqtt.client import Client
from edge.service.guard import preset_name
from edge.service.looks import heat
from edge.store.store import Store

WRITTEN = datetime.date(2026, 11, 27)
"""No clock that is right says an earlier day than the one on which this was written."""
TIME_ERROR = 5
"""adjtimex(2): nothing keeps the kernel's clock."""
TIMEX_BYTES = 512
"""More than `struct timex` has anywhere; all zeros, it asks and changes nothing."""
SLOW = {"powersave", "userspace"}
SCALES_ITSELF = {"intel_pstate", "amd-pstate", "amd-pstate-epp"}
"""Drivers whose `powersave` goes as fast as needed (admin-guide/pm/intel_pstate.rst, amd-pstate.rst)."""
BESIDE_MAX = 20
"""Bundles that are looked at beside the configured one."""


def program(settings: Settings) -> Iterator[Finding]:
    """Processor, Python, and where the settings come from."""
    yield Finding(f"{platform.machine()}, {platform.system()} {platform.release()}, Python {platform.python_version()}")
    yield Finding(f"settings from {config_file() or 'defaults and environment'}; this board is {settings.device}")


def clock(settings: Settings) -> Iterator[Finding]:
    """Who chooses the processor's clock (admin-guide/pm/cpufreq.rst)."""
    files = Files(settings.telemetry.root)
    for policy in files.names("sys/devices/system/cpu/cpufreq", "policy*"):
        chosen, driver = (files.text(f"{policy}/{name}") for name in ("scaling_governor", "scaling_driver"))
        if chosen in SLOW and driver not in SCALES_ITSELF:
            where = f"{settings.telemetry.root / policy}/scaling_governor"
            yield look(f"{Path(policy).name} is held by {chosen}: `echo ondemand | sudo tee {where}` lets it go")


def date(_settings: Settings) -> Iterator[Finding]:
    """Whether the system's time can be right: certificates and logs go by it."""
    yield dated(datetime.datetime.now(tz=datetime.UTC).date(), is_kept())


def dated(today: datetime.date, is_kept: bool | None) -> Finding:
    """What a clock says that others keep right, or not; None is not known."""
    keep = "`sudo timedatectl set-ntp true`, or install chrony"
    if today < WRITTEN:
        return bad(
            f"the clock says {today}, and this program is younger: {keep}; a clock module keeps it without power"
        )
    return look(f"the clock says {today}, and nothing keeps it: {keep}") if is_kept is False else Finding(f"{today}")


def is_kept() -> bool | None:
    """Whether something keeps the kernel's clock by others' (adjtimex(2)); None where that cannot be asked."""
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def swap(settings: Settings) -> Iterator[Finding]:
    """Whether memory is moved to an SD card (proc_swaps(5))."""
    text = Files(settings.telemetry.root).text("proc/swaps") or ""
    names = [line.split()[0] for line in text.splitlines()[1:] if line.strip()]
    for name in names:
        if lies_on_sd_card(Path(name), settings.telemetry.root):
            advice = f"zram is faster (`sudo apt install systemd-zram-generator`), `sudo swapoff {name}` ends it"
            yield look(f"swap {name} lies on an SD card, which wears out and is slow: {advice}")
    if not names:
        yield Finding("no swap: where memory runs out, the kernel ends a process")


def lies_on_sd_card(place: Path, root: Path) -> bool:
    """A swap file, or a partition by its name, such as /dev/mmcblk0p2."""
    if not place.is_relative_to("/dev"):
        return is_on_sd_card(place, root)
    device = (root / "sys/class/block" / place.name).resolve()
    kinds = [disk / "device/type" for disk in (device, device.parent)]
    return any(kind.is_file() and kind.read_text().strip() == "SD" for kind in kinds)


def bundle(settings: Settings) -> Iterator[Finding]:
    """Whether the bundle in use may be loaded, and what those beside the operator's own need."""
    free = available_bytes(settings.telemetry.root)
    configured = settings.engine.bundle
    in_use = Store(settings.store.folder).in_use(configured)
    manifest = read_manifest(in_use)
    draft = draft_of(settings)
    yield fits(manifest, free, draft.manifest if draft else None)
    if draft:
        known = int(known_ids(in_use, draft.path, manifest.vocab_size).sum())
        yield Finding(f"{draft.path} drafts for it, and knows {known} of its {manifest.vocab_size} tokens")
    checked_bundle(settings, in_use)
    if manifest.tokenizer == "tokenizers" and not is_installed():
        raise BundleError(MISSING)
    yield Finding(f"{in_use} is whole")
    for other in beside(configured):
        try:
            need = read_manifest(other).memory_floor_bytes
        except BundleError:
            continue
        fate = "would fit" if free is None or need <= free else "would not fit"
        yield Finding(f"beside it, {other.name} needs {mebibytes(need)} and {fate}")


def fits(manifest: Manifest, free: int | None, draft: Manifest | None = None) -> Finding:
    """The arithmetic: weights, keys and values of a whole context, and the rest against what is free.

    draft: of the bundle that guesses for it, which is in memory beside it.
    """
    texts, need = manifest.kv_bytes_per_token * manifest.context_length, manifest.memory_floor_bytes
    rest = max(0, need - manifest.weights_bytes - texts)
    parts = f"{mebibytes(manifest.weights_bytes)} of weights + {mebibytes(texts)} for {manifest.context_length} tokens"
    beside = f" + {mebibytes(draft.memory_floor_bytes)} for {draft.name}, which drafts" if draft else ""
    need += draft.memory_floor_bytes if draft else 0
    text = f"{manifest.name}: {parts} + {mebibytes(rest)} to work with{beside} = {mebibytes(need)}"
    if free is None:
        return Finding(f"{text}; nothing tells how much is free")
    return Finding(f"{text}; {mebibytes(free)} are free{'' if need <= free else ', which is too little'}")


def beside(configured: Path) -> list[Path]:
    """Other folders with a manifest where the configured one lies."""
    try:
        folders = sorted(each.parent for each in configured.resolve().parent.glob(f"*/{MANIFEST}"))
    except OSError:
        return []
    return [each for each in folders if each != configured.resolve()][:BESIDE_MAX]


def mebibytes(count: int) -> str:
    """Without digits behind the point."""
    return f"{count / 2**20:.0f} MiB"


def journal(settings: Settings) -> Iterator[Finding]:
    """Whether what is accepted can be written down."""
    folder = settings.journal.folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    yield Finding(f"in {folder}, {shutil.disk_usage(folder).free / 2**30:.1f} GiB free")


def governor(settings: Settings, body: Reading) -> Iterator[Finding]:
    """Whether the board may be slowed down before its firmware does, as which board, and by which means."""
    wanted = settings.governor
    if not wanted.enabled:
        yield Finding("off (governor.enabled): nothing slows the engine down before the board's firmware does")
        return
    name = preset_name(wanted, body)
    preset = PRESETS[name]
    _, trip = heat(part(body, "thermal"), None if preset.is_firm else preset.limit_celsius)
    own, margin = preset.limit(trip), preset.margin_celsius
    limit = own if wanted.limit_celsius is None else wanted.limit_celsius
    kept = limit - (margin if wanted.margin_celsius is None else wanted.margin_celsius)
    if "thermal" in body:
        yield Finding(f"on, to stay below {kept:.0f} °C by the preset {name}; `edge status` tells what it does")
    else:
        yield Finding("on, but no temperature is known: it looks after memory, supply and battery alone")
    if steps_hertz(Files(settings.telemetry.root)):
        without = (
            "it sets no clock, and pauses instead, which costs more tokens: docs/operator.md, Clocks, has a helper"
        )
        yield Finding("it lowers the clock before it pauses" if Clock().is_there else without)


def broker(settings: Settings) -> Iterator[Finding]:
    """Whether a broker answers and takes us, and which boards it knows."""
    run(connect(settings))
    where = f"{settings.broker.host}:{settings.broker.port}"
    yield Finding(f"{where} takes us with MQTT {settings.broker.protocol}")
    known = run(boards(settings))
    if known and settings.device not in known:
        names = ", ".join(sorted(known)[:BESIDE_MAX])
        yield Finding(f"it knows {names}; `edge doctor --device NAME` looks at one of them")


async def connect(settings: Settings) -> None:
    """BrokerError where it does not."""
    async with Client(settings.broker, settings.device):
        pass


CHECKS: dict[str, Callable[[Settings], Iterator[Finding]]] = {
    "program": program,
    "date": date,
    "clock": clock,
    "swap": swap,
    "bundle": bundle,
    "journal": journal,
    "broker": broker,
}
"""By their names on a line. The governor's wants readings, too."""
