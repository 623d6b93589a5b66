"""The announcement of Assist's door: a file for avahi, whose port is the one that every page and setting names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from edge.config import describe
from tests.conftest import ROOT

SERVICE = ROOT / "deploy/avahi/edge-assist.service"
PROGRAMS = ("avahi-daemon", "avahi-browse", "dbus-daemon", "unshare", "ip")
RIGHTS = '<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>'
SCENE = f"""
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir /run/avahi-daemon /run/services
cp {SERVICE} /run/services/
mount -t tmpfs none /etc/avahi
cp -r /run/services /etc/avahi/services
ip link set lo up
ip link add house type veth peer name far
ip link set far up
ip link set house multicast on up
ip addr add 192.0.2.1/24 dev house
ip route add 224.0.0.0/4 dev house
(grep -v ^avahi: /etc/passwd; echo avahi:x:65533:65533::/:/bin/false) > /run/passwd
(grep -v ^avahi: /etc/group; echo avahi:x:65533:) > /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
printf '[server]\\nhost-name=board\\nuse-ipv6=no\\n' > /run/avahi.conf
cat > /run/bus.conf <<END
<busconfig><type>system</type><listen>unix:path=/run/bus</listen><auth>EXTERNAL</auth>
<policy context="default">{RIGHTS}</policy></busconfig>
END
export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/bus
dbus-daemon --config-file=/run/bus.conf --nofork & bus=$!
avahi=
trap 'kill $bus $avahi; wait || true' EXIT
until [ -S /run/bus ]; do sleep 0.1; done
avahi-daemon -f /run/avahi.conf --no-drop-root --no-chroot --no-rlimits --no-proc-title & avahi=$!
until avahi-browse --resolve --terminate --parsable _wyoming._tcp | grep '^=;house;'; do sleep 0.5; done
"""


def test_its_port_is_that_of_every_example():
    """Of the setting's description and of the page; its type is what Home Assistant looks for."""
    service = ElementTree.parse(SERVICE).getroot()
    assert service.tag == "service-group"
    assert service.findtext("service/type") == "_wyoming._tcp"
    port = service.findtext("service/port")
    described = dict(describe())["assist", "address"]
    page = (ROOT / "docs/assist.md").read_text()
    assert set(re.findall(r"127\.0\.0\.1:(\d+)", described)) == {port}
    assert set(re.findall(r"\d\.\d\.\d:(\d{4,})", page)) == {port}


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, PROGRAMS)) or not Path("/etc/avahi").is_dir(),
    reason="wants root, and apt-get install --no-install-recommends avahi-daemon avahi-utils iproute2",
)
def test_avahi_announces_it():
    """A network of its own: the board's name, its address and the port."""
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "timeout", "30", "bash", "-c", SCENE]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert r"Edge\032SLM\032on\032board;_wyoming._tcp;local;board.local;192.0.2.1;10400;" in found
