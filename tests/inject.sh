#!/usr/bin/env bash
# Injects failures of system calls: each call, with each error, the 1st to the 10th time, while the tests
# `faults::injected::every_failed_call_..._is_an_error_or_harmless` open, create, write, flush and extend files. Also
# simulates missing kernel features: locks, `fallocate`, threads. Needs strace, but not root.
#
#   tests/inject.sh [CALL ...]      (default: all; takes two minutes)
#
# A run fails if it ends in a panic or a signal, or leaves a file behind.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v strace > /dev/null && strace -o /dev/null true || { echo 'nothing tested: strace is missing, or may not trace' >&2; exit 1; }
it=$(cargo test --test it --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Calls with the same purpose are grouped.
calls=(openat fstat,newfstatat,statx flock ftruncate fallocate write pread64 pwrite64 lseek mmap munmap madvise msync fsync
  rename,renameat,renameat2 unlink,unlinkat sync_file_range)
[ $# -eq 0 ] || calls=("$@")
errors=(EIO ENOSPC ENOMEM EINTR EOPNOTSUPP ENOLCK)

# traced TEST OPTION...: runs the test in a new directory. Attaches strace to the test's thread, and to the
# threads that it starts, only when the test begins: calls during program startup must not fail.
traced() {
  local test=$1
  shift
  rm -rf "$work/dir"; mkdir "$work/dir"; : > "$work/log"
  coproc TEST {
    NDARRAY_MMAP_INJECTED=$work/dir RAYON_NUM_THREADS=${threads:-1} RUST_BACKTRACE=0 exec timeout 60 \
      "$it" --exact "faults::injected::$test" --ignored --nocapture --test-threads=1 2>&1
  }
  local child=$TEST_PID out=${TEST[0]} in=${TEST[1]} line thread=
  while read -r line <&"$out"; do
    case $line in '> thread '*) thread=${line#> thread }; break ;; esac
  done
  strace -f -qq -o "$work/log" "$@" -p "$thread" 2> "$work/complaint" &
  local tracer=$!
  while grep -q '^TracerPid:.0$' "/proc/$thread/status"; do
    kill -0 $tracer 2> /dev/null || { cat "$work/complaint" >&2; kill "$child"; return 2; }
  done
  echo go >&"$in"
  cat <&"$out" > "$work/out"
  local code=0
  wait "$child" || code=$?
  wait $tracer || true
  return $code
}

runs=0 failed=0 injected=0
# failing TEST CALL...: runs the test with each failure of each call. Calls that it does not make are skipped if
# `may_lack` is set.
failing() {
  local test=$1 call during errors_seen error time code left
  shift
  echo "$test:"
  for call in "$@"; do
    traced "$test" -e trace="$call,write" || { cat "$work/out"; echo "$call: the test fails without injection"; exit 1; }
    # Counts calls until the test prints its result.
    during=$(sed '/ write(1,/q' "$work/log" | awk -v call="^(${call//,/|})[(]" '$2 ~ call && !/ write[(]1,/' | wc -l)
    [ "$during" -le 10 ] || during=10
    [ "$during" != 0 ] || { [ -n "${may_lack:-}" ] && continue; echo "$call: not in the test"; exit 1; }
    errors_seen=0
    for error in "${errors[@]}"; do
      for time in $(seq "$during"); do
        code=0
        traced "$test" -e trace="$call" -e inject="$call:error=$error:when=$time" || code=$?
        runs=$((runs + 1))
        if grep -q INJECTED "$work/log"; then injected=$((injected + 1)); fi
        if grep -q '^> [1-9]' "$work/out"; then errors_seen=$((errors_seen + 1)); fi
        left=$(find "$work/dir" -mindepth 1 ! -name table.npy -printf '%f ')
        # A file remains if `unlink` fails.
        [ "$call" != unlink,unlinkat ] || left=
        # Writes of the test framework may fail as well.
        if grep -q panicked "$work/out" || ! grep -q '^> [0-9]* failures' "$work/out" || [ "$code" -gt 101 ] || [ -n "$left" ]; then
          failed=$((failed + 1))
          echo "$call, call $time: $error: exit code $code, left behind: ${left:-nothing}"
          grep -E 'panicked|> ' -A2 "$work/out" | head -5 || true
        fi
      done
    done
    echo "$call: $during times in the test, $errors_seen of $((during * ${#errors[@]})) runs with an error"
  done
}
failing every_failed_call_is_an_error_or_harmless "${calls[@]}"
may_lack=1 failing every_failed_call_of_an_appender_is_an_error_or_harmless "${calls[@]}"

# lacking TEST CALLS INJECTION [OPTION...]: all of these calls fail or are delayed; the test checks the result.
lacking() {
  local code=0
  runs=$((runs + 1))
  traced "$1" -e trace="$2" -e inject="$2:$3" "${@:4}" || code=$?
  if [ $code = 0 ] && grep -qE 'INJECTED|DELAYED' "$work/log" && grep -q '^test result: ok. 1 passed' "$work/out"; then
    injected=$((injected + 1))
    echo "$1 ($2 $3): ok"
  else
    failed=$((failed + 1))
    echo "$1 ($2 $3): exit code $code"
    tail -5 "$work/out"
  fi
}
if [ $# -eq 0 ]; then
  for error in ENOLCK EOPNOTSUPP ENOSYS; do lacking missing_lock_support_is_ignored_unless_required flock "error=$error"; done
  for error in EIO ENOMEM; do lacking failing_lock_is_an_error flock "error=$error"; done
  lacking interrupted_lock_is_retried flock error=EINTR:when=1+2
  lacking interrupted_reads_and_writes_are_retried pread64,pwrite64 error=EINTR:when=1+2
  for error in EIO ENOSPC EDQUOT; do lacking failed_flush_of_rows_leaves_the_header fsync "error=$error:when=1"; done
  lacking rows_without_disk_space_are_not_written fallocate error=ENOSPC:when=2 # after the one of creation
  lacking failed_reads_and_writes_name_the_position pread64,pwrite64 error=EIO
  lacking file_truncated_while_locking_is_too_short flock delay_enter=1000000
  for error in EOPNOTSUPP ENOSYS EINTR; do lacking missing_fallocate_is_emulated fallocate "error=$error"; done
  lacking missing_shared_mappings_are_emulated mmap error=ENODEV:when=1
  for error in ENOSYS EINVAL; do lacking missing_rename_noreplace_is_emulated renameat2 "error=$error"; done
  for error in EOPNOTSUPP EISDIR; do lacking missing_o_tmpfile_is_emulated openat "error=$error:when=1"; done
  lacking failed_unlink_of_scratch_file_is_an_error openat error=EOPNOTSUPP:when=1 -e trace=openat,unlink,unlinkat -e inject=unlink,unlinkat:retval=0
  threads=2 lacking missing_threads_do_not_fail_operations clone,clone3 error=EAGAIN
fi
echo "$runs runs, $injected with a failure, $failed failed"
[ "$failed" = 0 ]
