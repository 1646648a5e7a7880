#!/usr/bin/env bash
# The long runs behind the figures of the documentation (`doc::failure_modes`): hazards that `cargo test` provokes a few hundred times
# are provoked by the thousand here. No root. About an hour and three quarters; with `smoke`, three minutes.
#
#   tests/campaigns.sh [smoke] [cuts|kills|headers|limits|numpy ...]      (default: these five)
#   tests/campaigns.sh [coverage|mutants ...]      (ten minutes, two hours; need cargo-tarpaulin, cargo-mutants)
#
# PYTHON names an interpreter with NumPy (default: python3) for `numpy`.
set -euo pipefail
cd "$(dirname "$0")/.."
full=1 cuts=1000 kills=200000 numpy=100000
if [ "${1:-}" = smoke ]; then full='' cuts=100 kills=2000 numpy=5000; shift; fi
what=" ${*:-cuts kills headers limits numpy} "
it() { env NDARRAY_MMAP_ROUNDS="$1" RUST_BACKTRACE=0 cargo test --quiet --release --test it "${@:2}" -- --nocapture --test-threads=1 --include-ignored; }
shown() { grep -E '^[a-z]+: |^failed |times|read by|Found|test result|panicked|unexplained'; }

# Files cut short while walks go through them, at random times.
case $what in *' cuts '*) it $cuts faults::truncated::at_any_time | shown ;; esac
# Processes killed while they store, flush, create and commit: 10,000 times each.
case $what in *' kills '*) it $kills faults::killed::while | shown ;; esac
# An hour, or half a minute, of chunked operations drawn at random, with another seed each time, which is shown.
case $what in
  *' limits '*)
    env NDARRAY_MMAP_FUZZ_SECONDS=$([ "$full" ] && echo 3600 || echo 30) \
      NDARRAY_MMAP_FUZZ_SEED="${NDARRAY_MMAP_FUZZ_SEED:-$(date +%s)}" \
      cargo test --quiet --release --test limits operations_keep_within_limits -- --nocapture | shown
    ;;
esac
# A hundred million headers, or a minute of them.
case $what in
  *' headers '*)
    if [ "$full" ]; then export NDARRAY_MMAP_FUZZ_HEADERS=100000000; else export NDARRAY_MMAP_FUZZ_SECONDS=60; fi
    # Where files are memory it is ten times faster.
    [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
    cargo test --quiet --release --test headers no_header_does_harm -- --nocapture | shown
    ;;
esac
# The lines of the header, layout and error code that the tests run. Without those that want the examples or small files.
case $what in
  *' coverage '*)
    cargo tarpaulin --engine llvm --follow-exec --no-fail-fast --lib --tests \
      --target-dir target/coverage --include-files 'src/*' -- --skip sensors --skip limits --skip stats:: --skip walk_memory \
      --skip killed --skip truncated | grep -E 'src/(error/[a-z]*|storage/layout|storage/npy/[a-z]*|geometry/grid).rs: [0-9]+/'
    ;;
esac
# Changes of the layout, plan and header code that no unit test notices.
case $what in
  *' mutants '*)
    cargo mutants -o target -f src/storage/layout.rs -f 'src/storage/npy/*.rs' -f src/geometry/grid.rs --timeout 30 -- --lib -- \
      storage::layout storage::npy geometry::grid || true
    ;;
esac
# The verdicts of NumPy.
case $what in
  *' numpy '*)
    NDARRAY_MMAP_PYTHON=${PYTHON:-python3} it $numpy headers_like_numpy | shown
    ;;
esac
