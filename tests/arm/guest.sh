#!/bin/sh
# Inside the emulated guest: the package from its file to an answer under a memory limit, and what the limit does.
set -eu
group=/sys/fs/cgroup/system.slice/edge.service
drop_in=/etc/systemd/system/edge.service.d/70-memory.conf

wait_until_active() {
    until systemctl is-active --quiet edge; do sleep 1; done
}

say() {
    echo "guest: $*"
}

say machine "$(uname -m)"
say links "$(ls /sys/class/net | tr '\n' ' ')"
dpkg -i /root/edge-slm.deb
say installed "$(cut -d ' ' -f 1 /proc/uptime)"
mkdir -p "${drop_in%/*}"
edge doctor --unit > "$drop_in"
say limit "$(sed -n 's/^MemoryMax=\([0-9]*\)M$/\1/p' "$drop_in")"
systemctl daemon-reload
systemctl restart edge
wait_until_active
say memory.max "$(cat $group/memory.max)"
say answer "$(edge ask --max-tokens 8 "What is the capital of France?")"
say memory.peak "$(cat $group/memory.peak)"

# Half of what it holds: the kernel ends somebody of this unit, and systemd or the daemon starts them anew.
say killed.before "$(dmesg | grep -c 'Memory cgroup out of memory' || true)"
systemctl set-property --runtime edge MemoryHigh=infinity "MemoryMax=$(($(cat $group/memory.current) / 2))"
until dmesg | grep -q 'Memory cgroup out of memory'; do sleep 1; done
say killed "$(dmesg | grep -c 'Memory cgroup out of memory')"
systemctl set-property --runtime edge MemoryMax=infinity
wait_until_active
say again "$(edge ask --max-tokens 8 "What is the capital of France?")"
say done "$(cut -d ' ' -f 1 /proc/uptime)"
