#!/usr/bin/env bash
# Measures operations on files 30 times larger than the memory limit of their cgroup, from and to the
# disk: `dd`, plain loops, chunked operations, statistics, and the sensors example. Needs root, for the
# cgroup and for dropping the page cache; prints a message and stops otherwise.
#
#   benches/cold.sh [DIRECTORY]       DIRECTORY for 6 GiB of files; default: that for temporary files
#
# Prints a line for each operation: seconds; exit code; bytes read and written (for a mapping: dirtied);
# these bytes as passes over the file; bytes that other processes read and wrote meanwhile; the speed
# as a share of dd's (the time of dd for the same number of bytes, divided by the time); the peak memory
# of the cgroup; how often it was at its limit; how often the kernel killed a process. Bytes are in MiB.
set -euo pipefail
cd "$(dirname "$0")/.."
mib=1920
limit=$((64 << 20))
sensors=48 # 10 Mi readings each
[ "$(id -u)" = 0 ] || { echo 'skipped: needs root'; exit 0; }
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  group=/sys/fs/cgroup/ndarray-mmap-cold
  files=(memory.max memory.peak memory.events memory.events)
  echo +memory > /sys/fs/cgroup/cgroup.subtree_control
elif [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/ndarray-mmap-cold
  files=(memory.limit_in_bytes memory.max_usage_in_bytes memory.failcnt memory.oom_control)
else
  echo 'skipped: no cgroups'; exit 0
fi

cargo build --quiet --release --example sensors
cargo bench --quiet --no-run --bench cold --bench peers
executable() { cargo bench --no-run --bench "$1" 2>&1 | sed -n 's/^ *Executable .*(\(.*\))$/\1/p'; }
cold=$(executable cold) peers=$(executable peers) example=${CARGO_TARGET_DIR:-target}/release/examples/sensors
dir=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/cold.XXXXXX")
trap 'rm -rf "$dir"; rmdir "$group" 2>/dev/null || true' EXIT

# Runs a command in the cgroup $0 and prints microseconds, exit code, and the bytes read and written.
# shellcheck disable=SC2016
inside='
  echo $$ > "$0/cgroup.procs"
  start=${EPOCHREALTIME/./}; "$@"; code=$?; end=${EPOCHREALTIME/./}
  # The counters of a shell include those of the children that it has waited for.
  while read -r key value; do
    case $key in read_bytes:) read=$value ;; write_bytes:) written=$value ;; esac
  done < "/proc/$$/io"
  echo "$((end - start)) $code $read $written" >&3
'
# Prints the KiB that all processes have read and written.
paged() { awk '/^pgpg(in|out) / { sum += $2 } END { printf "%.0f\n", sum }' /proc/vmstat; }
# measure NAME COMMAND...: runs the command with an empty page cache, in a new cgroup.
measure() {
  local name=$1 micros code read written all; shift
  mkdir -p "$group"; echo "$limit" > "$group/${files[0]}"
  sync; echo 3 > /proc/sys/vm/drop_caches
  all=$(paged)
  read -r micros code read written < <(bash -c "$inside" "$group" "$@" 3>&1 > /dev/null 2> "$dir/complaint") ||
    { micros=1 code=137 read=0 written=0; } # the shell was killed as well
  all=$(($(paged) - all))
  local peak hits kills
  peak=$(cat "$group/${files[1]}")
  hits=$(awk 'NF == 1 { print $1 } $1 == "max" { print $2 }' "$group/${files[2]}")
  kills=$(awk '$1 == "oom_kill" { print $2 }' "$group/${files[3]}")
  case $name in
    'dd read') [ "$dd_read" -gt 0 ] && [ "$dd_read" -lt "$micros" ] || dd_read=$micros ;;
    'dd write') [ "$dd_write" -gt 0 ] && [ "$dd_write" -lt "$micros" ] || dd_write=$micros ;;
  esac
  awk -v name="$name" -v micros="$micros" -v code="$code" -v mib="$mib" -v read="$read" -v written="$written" \
    -v all="$all" -v dd_read="$dd_read" -v dd_write="$dd_write" -v peak="$peak" -v hits="$hits" -v kills="$kills" 'BEGIN {
      read /= 2^20; written /= 2^20
      others = all / 1024 - read - written
      if (others < 0) others = 0
      share = (read / mib * dd_read + written / mib * dd_write) / micros
      printf "| %-12s | %7.2f | %4d | %5d | %7d | %6.2f | %6d | %5.2f | %4d | %7d | %5d |\n", \
        name, micros / 1e6, code, read, written, (read + written) / mib, others, share, peak / 2^20, hits, kills
    }'
  [ "$code" = 0 ] || cat "$dir/complaint"
  rm -f "$dir/out"; rmdir "$group"
}

"$peers" make "$dir/data" "$mib"
"$example" --sensors $sensors --readings $((mib * (1 << 18) / sensors)) --out "$dir/sensors" --no-plot > "$dir/complaint"
rm "$dir/sensors/processed.f32"
# The faster of two runs, because the first use of a disk can be slow.
dd_read=0 dd_write=0
echo "| $mib MiB | seconds | exit | read | written | passes | others | of dd | peak | at limit | killed |"
echo '|---|---|---|---|---|---|---|---|---|---|---|'
for _ in 1 2; do measure 'dd read' dd if="$dir/data" of=/dev/null bs=1M; done
for _ in 1 2; do measure 'dd read, direct' dd if="$dir/data" of=/dev/null bs=1M iflag=direct; done
for operation in touch read split sum summary std median std_axis0 histogram100 \
  'file sum' 'file summary' 'file median' 'file std_axis0'; do
  measure "$operation" "$cold" "$operation" "$dir/data" "$mib"
done
for _ in 1 2; do measure 'dd write' dd if=/dev/zero of="$dir/out" bs=1M count="$mib" conv=fsync; done
measure 'by hand' "$cold" 'store by hand' "$dir/out" "$mib"
measure store "$cold" store "$dir/out" "$mib"
measure write "$cold" write "$dir/out" "$mib"
measure sensors "$example" --input "$dir/sensors/raw.f32" --sensors $sensors --out "$dir/sensors"
