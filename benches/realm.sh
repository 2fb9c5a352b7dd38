# Sourced by the benchmarks: founds a realm with one user, the clerk, who may do everything.
# Needs $chartfs, $bucket and $dir.

cat >"$dir/policy.toml" <<'TOML'
[folder]
list = "clerk@bench"
add = "clerk@bench"
remove = "clerk@bench"
manage = "clerk@bench"
[default]
read = "clerk@bench"
write = "clerk@bench"
TOML

found_realm() {
    local quiet=(--no-passphrase)
    "$chartfs" init "$bucket" --admin "$dir/admin" "${quiet[@]}"
    "$chartfs" authority new bench --kind hospital --realm "$bucket" --admin "$dir/admin" --out "$dir/bench" "${quiet[@]}"
    "$chartfs" user new clerk --realm "$bucket" --out "$dir/clerk" "${quiet[@]}"
    "$chartfs" user show --request "$dir/clerk" >"$dir/request"
    "$chartfs" authority issue --authority-file "$dir/bench" --to "$dir/request" --realm "$bucket" clerk >"$dir/grant"
    "$chartfs" credential add "$dir/grant" --credential "$dir/clerk" --realm "$bucket"
    "$chartfs" policy set / "$dir/policy.toml" --realm "$bucket" --as-admin "$dir/admin"
}

found_realm >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
