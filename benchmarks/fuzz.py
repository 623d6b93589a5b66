"""All of MQTT 5 and 3.1.1, well made and spoilt, through both brokers at a running daemon."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure
from tests.conftest import embedded_broker, mosquitto, running
from tests.fuzz import fuzz
from tests.storm import daemon_settings

COUNT = 200_000
BROKERS = (embedded_broker, mosquitto)
VERSIONS = {"5": 5, "3.1.1": 4}


def measure(_bundle: Path) -> list[Figure]:
    """Packets, connections of the daemon beyond its first, and acknowledged requests without an answer."""
    packets = again = lost = asked = 0
    for seed, (broker, protocol) in enumerate((broker, protocol) for broker in BROKERS for protocol in VERSIONS):
        with tempfile.TemporaryDirectory() as name, broker(Path(name)) as port:
            log = Path(name) / "daemon.log"
            settings = {
                **daemon_settings(Path(name), port),
                "EDGE_BROKER__PROTOCOL": protocol,
                "EDGE_LOG_LEVEL": "info",
            }
            with running([sys.executable, "-m", "edge.testing"], log, settings):
                tally = fuzz(port, VERSIONS[protocol], COUNT // 4, seed)
            connects = log.read_text(errors="replace").count("INFO connected to")
        packets, asked, lost = packets + tally.packets, asked + len(tally.asked), lost + len(tally.lost)
        again += connects - 1
        print(
            f"{broker.__name__}, MQTT {protocol}: {tally.packets} packets, {len(tally.asked)} requests,"
            f" {len(tally.lost)} lost, {connects} connections",
            file=sys.stderr,
            flush=True,
        )
    return [
        Figure("fuzz_packets", packets, "packets", ">=", COUNT),
        Figure("fuzz_connections_again", again, "connections", "==", 0),
        Figure("fuzz_requests_lost", lost, f"of {asked}", "==", 0),
    ]
