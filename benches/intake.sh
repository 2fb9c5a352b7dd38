#!/usr/bin/env bash
# benches/intake.sh FOLDER   an import into an inbox, again, and once more after it was killed
#
# Prints name=value lines: what is in FOLDER, seconds, MB/s and the most memory of each import, and
# what became of the documents. Needs python3; the bucket lies in $BENCH_DIR, or in a new folder.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
source_folder=${1:?a folder with records}
chartfs=${CHARTFS:-$here/../target/release/chartfs}
[ -x "$chartfs" ] || { echo "build it first: cargo build --release" >&2; exit 2; }
dir=${BENCH_DIR:-$(mktemp -d)}
mkdir -p "$dir"
export XDG_DATA_HOME=$dir/data XDG_CONFIG_HOME=$dir/config
bucket=file://$dir/bucket
[ -n "${BENCH_DIR:-}" ] || trap 'rm -rf "$dir"' EXIT
. "$here/realm.sh"
cat >>"$dir/policy.toml" <<'TOML'
[[inbox]]
folder = "/inbox"
patients = "/patients"
new = "{random}"
TOML
"$chartfs" policy set / "$dir/policy.toml" --realm "$bucket" --as-admin "$dir/admin" >"$dir/log" 2>&1

python3 - "$chartfs" "$bucket" "$dir/clerk" "$source_folder" <<'PY'
import json, os, subprocess, sys, time
chartfs, bucket, credential, folder = sys.argv[1:]
files = [os.path.join(at, name) for at, _, names in os.walk(folder) for name in names]
size = sum(map(os.path.getsize, files))
print(f"files={len(files)}\nbytes={size}")
command = [chartfs, "import", bucket, "/inbox", folder, "--credential", credential, "--json"]

def run(name, kill_after_s=None):
    begun = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if kill_after_s:
        time.sleep(kill_after_s)
        child.kill()
    out = child.stdout.read()
    _, _, used = os.wait4(child.pid, 0)
    took = time.monotonic() - begun
    print(f"{name}.s={took:.1f}\n{name}.max_rss_mib={used.ru_maxrss // 1024}\n{name}.cpu_s={used.ru_utime + used.ru_stime:.1f}")
    if not kill_after_s:
        print(f"{name}.mbps={size / took / 1e6:.1f}")
        for key, value in json.loads(out).items():
            print(f"{name}.{key}={value}")
    sys.stdout.flush()

run("killed", kill_after_s=10)
run("import")
run("again")
PY
