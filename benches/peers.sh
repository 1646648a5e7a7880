#!/usr/bin/env bash
# Compares this crate with NumPy on the same file: seconds, their ratio, and the peak resident memory.
# Prints a Markdown table and draws a chart. Takes about six minutes.
#
#   benches/peers.sh [OPERATION ...]      (default: all, and `sensors`, the pipeline of examples/sensors)
#
# NumPy, this crate without a memory limit, and this crate with 64 MiB run alternately, each in its own
# process, which reports the best of two or three runs (`sensors`: two processes in sequence). The
# fastest of ROUNDS rounds (default: 3) counts. Operations that take NumPy more than two seconds are
# measured in the first round only. Results are compared.
#
# Environment:
#   PYTHON             interpreter with NumPy (default: python3)
#   ROWS, COLUMNS      shape of the table of f64 (default: 16384 each, 2 GiB)
#   SENSORS, READINGS  shape of the recording of f32 (default: 50 and 2000000)
#   DIRECTORY          directory of the files, 5 GiB (default: that for temporary files)
#   CHART              path of the chart, from the root of the repository (default: target/peers.svg)
# The measurements remain in target/peers.txt.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} rows=${ROWS:-16384} columns=${COLUMNS:-16384} rounds=${ROUNDS:-3}
sensors=${SENSORS:-50} readings=${READINGS:-2000000}
target=${CARGO_TARGET_DIR:-target}
chart=${CHART:-$target/peers.svg} measured=$target/peers.txt

cargo build --quiet --release --example sensors
cargo bench --quiet --no-run --bench peers
peers=$(cargo bench --no-run --bench peers 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
numpy=$("$python" -c 'import numpy; print(numpy.__version__)')
dir=$(mktemp -d "${DIRECTORY:-${TMPDIR:-/tmp}}/peers.XXXXXX")
trap 'rm -rf "$dir"' EXIT
mapfile -t operations < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else "$peers" operations; echo sensors; fi)

"$peers" make "$dir/table" $(((rows * columns * 8 + (1 << 20) - 1) >> 20))
"$target/release/examples/sensors" --sensors "$sensors" --readings "$readings" --out "$dir/made" --no-plot > "$dir/log"

declare -A long
# note PROGRAM OPERATION COMMAND...: runs a command that prints seconds, MiB and a result, and records them.
note() {
  local program=$1 operation=$2 line; shift 2
  # Flushes earlier writes, which would otherwise reach the disk during the measurement.
  rm -rf "$dir/table.out" "$dir/out"; sync
  line=$("$@") || { echo "$program $operation: failed" >&2; return 0; }
  echo "$program $operation $line" >> "$measured"
  [ "$program" != numpy ] || [ "${line%%.*}" -lt 2 ] || long[$operation]=1
}
# Runs the pipeline and extracts the measurements from the JSON object in its last line.
pipeline() {
  local number='\([^,]*\)'
  "$@" | sed -n "s/^{\"seconds\": $number, \"peak_rss_mib\": $number, \"total_anomalies\": $number, .*/\1 \2 \3/p"
}
progress() { [ ! -t 2 ] || printf '\r\033[K%s' "$1" >&2; }

: > "$measured"
for round in $(seq "$rounds"); do
  for operation in "${operations[@]}"; do
    progress "round $round, $operation"
    case $operation in
      sensors)
        raw=$dir/made/raw.f32
        # Two runs each, because the host of a virtual machine reclaims free memory and returns it slowly.
        for _ in 1 2; do
          note numpy sensors pipeline "$python" benches/peers/sensors.py "$raw" "$sensors" "$readings" "$dir/out"
        done
        for _ in 1 2; do
          note ours sensors pipeline \
            "$target/release/examples/sensors" --input "$raw" --sensors "$sensors" --out "$dir/out" --no-plot --json
        done
        ;;
      read) note ours read "$peers" run "$dir/table" "$rows" "$columns" read ;;
      *)
        [ -n "${long[$operation]:-}" ] ||
          note numpy "$operation" "$python" benches/peers/operations.py "$dir/table" "$rows" "$columns" "$operation"
        note ours "$operation" "$peers" run "$dir/table" "$rows" "$columns" "$operation"
        note bounded "$operation" "$peers" run "$dir/table" "$rows" "$columns" "$operation" 64
        ;;
    esac
  done
done
progress ''
"$peers" report "$measured" "$chart" \
  "NumPy $numpy, $rows x $columns of f64 in the page cache ($sensors x $readings of f32: sensors), $(nproc) cores"
echo "The chart is in $chart, the measurements are in $measured." >&2
