#!/bin/sh
# Edge SLM on a phone: in Termux, a Debian by proot-distro with the daemon in it, kept up by termux-services.
# docs/phone.md tells what each step is for. It can be run again: what is there is brought up to date, settings stay.
set -eu

usage() {
    cat <<'TEXT'
Usage: sh install.sh --wheel FILE --bundle FOLDER [option ...]
       sh install.sh --uninstall [--purge]

  --wheel FILE         edge_slm-….whl, as `make release` builds it
  --bundle FOLDER      the model's bundle; it is copied
  --lock FILE          what else is installed, with hashes (default: board.lock beside this script, or requirements/)
  --wheels FOLDER      take those from a folder, not from an index
  --index URL          take them from this index, not from pip's own
  --image IMAGE        what proot-distro installs: an image or an archive (default: debian:13)
  --broker HOST[:PORT] the MQTT broker (default: 127.0.0.1:1883)
  --device NAME        the phone's name in topics (default: phone)
  --no-battery         leave the battery alone: neither termux-api nor its service
  --at-boot            start when the phone does; wants the app Termux:Boot
  --uninstall          take services and Debian away; settings, bundle and journal stay
  --purge              with --uninstall: those, too
TEXT
}

say() { printf 'edge-slm: %s\n' "$*"; }

refuse() {
    printf 'edge-slm: %s\n' "$*" >&2
    exit 1
}

wheel='' bundle='' lock='' wheels='' index='' image=debian:13 broker=127.0.0.1:1883 device=phone
battery=yes at_boot=no uninstall=no purge=no
while [ $# -gt 0 ]; do
    case $1 in
        --wheel | --bundle | --lock | --wheels | --index | --image | --broker | --device)
            [ $# -ge 2 ] || refuse "$1 wants a value"
            eval "${1#--}=\$2"
            shift
            ;;
        --no-battery) battery=no ;;
        --at-boot) at_boot=yes ;;
        --uninstall) uninstall=yes ;;
        --purge) purge=yes ;;
        --help | -h) usage && exit 0 ;;
        *) usage >&2 && refuse "$1 is no option" ;;
    esac
    shift
done

here=$(cd "$(dirname "$0")" && pwd)
name=edge-slm
if [ -z "${TERMUX_VERSION:-}" ] || [ ! -d "${PREFIX:-}" ]; then
    refuse "this is not Termux: PREFIX and TERMUX_VERSION are not set. Install Termux from F-Droid or its releases."
fi
home=$HOME/$name
SVDIR=$PREFIX/var/service LOGDIR=$PREFIX/var/log
export SVDIR LOGDIR

stop() {
    for service in edge edge-battery; do
        [ -d "$SVDIR/$service" ] || continue
        sv -w 60 stop "$service" >/dev/null 2>&1 || true
        touch "$SVDIR/$service/down"
    done
}

if [ $uninstall = yes ]; then
    stop
    for service in edge edge-battery; do
        sv -w 60 shutdown "$service" >/dev/null 2>&1 || true
        rm -rf "${SVDIR:?}/$service" "$LOGDIR/sv/$service"
    done
    rm -f "$HOME/.termux/boot/$name"
    ! proot-distro login "$name" -- true >/dev/null 2>&1 || proot-distro remove "$name"
    [ $purge = no ] || rm -rf "$home"
    say "removed$([ $purge = yes ] || printf ', but for settings, bundle and journal in %s' "$home")"
    exit 0
fi

# What is asked for, before anything is changed.
[ -f "$wheel" ] || refuse "--wheel $wheel: no such file"
[ -f "$bundle/manifest.json" ] || refuse "--bundle $bundle: no bundle, which has a manifest.json"
[ -n "$lock" ] || for lock in "$here/board.lock" "$here/../../requirements/board.lock"; do [ ! -f "$lock" ] || break; done
[ -f "$lock" ] || refuse "--lock $lock: no such file"
[ -z "$wheels" ] || [ -d "$wheels" ] || refuse "--wheels $wheels: no such folder"
case $device in '' | *[!A-Za-z0-9_-]*) refuse "--device $device: letters, digits, - and _" ;; esac
host=${broker%:*} port=1883
[ "$host" = "$broker" ] || port=${broker##*:}
case $host in '' | *[!A-Za-z0-9.-]*) refuse "--broker $broker: no HOST[:PORT]" ;; esac
case $port in '' | *[!0-9]*) refuse "--broker $broker: no HOST[:PORT]" ;; esac
machine=$(uname -m)
[ "$machine" = aarch64 ] || refuse "this Termux is for $machine: the engine's wheels are for aarch64 alone, 64 bit"

say "packages: proot-distro, termux-services$([ $battery = no ] || echo ', termux-api')"
pkg install -y proot-distro termux-services
[ $battery = no ] || pkg install -y termux-api
proot-distro login --help 2>&1 | grep -q -e --minimal ||
    refuse "this proot-distro has no --minimal, which came with version 5: pkg upgrade, then again"

# A daemon that runs must not see its program change.
stop

mkdir -p "$home/etc" "$home/state" "$home/cache" "$home/shm" "$home/install" "$home/run"
chmod 700 "$home"
if ! proot-distro login "$name" -- true >/dev/null 2>&1; then
    [ ! -f "$image" ] || image=$(cd "$(dirname "$image")" && pwd)/$(basename "$image") # a name without / is a registry's
    say "Debian: $image"
    proot-distro install --name "$name" "$image"
fi

copied=$home/bundle
if [ "$(cd "$bundle" && pwd -P)" != "$(cd "$copied" 2>/dev/null && pwd -P)" ]; then
    say "bundle: into $copied"
    rm -rf "$copied.new"
    cp -R "$bundle" "$copied.new"
    rm -rf "$copied"
    mv "$copied.new" "$copied"
fi

# As many threads as there are cores faster than the slowest kind: with those, too, all wait for the slow ones.
big_cores() {
    all=$(cat "${SYSFS:-/sys}"/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq 2>/dev/null || true)
    slowest=$(printf '%s\n' "$all" | sort -n | head -n 1)
    faster=$(printf '%s\n' "$all" | grep -c -v -x -e "$slowest" || true)
    if [ -z "$all" ]; then echo 4; elif [ "$faster" -gt 0 ]; then echo "$faster"; else printf '%s\n' "$all" | wc -l | tr -d ' '; fi
}

settings=$home/etc/edge.toml
if [ ! -f "$settings" ]; then
    sed -e "s/^device = .*/device = \"$device\"/" -e "s/^host = .*/host = \"$host\"/" -e "s/^port = .*/port = $port/" \
        -e "s/^threads = [0-9]*/threads = $(big_cores)/" "$here/edge.toml" >"$settings.new"
    chmod 600 "$settings.new"
    mv "$settings.new" "$settings"
    say "settings: $settings"
fi

say "inside Debian: Python, the locked packages, the daemon"
rm -rf "$home/install"
mkdir "$home/install"
cp "$wheel" "$here/inside.sh" "$here/start.sh" "$home/install/"
[ $battery = no ] || cp "$here/battery.sh" "$home/install/"
cp "$lock" "$home/install/board.lock"
set -- --bind "$home/install:/mnt/install"
[ -z "$wheels" ] || set -- "$@" --bind "$(cd "$wheels" && pwd):/mnt/wheels"
proot-distro login "$name" "$@" -- sh /mnt/install/inside.sh "$(basename "$wheel")" "$index"

say "services: $SVDIR/edge"
put_service() { # a new one must not be seen half written: runsvdir passes over names with a dot
    into=$SVDIR/$1
    if [ ! -d "$into" ]; then
        into=$SVDIR/.$1
        rm -rf "$into"
    fi
    mkdir -p "$into/log"
    touch "$into/down"
    (cd "$here/service/$1" && find . -type f) | while read -r file; do
        mkdir -p "$(dirname "$into/$file")"
        sed "1s,^#!/bin/sh,#!$PREFIX/bin/sh," "$here/service/$1/$file" >"$into/$file.new"
        chmod 700 "$into/$file.new"
        mv "$into/$file.new" "$into/$file"
    done
    ln -sf "$PREFIX/share/termux-services/svlogger" "$into/log/run"
    [ "$into" = "$SVDIR/$1" ] || mv "$into" "$SVDIR/$1"
}
put_service edge
if [ $battery = yes ]; then put_service edge-battery; fi

if [ $at_boot = yes ]; then
    mkdir -p "$HOME/.termux/boot"
    printf '#!%s/bin/sh\ntermux-wake-lock\n. "%s/etc/profile.d/start-services.sh"\n' "$PREFIX" "$PREFIX" >"$HOME/.termux/boot/$name"
    chmod 700 "$HOME/.termux/boot/$name"
fi

# A service is enabled once runsvdir has seen it, which it looks for every five seconds.
switch_on() {
    for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
        if sv-enable "$1" >/dev/null 2>&1; then return 0; fi
        sleep 1
    done
    say "$1 is not started ($try tries): close Termux, open it again, then: sv-enable $1"
}
service-daemon start >/dev/null 2>&1 || true
switch_on edge
[ $battery = no ] || switch_on edge-battery
say "done. Log: tail -f $LOGDIR/sv/edge/current; end: sv -w 40 stop edge; docs/phone.md has what Android must be told"
