#!/usr/bin/env bash
# benches/drive.sh [WORKLOAD]   a mounted drive on a local directory, beside gocryptfs in one run
#
# Prints name=value lines: chartfs.NAME, gocryptfs.NAME when it is installed, and ratio.NAME
# (chartfs / gocryptfs; below 1 is faster for _ms and _us, slower for _mbps and _iops).
# WORKLOAD is a script that is called with a mount point and prints name=value; it may use MOUNT_CMD,
# UMOUNT_CMD and FS_PID_CMD. Without one, benches/workload.py is run.
# Both stores lie in $BENCH_DIR, or in a new folder of /dev/shm. Needs python3; fio for some workloads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
workload=${1:-}
chartfs=${CHARTFS:-$here/../target/release/chartfs}
[ -x "$chartfs" ] || { echo "build it first: cargo build --release" >&2; exit 2; }
dir=${BENCH_DIR:-$(mktemp -d /dev/shm/chartfs-bench.XXXXXX)}
export XDG_DATA_HOME=$dir/data XDG_CONFIG_HOME=$dir/config
bucket=file://$dir/bucket
mkdir -p "$dir/chartfs" "$dir/gocryptfs" "$dir/cipher"

cat >"$dir/do" <<SH
#!/usr/bin/env bash
case "\$1.\$2" in
chartfs.mount) exec "$chartfs" mount "$bucket" "$dir/chartfs" --credential "$dir/clerk" ;;
chartfs.umount)
    p=\$(pgrep -f "mount $bucket" | head -1)
    "$chartfs" umount "$dir/chartfs"
    # A process that ended and was not waited for has no memory map.
    for i in \$(seq 200); do grep -q . "/proc/\$p/maps" 2>/dev/null || break; sleep 0.02; done ;;
chartfs.pids) pgrep -f "mount $bucket" ;;
gocryptfs.mount) exec gocryptfs -q -passfile "$dir/pass" "$dir/cipher" "$dir/gocryptfs" ;;
gocryptfs.umount) exec fusermount -u "$dir/gocryptfs" ;;
gocryptfs.pids) pgrep -f "gocryptfs.*$dir/cipher" ;;
esac
SH
chmod +x "$dir/do"

cleanup() {
    "$dir/do" chartfs umount >/dev/null 2>&1 || true
    "$dir/do" gocryptfs umount >/dev/null 2>&1 || true
    [ -n "${BENCH_DIR:-}" ] || rm -rf "$dir"
}
trap cleanup EXIT

. "$here/realm.sh"

run() { # name
    export MOUNT_CMD="$dir/do $1 mount" UMOUNT_CMD="$dir/do $1 umount" FS_PID_CMD="$dir/do $1 pids"
    $MOUNT_CMD
    if [ -n "$workload" ]; then bash "$workload" "$dir/$1"; else python3 "$here/workload.py" "$dir/$1"; fi |
        sed "s/^/$1./" | tee "$dir/$1.txt"
    $UMOUNT_CMD
}

run chartfs
command -v gocryptfs >/dev/null || { echo "note=gocryptfs is not installed, so nothing stands beside"; exit 0; }
echo bench >"$dir/pass"
gocryptfs -q -init -scryptn 10 -passfile "$dir/pass" "$dir/cipher" >/dev/null
run gocryptfs
awk -F'[.=]' '{ split($0, kv, "="); sub(/^[a-z]+\./, "", kv[1]) }
    FNR == NR { a[kv[1]] = kv[2]; next }
    kv[1] in a && kv[2] + 0 > 0 { printf "ratio.%s=%.2f\n", kv[1], a[kv[1]] / kv[2] }' "$dir/chartfs.txt" "$dir/gocryptfs.txt"
