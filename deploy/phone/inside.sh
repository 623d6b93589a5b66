#!/bin/sh
# Inside the phone's Debian, as its root: Python by apt, the locked packages and the daemon's wheel by pip.
# inside.sh WHEEL INDEX. /mnt/install holds both; /mnt/wheels, where it is there, the locked packages; INDEX may be empty.
set -eu
wheel=$1 index=$2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
home=/opt/edge-slm venv=/opt/edge-slm/venv

if ! python3 -c 'import ensurepip, venv' 2>/dev/null || ! [ -e /etc/ssl/certs/ca-certificates.crt ]; then
    apt-get update
    apt-get install -y --no-install-recommends python3 python3-venv ca-certificates libgomp1 libstdc++6
fi
python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || {
    echo "edge-slm: this Debian's Python is not 3.11 to 3.13: install Debian 12 or 13" >&2
    exit 1
}

mkdir -p "$home" /usr/local/sbin
"$venv/bin/python" -c '' 2>/dev/null || python3 -m venv --clear "$venv"
set -- --disable-pip-version-check --no-deps --only-binary=:all:
if [ -d /mnt/wheels ]; then set -- "$@" --no-index --find-links=/mnt/wheels; fi
if [ -n "$index" ]; then set -- "$@" --index-url="$index"; fi
"$venv/bin/python" -m pip install "$@" --require-hashes -r /mnt/install/board.lock
"$venv/bin/python" -m pip install "$@" --no-index --force-reinstall "/mnt/install/$wheel"

install -m 755 /mnt/install/start.sh "$home/start"
ln -sf "$venv/bin/edge" /usr/local/sbin/edge
# Android's own mark, by which the daemon knows a phone: nothing else of /system is bound in.
mkdir -p /system /etc/edge-slm /var/lib/edge-slm /var/cache/edge-slm /srv/edge-slm/bundle
[ -e /system/build.prop ] || : >/system/build.prop
# Where the daemon looks for Termux:API: what Termux's own program has said, out there (service/edge-battery).
prefix=/data/data/com.termux/files/usr
mkdir -p "$prefix/bin"
if [ -f /mnt/install/battery.sh ]; then
    install -m 755 /mnt/install/battery.sh "$prefix/bin/termux-battery-status"
else
    rm -f "$prefix/bin/termux-battery-status"
fi
