#!/bin/sh
# Boot a Debian of its own for a package, over an overlay, with no network but loopback, in a private mount namespace.
# boot_package.sh FOLDER ROOT PACKAGES BUNDLE; prints the PID of nspawn, ends when the machine does.
set -eu
folder=$1 root=$2 packages=$3 bundle=$4
mount --make-rprivate /
mkdir -p "$folder/t"
mount -t tmpfs tmpfs "$folder/t"
mkdir "$folder/t/u" "$folder/t/w" "$folder/t/m"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/t/u,workdir=$folder/t/w" "$folder/t/m"
mkdir -p "$folder/t/m/mnt/packages" "$folder/t/m/mnt/bundle"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
systemd-nspawn -D "$folder/t/m" --boot --register=no --keep-unit --private-network --console=pipe --quiet \
    --capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON --system-call-filter=bpf --resolv-conf=off --timezone=off \
    --bind-ro="$packages:/mnt/packages" --bind-ro="$bundle:/mnt/bundle" \
    systemd.unit=multi-user.target < /dev/null > "$folder/console.log" 2>&1 &
nspawn=$!
echo "$nspawn"
wait "$nspawn"
