#!/bin/sh
# An arm64 Debian without systemd as the phone has it: deploy/phone's inner half installs, the daemon is started as its
# service does, asked once, and ended by SIGTERM. What SELinux keeps from apps on Android is closed, and root's right to
# read it all the same is given up.
# phone.sh ROOT INSTALL WHEELS BUNDLE WHEEL, in user, mount, pid and network namespaces (`unshare --map-root-user -mpfn`).
set -e
root=$1 install=$2 wheels=$3 bundle=$4 wheel=$5
mount --make-rprivate /
ip link set lo up
# A table of foreign programs of our own, since Linux 6.7 (Documentation/admin-guide/binfmt-misc.rst).
mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/run/edge-slm" "$root/etc/edge-slm" "$root/srv/edge-slm/bundle" \
    "$root/mnt/install" "$root/mnt/wheels"
mount -t binfmt_misc binfmt_misc "$root/tmp"
sed 's/:[^:]*$/:F/; s,:/usr/libexec[^:]*,:/usr/bin/qemu-aarch64-static,' /usr/lib/binfmt.d/qemu-aarch64.conf > "$root/tmp/register"
mount -t proc proc "$root/proc"
mount --bind "$root/cpuinfo" "$root/proc/cpuinfo"
for name in stat loadavg; do
    install -m 000 /dev/null "$root/denied-$name"
    mount --bind "$root/denied-$name" "$root/proc/$name"
done
zone=$root/sys/class/thermal/thermal_zone0
mkdir -p "$zone"
echo battery > "$zone/type"
echo 30000 > "$zone/temp"
chmod 000 "$zone/temp"
mkdir -p "$root/sys/devices/system/cpu"
for name in possible present online; do echo 0-1 > "$root/sys/devices/system/cpu/$name"; done
mount --rbind /dev "$root/dev"
mount --bind "$install" "$root/mnt/install"
mount --bind "$wheels" "$root/mnt/wheels"
mount --bind "$bundle" "$root/srv/edge-slm/bundle"
cp "$install/edge.toml" "$root/etc/edge-slm/edge.toml"
cd "$root"
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin chroot . /bin/sh -ec '
export HOME=/root PIP_QUIET=1 PIP_NO_COMPILE=1 PYTHONDONTWRITEBYTECODE=1
sh /mnt/install/inside.sh "$1" ""
echo "installed: $(edge --version)"
unset PIP_QUIET PIP_NO_COMPILE
export EDGE_ENGINE__VERIFY_HASHES=false EDGE_TELEMETRY__PERIOD_SECONDS=5
printf %s "{\"percentage\":80,\"status\":\"DISCHARGING\",\"temperature\":30.5}" > /run/edge-slm/battery.json
edge broker > /broker.log 2>&1 &
setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-dac_override,-dac_read_search /opt/edge-slm/start > /serve.log 2>&1 &
daemon=$!
until grep -q online /serve.log; do
    kill -0 $daemon || { cat /serve.log; exit 1; }
    sleep 1
done
[ "$(cat /run/edge-slm/pid)" = $daemon ]
edge ask --device phone --max-tokens 8 "What is the capital of France?"
echo "status: $(edge status --device phone --json)"
kill -TERM $(cat /run/edge-slm/pid)
code=0; wait $daemon || code=$?
cat /serve.log
echo "exit status: $code"
' - "$wheel"
