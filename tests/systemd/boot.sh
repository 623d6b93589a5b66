#!/bin/sh
# Boot a real systemd over an overlay of this machine's root, in a private mount namespace.
# boot.sh FOLDER ETC REPOSITORY BUNDLE; prints the PID of nspawn, ends when the machine does.
set -eu
folder=$1 etc=$2 repository=$3 bundle=$4
mount --make-rprivate /
mkdir -p "$folder/t"
mount -t tmpfs tmpfs "$folder/t"
mkdir "$folder/t/u" "$folder/t/w" "$folder/t/m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/t/u,workdir=$folder/t/w" "$folder/t/m"
mkdir -p "$folder/t/m/etc/systemd/system" "$folder/t/m/opt/edge-slm" "$folder/t/m/srv/edge-slm/bundle"
cp -r "$etc"/. "$folder/t/m/etc/"
rm -f "$folder/t/m/etc/systemd/system/multi-user.target.wants/"*
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
systemd-nspawn -D "$folder/t/m" --boot --register=no --keep-unit --private-network --console=pipe --quiet \
    --capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON --system-call-filter=bpf \
    --bind-ro="$repository:/opt/edge-slm/repository" --bind-ro="$bundle:/srv/edge-slm/bundle" \
    systemd.unit=basic.target < /dev/null > "$folder/console.log" 2>&1 &
nspawn=$!
echo "$nspawn"
wait "$nspawn"
