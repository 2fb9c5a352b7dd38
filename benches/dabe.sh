#!/bin/sh
# Prints what the encryption costs as name=value lines, then the same beside its peers.
# usage: benches/dabe.sh [--no-peers]
set -eu
cd "$(dirname "$0")/.."

# A line of the bench is: test NAME ... bench: NANOSECONDS ns/iter (+/- SPREAD)
cargo bench --quiet --bench dabe -- --output-format bencher | awk '
  $1 == "test" { gsub(",", "", $5); us[$2] = $5 / 1000; printf "%s_us=%.0f\n", $2, us[$2] }
  END {
    least = us["pairings_and_reencryption_and_2"]
    if (least == 0) exit 1
    printf "decapsulate_and_2_over_least=%.2f\n", us["decapsulate_and_2"] / least
  }'

[ "${1:-}" = --no-peers ] || cargo run --quiet --release --manifest-path benches/peers/Cargo.toml
