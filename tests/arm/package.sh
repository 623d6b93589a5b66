#!/bin/sh
# On an arm64 root whose programs run by themselves: the package's own broker and daemon, one question over MQTT.
# package.sh ROOT BUNDLE, in user, mount, pid and network namespaces of its own (`unshare --map-root-user -mpfn`).
set -e
root=$1 bundle=$2
mount --make-rprivate /
ip link set lo up
# A table of foreign programs of our own, since Linux 6.7 (Documentation/admin-guide/binfmt-misc.rst).
mkdir -p "$root/proc" "$root/dev" "$root/bundle" "$root/tmp" "$root/var/lib/edge-slm" "$root/var/cache/edge-slm"
mount -t binfmt_misc binfmt_misc "$root/tmp"
sed 's/:[^:]*$/:F/; s,:/usr/libexec[^:]*,:/usr/bin/qemu-aarch64-static,' /usr/lib/binfmt.d/qemu-aarch64.conf > "$root/tmp/register"
mount -t proc proc "$root/proc"
mount --bind "$root/cpuinfo" "$root/proc/cpuinfo"
mount --rbind /dev "$root/dev"
mount --bind "$bundle" "$root/bundle"
cd "$root"
exec chroot . /bin/sh -ec '
export HOME=/ EDGE_DEVICE=board EDGE_ENGINE__BUNDLE=/bundle EDGE_ENGINE__VERIFY_HASHES=false
edge --version
edge bundle verify /bundle
edge broker > /broker.log 2>&1 &
edge serve > /serve.log 2>&1 &
until grep -q online /serve.log; do
    kill -0 $! || { cat /serve.log; exit 1; }
    sleep 1
done
edge ask --device board --max-tokens 8 "What is the capital of France?"
uname -m
'
