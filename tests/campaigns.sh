#!/usr/bin/env bash
# Runs the randomized tests that `cargo test` repeats a few hundred times many thousand times. Their
# results are documented in docs/testing.md. Takes an hour and three quarters, or three minutes with
# `smoke`. Does not need root.
#
#   tests/campaigns.sh [smoke] [cuts|kills|resumed|headers|limits|numpy ...]      (default: these six)
#   tests/campaigns.sh [coverage|mutants ...]      (10 minutes, 2 hours; need cargo-tarpaulin, cargo-mutants)
#
# PYTHON is an interpreter with NumPy for `numpy` (default: python3).
set -euo pipefail
cd "$(dirname "$0")/.."
full=1 cuts=1000 kills=200000 resumed=1000 numpy=100000
if [ "${1:-}" = smoke ]; then full='' cuts=100 kills=2000 resumed=50 numpy=5000; shift; fi
campaigns=" ${*:-cuts kills resumed headers limits numpy} "
it() { env NDARRAY_MMAP_ROUNDS="$1" RUST_BACKTRACE=0 cargo test --quiet --release --test it "${@:2}" -- --nocapture --test-threads=1 --include-ignored; }
shown() { grep -E '^[a-z]+: |^failed |times|read by|Found|test result|panicked|unexplained'; }

# Truncates files at random times during chunked operations.
case $campaigns in *' cuts '*) it $cuts faults::truncated::truncate_during_pass | shown ;; esac
# Kills processes while they store, flush, create, commit and append: 10,000 times each.
case $campaigns in *' kills '*) it $kills faults::killed::kill_during | shown ;; esac
# Kills processes that compute with checkpoints, and compares their results.
case $campaigns in *' resumed '*) it $resumed faults::resumed::killed_processes | shown ;; esac
# Runs random chunked operations for an hour or half a minute, with a new seed, which is printed.
case $campaigns in
  *' limits '*)
    env NDARRAY_MMAP_FUZZ_SECONDS=$([ "$full" ] && echo 3600 || echo 30) \
      NDARRAY_MMAP_FUZZ_SEED="${NDARRAY_MMAP_FUZZ_SEED:-$(date +%s)}" \
      cargo test --quiet --release --test limits operations_keep_within_limits -- --nocapture | shown
    ;;
esac
# Parses a hundred million generated headers, or as many as a minute allows.
case $campaigns in
  *' headers '*)
    if [ "$full" ]; then export NDARRAY_MMAP_FUZZ_HEADERS=100000000; else export NDARRAY_MMAP_FUZZ_SECONDS=60; fi
    # tmpfs is ten times faster.
    [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
    cargo test --quiet --release --test headers random_headers_never_panic_or_exhaust_memory -- --nocapture | shown
    ;;
esac
# Measures line coverage of headers, layouts, grids and errors. Skips tests that need the examples or
# small files.
case $campaigns in
  *' coverage '*)
    cargo tarpaulin --engine llvm --follow-exec --no-fail-fast --lib --tests \
      --target-dir target/coverage --include-files 'src/*' -- --skip sensors --skip limits --skip stats:: --skip resident_memory \
      --skip killed --skip truncated | grep -E 'src/(error/[a-z]*|storage/layout|storage/npy/[a-z]*|geometry/grid).rs: [0-9]+/'
    ;;
esac
# Lists mutants of layouts, grids and headers that no unit test detects.
case $campaigns in
  *' mutants '*)
    cargo mutants -o target -f src/storage/layout.rs -f 'src/storage/npy/*.rs' -f src/geometry/grid.rs --timeout 30 -- --lib -- \
      storage::layout storage::npy geometry::grid || true
    ;;
esac
# Compares the verdicts on headers with NumPy.
case $campaigns in
  *' numpy '*)
    NDARRAY_MMAP_PYTHON=${PYTHON:-python3} it $numpy numpy_headers | shown
    ;;
esac
