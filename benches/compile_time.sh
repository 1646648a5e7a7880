#!/usr/bin/env bash
# Measures the compile time that a program pays for this crate at each of its own changes: release builds
# of programs that use none, one or ten of its statistics, with all dependencies built before. Prints
# the shortest wall time and CPU time of all builds, in seconds.
#
#   benches/compile_time.sh [BUILDS] [CRATE ...]      (default: 3 builds, this crate)
#
# Several crates (paths of clones) are measured alternately, to compare them in one run.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
builds=${1:-3}
shift || true
crates=("${@:-$here}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the source of the program with the given name, which reads the array named by its argument.
program() {
  printf 'use ndarray::prelude::*;\nuse ndarray_mmap::{MmapArray, prelude::*};\n'
  printf 'fn main() -> Result<(), Box<dyn std::error::Error>> {\n'
  printf '    let table = unsafe { MmapArray::<f64, Ix2>::open_npy(std::env::args().nth(1).unwrap())? };\n'
  case $1 in
    none) printf '    println!("{}", table[[0, 0]]);\n' ;;
    mean) printf '    println!("{}", table.chunked().mean()?);\n' ;;
    quantile_axis)
      printf '    println!("{}", table.chunked().quantile_axis(Axis(0), 0.5, ndarray_mmap::stats::Interpolation::Linear)?);\n' ;;
    ten)
      for call in 'mean()' 'std(1.0)' 'summary()' 'quantile(0.5, Linear)' 'histogram(10)' 'argmax()'; do
        printf '    println!("{:?}", table.chunked().%s?);\n' "$call"
      done
      for call in 'mean_axis(Axis(0))' 'std_axis(Axis(0), 1.0)' 'quantile_axis(Axis(0), 0.5, Linear)' 'cov(1.0)'; do
        printf '    println!("{}", table.chunked().%s?);\n' "$call"
      done ;;
  esac
  printf '    Ok(())\n}\n'
}

for i in "${!crates[@]}"; do
  mkdir -p "$work/$i/src/bin"
  printf '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\nndarray = "0.17.2"\nndarray-mmap = { path = "%s" }\n[workspace]\n' \
    "$(cd "${crates[$i]}" && pwd)" >"$work/$i/Cargo.toml"
  for name in none mean quantile_axis ten; do
    { [ $name != ten ] && [ $name != quantile_axis ] || printf '#[allow(unused_imports)]\nuse ndarray_mmap::stats::Interpolation::Linear;\n'
      program $name; } >"$work/$i/src/bin/$name.rs"
  done
  (cd "$work/$i" && CARGO_TARGET_DIR=$work/$i/target cargo build --quiet --release)
done

printf '%-16s %-40s %8s %8s\n' program crate wall CPU
for name in none mean quantile_axis ten; do
  for build in $(seq "$builds"); do
    for i in "${!crates[@]}"; do
      touch "$work/$i/src/bin/$name.rs"
      # Format of the shell's `time`: seconds of wall, user and system time.
      TIMEFORMAT='%R %U %S'
      { time CARGO_TARGET_DIR=$work/$i/target cargo build --quiet --release --manifest-path "$work/$i/Cargo.toml" --bin "$name" >&2; } 2>>"$work/$i/$name.times"
    done
  done
  for i in "${!crates[@]}"; do
    awk -v name=$name -v crate="${crates[$i]}" '
      { cpu = $2 + $3; if (!wall || $1 < wall) wall = $1; if (!least || cpu < least) least = cpu }
      END { printf "%-16s %-40s %8.2f %8.2f\n", name, crate, wall, least }' "$work/$i/$name.times"
  done
done
