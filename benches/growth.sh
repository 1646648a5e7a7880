#!/usr/bin/env bash
# Measures time and memory as a file of f64 grows: seconds for each GiB (the best of two or three runs)
# and the peak resident memory, without a memory limit and with 64 MiB. Prints a Markdown table.
#
#   benches/growth.sh [OPERATION ...]      (default: sum std summary median histogram100)
#
# Environment:
#   SIZES        ascending file sizes in MiB (default: 256 1024 4096 16384)
#   DIRECTORY    directory of the file (default: that for temporary files)
set -euo pipefail
cd "$(dirname "$0")/.."
operations=("$@")
[ $# -gt 0 ] || operations=(sum std summary median histogram100)
read -ra sizes <<< "${SIZES:-256 1024 4096 16384}"

cargo bench --quiet --no-run --bench peers
peers=$(cargo bench --no-run --bench peers 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p')
dir=$(mktemp -d "${DIRECTORY:-${TMPDIR:-/tmp}}/growth.XXXXXX")
trap 'rm -rf "$dir"' EXIT

declare -A cells
for mib in "${sizes[@]}"; do
  "$peers" make "$dir/table" "$mib"; sync
  cat "$dir/table" > /dev/null
  for operation in "${operations[@]}"; do
    for limit in '' 64; do
      [ ! -t 2 ] || printf '\r\033[K%s MiB, %s' "$mib" "$operation" >&2
      # Rows of 128 KiB.
      read -r seconds peak _ < <("$peers" run "$dir/table" $((mib * 8)) 16384 "$operation" ${limit:+"$limit"})
      cells[$operation$limit]+=$(awk -v s="$seconds" -v mib="$mib" -v peak="$peak" \
        'BEGIN { printf " %10.4f | %8d |", s * 1024 / mib, peak }')
    done
  done
done
[ ! -t 2 ] || printf '\r\033[K' >&2

heads='| seconds for each GiB |' rule='|---|'
for mib in "${sizes[@]}"; do
  heads+=$(printf ' %6d MiB | peak MiB |' "$mib") rule+='---|---|'
done
echo "$heads"; echo "$rule"
for operation in "${operations[@]}"; do
  for limit in '' 64; do
    printf '| %-22s |%s\n' "$operation${limit:+ in $limit MiB}" "${cells[$operation$limit]}"
  done
done
