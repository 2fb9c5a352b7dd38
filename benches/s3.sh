#!/usr/bin/env bash
# benches/s3.sh   requests and time per operation over S3 with a delay, by counting at a proxy
#
# Needs S3DELAY, a proxy that adds a round-trip time and counts requests:
#     s3delay --listen ADDR --to ADDR --rtt-ms N --admin ADDR, with /reset and /stats (reqs=N)
# Starts SeaweedFS on loopback, founds a realm, mounts it through the proxy, and prints name=value.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
chartfs=${CHARTFS:-$here/../target/release/chartfs}
s3delay=${S3DELAY:?name the delay proxy}
rtt_ms=${RTT_MS:-20}
files=${FILES:-1000}
port=${PORT:-19410}
dir=$(mktemp -d /dev/shm/chartfs-s3.XXXXXX)
export XDG_DATA_HOME=$dir/data XDG_CONFIG_HOME=$dir/config
mnt=$dir/mnt
mkdir -p "$mnt"

eval "$("$here/../tests/servers/seaweedfs" "${SEAWEED_DIR:-$dir/weed}" "$port" bench)"
"$s3delay" --listen "127.0.0.1:$((port + 50))" --to "127.0.0.1:$port" --rtt-ms "$rtt_ms" --admin "127.0.0.1:$((port + 51))" >/dev/null 2>&1 &
proxy=$!
admin=http://127.0.0.1:$((port + 51))
cleanup() {
    "$chartfs" umount "$mnt" >/dev/null 2>&1 || true
    kill "$proxy" 2>/dev/null || true
    "$here/../tests/servers/seaweedfs" --down "${SEAWEED_DIR:-$dir/weed}"
    rm -rf "$dir"
}
trap cleanup EXIT
sleep 0.5
export AWS_ENDPOINT_URL=http://127.0.0.1:$((port + 50))
bucket=s3://bench/realm-$$

. "$here/realm.sh"

mount_it() { "$chartfs" mount "$bucket" "$mnt" --credential "$dir/clerk"; }
umount_it() {
    local p
    p=$(pgrep -f "mount $bucket" | head -1)
    "$chartfs" umount "$mnt"
    for _ in $(seq 300); do grep -q . "/proc/$p/maps" 2>/dev/null || break; sleep 0.02; done
}
step() { # name, command...
    local name=$1 start
    shift
    curl -s "$admin/reset" >/dev/null
    start=$(date +%s%N)
    "$@" >/dev/null
    echo "${name}_ms=$((($(date +%s%N) - start) / 1000000))"
    echo "${name}_requests=$(curl -s "$admin/stats" | sed -n 's/^reqs=//p')"
}
fill() { for i in $(seq "$files"); do echo "text $i" >"$mnt/ward/$i.txt"; done; }

step mount mount_it
mkdir "$mnt/ward"
echo first >"$mnt/ward/first.txt"
step create sh -c "echo hello >'$mnt/ward/new.txt'"
step save sh -c "echo changed >'$mnt/ward/new.txt'"
step save_by_rename sh -c "echo again >'$mnt/ward/n' && mv '$mnt/ward/n' '$mnt/ward/new.txt'"
step fill fill
umount_it
step remount mount_it
step cold_open_first cat "$mnt/ward/first.txt"
step cold_open_next cat "$mnt/ward/new.txt"
step warm_open cat "$mnt/ward/new.txt"
step absent sh -c "! test -e '$mnt/ward/absent'"
umount_it
mount_it
step list_long ls -l "$mnt/ward"
step list_long_again ls -l "$mnt/ward"
