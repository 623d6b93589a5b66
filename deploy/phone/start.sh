#!/bin/sh
# What starts the daemon in the phone's Debian. Its number is for service/edge/control: proot lets no SIGTERM through.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8
export EDGE_CONFIG=/etc/edge-slm/edge.toml STATE_DIRECTORY=/var/lib/edge-slm CACHE_DIRECTORY=/var/cache/edge-slm
umask 077
echo $$ >/run/edge-slm/pid
exec /opt/edge-slm/venv/bin/python -m edge serve
