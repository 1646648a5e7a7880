#!/usr/bin/env bash
# Tests that need root, other users, special file systems or injected failures; on Linux. Says what it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
it=$(cargo test --test it --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
work=$(mktemp -d)
trap 'umount -q "$work/disk" 2>/dev/null || true; umount -q "$work/small" 2>/dev/null || true; rm -rf "$work"' EXIT
chmod 755 "$work"
cp "$it" "$work/it"
run() { printf '\n== %s\n' "$*"; "$@"; }
skip() { printf '\n== skipped: %s\n' "$*"; }

# A file system of 64 MB on a disk of 12: what is written is lost after it was accepted.
if [ "$(id -u)" != 0 ]; then
  skip 'a failing disk (mounting needs root)'
elif ! mkdir -p "$work/small" "$work/disk" || ! mount -t tmpfs -o size=12m tmpfs "$work/small" ||
  ! truncate -s 64m "$work/small/image" || ! mkfs.ext4 -q -O ^has_journal "$work/small/image" ||
  ! mount -o loop "$work/small/image" "$work/disk"; then
  skip 'a failing disk (cannot mount tmpfs or a loop device here)'
else
  run env NDARRAY_MMAP_FAILING_DISK="$work/disk" "$work/it" --ignored --exact durability::a_lost_write_is_told_to_every_thread
fi

# The superuser is allowed everything, so permissions are tested as nobody.
if [ "$(id -u)" != 0 ]; then
  skip 'nothing: permissions are tested by plain `cargo test`'
elif ! command -v setpriv >/dev/null; then
  skip 'permissions (no setpriv)'
else
  mkdir -m 777 "$work/tmp"
  run env TMPDIR="$work/tmp" setpriv --reuid 65534 --regid 65534 --clear-groups \
    "$work/it" bad_input::permissions durability::an_unreadable create::
fi

# Sandboxes forbid getrlimit; signals interrupt msync.
if ! command -v strace >/dev/null || ! strace -o /dev/null true; then
  skip 'forbidden and interrupted system calls (no strace)'
else
  run strace -f -qq -o "$work/log" -e trace=prlimit64 -e inject=prlimit64:error=EPERM:when=2+ "$work/it" create::
  run strace -f -qq -o "$work/log" -e trace=msync -e inject=msync:error=EINTR:when=1+2 "$work/it" durability::
fi
