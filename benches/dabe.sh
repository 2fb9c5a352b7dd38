#!/bin/sh
# Prints what the encryption costs as name=value lines, then the same beside its peers.
# usage: benches/dabe.sh [--no-peers]
set -eu
cd "$(dirname "$0")/.."

# A line of the bench is: test NAME ... bench: NANOSECONDS ns/iter (+/- SPREAD)
cargo bench --quiet --bench dabe -- --output-format bencher | awk '
  $1 == "test" { gsub(",", "", $5); printf "%s_us=%.0f\n", $2, $5 / 1000 }
  /^[a-z0-9_]+=/ { print }'

[ "${1:-}" = --no-peers ] || cargo run --quiet --release --manifest-path benches/peers/Cargo.toml
