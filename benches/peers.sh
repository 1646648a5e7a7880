#!/usr/bin/env bash
# This crate beside NumPy, over the same file of f64 in the same run: seconds (the best of three, on a warm cache), their
# ratio, and the peak resident memory of each.
#
#   benches/peers.sh [OPERATION ...]
#
# PYTHON names an interpreter with NumPy (default: python3), ROWS and COLUMNS the shape (default: 16384 each, 2 GiB),
# DIRECTORY where the files go (default: the one for temporary files; it needs three times the size of the file).
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} rows=${ROWS:-16384} columns=${COLUMNS:-16384}
operations=("$@")
[ $# -gt 0 ] || operations=(sum mean std min max summary median quantiles map)

cargo build --quiet --release --benches
peers=$(find target/release/deps -maxdepth 1 -name 'peers-*' -type f -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
dir=$(mktemp -d "${DIRECTORY:-${TMPDIR:-/tmp}}/peers.XXXXXX")
trap 'rm -rf "$dir"' EXIT

"$python" - "$dir/table" "$rows" "$columns" <<'PY'
import sys
import numpy as np
path, rows, columns = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
table, random = np.memmap(path, "f8", "w+", shape=(rows, columns)), np.random.default_rng(1)
for row in table:
    row[:] = random.normal(20.0, 5.0, columns)
PY

printf '%-16s %10s %10s %8s %12s %12s\n' operation 'NumPy, s' 'this, s' ratio 'NumPy, MiB' 'this, MiB'
for operation in "${operations[@]}"; do
  read -r numpy numpy_mib numpy_result < <("$python" benches/peers.py "$dir/table" "$rows" "$columns" "$operation")
  rm -f "$dir/table.out"
  read -r ours ours_mib ours_result < <("$peers" "$dir/table" "$rows" "$columns" "$operation")
  rm -f "$dir/table.out"
  awk -v o="$operation" -v n="$numpy" -v t="$ours" -v nm="$numpy_mib" -v tm="$ours_mib" -v a="$numpy_result" -v b="$ours_result" 'BEGIN {
    printf "%-16s %10.4f %10.4f %8.1f %12d %12d\n", o, n, t, n / t, nm, tm
    d = a - b; if (d < 0) d = -d; s = a < 0 ? -a : a
    if (d > 1e-9 * s) { printf "  results differ: %s and %s\n", a, b; exit 1 }
  }'
done
