#!/usr/bin/env bash
# Reading and writing a file 30 times larger than its memory group, from and to the disk: walks beside `dd` and the
# plainest loops. Needs root (for the memory group and for dropping the cache); says so and stops otherwise.
#
#   benches/cold.sh [DIRECTORY]       the files go into DIRECTORY, 4 GiB; default: the one for temporary files
set -euo pipefail
cd "$(dirname "$0")/.."
mib=1920
limit=$((64 << 20))
[ "$(id -u)" = 0 ] || { echo 'skipped: needs root'; exit 0; }

cargo build --quiet --release --benches
cold=$(find target/release/deps -maxdepth 1 -name 'cold-*' -type f -perm -u+x -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
dir=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/cold.XXXXXX")

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  group=/sys/fs/cgroup/ndarray-mmap-cold
  echo +memory > /sys/fs/cgroup/cgroup.subtree_control
  mkdir -p "$group" && echo "$limit" > "$group/memory.max"
elif [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/ndarray-mmap-cold
  mkdir -p "$group" && echo "$limit" > "$group/memory.limit_in_bytes"
else
  echo 'skipped: no memory groups'; exit 0
fi
trap 'rm -rf "$dir"; rmdir "$group" 2>/dev/null || true' EXIT

# Runs a command in the group, with nothing in the cache.
inside() { sync; echo 3 > /proc/sys/vm/drop_caches; bash -c 'echo $$ > "$0/cgroup.procs"; exec "$@"' "$group" "$@"; }
seconds() { TIMEFORMAT=%R; { time "$@" > /dev/null 2>&1; } 2>&1; }

dd if=/dev/urandom of="$dir/data" bs=1M count="$mib" status=none
for round in 1 2 3; do
  echo "round $round, $mib MiB, seconds:"
  printf '  dd read  %s\n' "$(seconds inside dd if="$dir/data" of=/dev/null bs=1M)"
  printf '  touch    %s\n' "$(inside "$cold" touch "$dir/data" "$mib")"
  printf '  read     %s\n' "$(inside "$cold" read "$dir/data" "$mib")"
  printf '  split    %s\n' "$(inside "$cold" split "$dir/data" "$mib")"
  printf '  dd write %s\n' "$(seconds inside dd if=/dev/zero of="$dir/out" bs=1M count="$mib" conv=fsync)"
  rm -f "$dir/out"
  printf '  store    %s\n' "$(inside "$cold" store "$dir/out" "$mib")"
  rm -f "$dir/out"
  printf '  write    %s\n' "$(inside "$cold" write "$dir/out" "$mib")"
  rm -f "$dir/out"
done
