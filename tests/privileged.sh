#!/usr/bin/env bash
# Runs tests on Linux that need root, other users, special file systems or injected failures. Prints what
# it skips.
set -euo pipefail
cd "$(dirname "$0")/.."
it=$(cargo test --test it --no-run 2>&1 | sed -n 's/.*(\(.*\))$/\1/p' | tail -1)
work=$(mktemp -d)
trap 'for mount in cut disk small layers; do umount -q "$work/$mount" 2>/dev/null || true; done; rm -rf "$work"
  [ "${huge:-}" != 0 ] || echo 0 > /proc/sys/vm/nr_hugepages' EXIT
chmod 755 "$work"
cp "$it" "$work/it"
# Fails unless the expected number of tests ran (default: at least one), because test names change.
run() {
  printf '\n== %s\n' "$*"
  "$@" 2>&1 | tee "$work/output"
  grep -q "^test result: ok. ${tests:-[1-9]}" "$work/output" || { echo 'unexpected number of tests'; return 1; }
}
skip() { printf '\n== skipped: %s\n' "$*"; }

mkdir "$work/small" "$work/disk" "$work/cut"
# image SIZE KIND [OPTION...]: creates an image and mounts it on `disk`.
image() {
  truncate -s "$1" "$work/image" && "mkfs.$2" -q "${@:3}" "$work/image" && mount -o loop "$work/image" "$work/disk"
}
done_with_image() { umount "$work/disk"; rm "$work/image"; }

# Full disks. tmpfs does not need root, only a user namespace.
full_disks="$work/it --ignored --test-threads=1 faults::full_disks --skip child_"
if ! unshare -Urm true 2>/dev/null && [ "$(id -u)" != 0 ]; then
  skip 'a full tmpfs (no user namespaces)'
else
  flags=-Urm; [ "$(id -u)" != 0 ] || flags=-m
  tests='5 passed' run unshare $flags sh -ec "mount -t tmpfs -o size=16m tmpfs '$work/small'; NDARRAY_MMAP_SMALL_DISK='$work/small' $full_disks"
fi
for kind in 'ext4 -m 0' 'ext4 -m 10' 'ext2 -m 0'; do # with blocks reserved for root; without fallocate
  if [ "$(id -u)" != 0 ]; then
    skip "a full $kind (mounting needs root)"
  # shellcheck disable=SC2086
  elif ! image 32m $kind; then
    skip "a full $kind (cannot create or mount one)"
  else
    # shellcheck disable=SC2086
    tests='5 passed' run env NDARRAY_MMAP_SMALL_DISK="$work/disk" $full_disks
    done_with_image
  fi
done

# Special file systems.
if [ "$(id -u)" != 0 ]; then
  skip 'overlays, huge pages (mounting needs root)'
else
  mkdir "$work/lower" "$work/layers"
  mount -t tmpfs -o size=16m tmpfs "$work/layers"; mkdir "$work/layers/upper" "$work/layers/work"
  python3 -c 'import array; array.array("d", range(10)).tofile(open("'"$work"'/lower/counting.raw", "wb"))'
  if mount -t overlay -o "lowerdir=$work/lower,upperdir=$work/layers/upper,workdir=$work/layers/work" overlay "$work/disk"; then
    run env NDARRAY_MMAP_OVERLAY="$work/disk" \
      "$work/it" --ignored --exact faults::file_systems::writing_overlaid_file_copies_it
    umount "$work/disk"
  else
    skip 'an overlay (cannot mount one)'
  fi
  umount "$work/layers"
  huge=$(cat /proc/sys/vm/nr_hugepages 2> /dev/null || true)
  if [ "$huge" = 0 ] && echo 4 > /proc/sys/vm/nr_hugepages && [ "$(cat /proc/sys/vm/nr_hugepages)" = 4 ] &&
    mount -t hugetlbfs none "$work/disk"; then
    run env NDARRAY_MMAP_HUGE_PAGES="$work/disk" "$work/it" --ignored --exact faults::file_systems::hugetlbfs_files_are_mapped_as_raw
    umount "$work/disk"
  else
    skip 'huge pages (none available, or some exist already)'
  fi
fi

# Links and files of other users in directories like /tmp, against which the kernel can be configured to
# protect.
if [ "$(id -u)" != 0 ]; then
  skip 'links and files of other users, labels (needs root)'
else
  for setting in protected_symlinks protected_regular; do
    case $setting in
      protected_symlinks) test=create::links_of_others_are_not_followed ;;
      protected_regular) test=create::files_of_others_are_not_replaced_in_sticky_directories ;;
    esac
    before=$(cat "/proc/sys/fs/$setting" 2> /dev/null || true)
    if [ -z "$before" ] || ! echo 1 > "/proc/sys/fs/$setting"; then skip "$setting (cannot be set here)"; continue; fi
    run "$work/it" --ignored --exact "$test" || { echo "$before" > "/proc/sys/fs/$setting"; exit 1; }
    echo "$before" > "/proc/sys/fs/$setting"
  done
  if [ -e /sys/fs/selinux/enforce ] || [ -e /sys/fs/smackfs/load2 ]; then
    skip 'labels (assigned by the security module)'
  else
    run "$work/it" --ignored --exact create::acl::labels_are_copied
  fi
fi

# The kernel reports only once that a directory could not be written. The disk image is on a full tmpfs.
if [ "$(id -u)" != 0 ]; then
  skip 'a directory that cannot be flushed (mounting needs root)'
elif ! mount -t tmpfs -o size=16m tmpfs "$work/small" ||
  ! truncate -s 64m "$work/small/image" || ! mkfs.ext2 -q -b 4096 "$work/small/image" ||
  ! mount -o loop "$work/small/image" "$work/disk"; then
  skip 'a directory that cannot be flushed (cannot mount tmpfs or a loop device here)'
  umount -q "$work/small" || true
else
  run env NDARRAY_MMAP_DISK="$work/disk" NDARRAY_MMAP_SMALL_DISK="$work/small" \
    "$work/it" --ignored --exact faults::power::failed_directory_flush_is_final
  umount "$work/disk"; umount "$work/small"
fi

# Scratch files that other users could open by name.
if [ "$(id -u)" != 0 ]; then
  skip 'scratch files on vfat (mounting needs root)'
elif ! truncate -s 64m "$work/image" || ! mkfs.vfat "$work/image" > /dev/null 2>&1 ||
  ! mount -o loop,umask=000 "$work/image" "$work/disk"; then
  skip 'scratch files on vfat (cannot create or mount one)'
  rm -f "$work/image"
else
  run env NDARRAY_MMAP_OPEN_DISK="$work/disk" "$work/it" --ignored --exact faults::file_systems::scratch_file_accessible_by_others_is_refused
  done_with_image
fi

# A cgroup with a limit below the file size. The file is on a disk, because pages of a tmpfs count in full.
if [ "$(id -u)" != 0 ]; then
  skip 'a cgroup (needs root)'
elif [ -e /sys/fs/cgroup/cgroup.controllers ] && echo +memory > /sys/fs/cgroup/cgroup.subtree_control; then
  group=/sys/fs/cgroup/ndarray-mmap-test limit=memory.max
elif [ -d /sys/fs/cgroup/memory ]; then
  group=/sys/fs/cgroup/memory/ndarray-mmap-test limit=memory.limit_in_bytes
else
  skip 'a cgroup (none available)'
fi
if [ -n "${group:-}" ]; then
  mkdir -p "$group"; echo $((64 << 20)) > "$group/$limit"
  run env NDARRAY_MMAP_MEMORY_GROUP="$work" sh -ec "echo \$\$ > '$group/cgroup.procs'; exec '$work/it' --ignored --exact faults::limits::memory_cgroup_limit_is_not_exceeded"
  rmdir "$group"
fi

# Unreadable pages: the end of the image is truncated.
if [ "$(id -u)" != 0 ]; then
  skip 'unreadable pages, a read-only file system, power cuts (mounting needs root)'
elif ! image 64m ext4; then
  skip 'unreadable pages, a read-only file system, power cuts (cannot create or mount an image)'
else
  head -c 40m /dev/urandom > "$work/disk/data"
  python3 -c 'import array; array.array("d", range(10)).tofile(open("'"$work"'/disk/counting.raw", "wb"))'
  if command -v chattr > /dev/null; then
    run env NDARRAY_MMAP_IMAGE="$work/disk" \
      "$work/it" --ignored --exact faults::power::store_to_immutable_file_raises_sigbus
  else
    skip 'an immutable file (no chattr)'
  fi
  umount "$work/disk"; mount -o loop,ro "$work/image" "$work/disk"
  run env NDARRAY_MMAP_READ_ONLY="$work/disk" "$work/it" --ignored --exact faults::power::read_only_file_system_permits_reading_only
  umount "$work/disk"; mount -o loop "$work/image" "$work/disk"
  truncate -s 12m "$work/image"
  run env NDARRAY_MMAP_UNREADABLE="$work/disk/data" \
    "$work/it" --ignored --exact faults::power::unreadable_pages_are_errors_of_chunked_operations
  umount "$work/disk" || umount -l "$work/disk"
  rm "$work/image"

  # The last half MiB of a file is unreadable: as root, as another user, and as a user without a mapping in
  # a user namespace.
  if ! command -v filefrag > /dev/null || ! command -v setpriv > /dev/null; then
    skip 'an unreadable end (no filefrag or setpriv)'
  else
    for as in '' 'setpriv --reuid 65533 --regid 65533 --clear-groups' \
      'setpriv --reuid 65533 --regid 65533 --clear-groups unshare -U'; do
      if ! $as true 2> /dev/null; then skip "an unreadable end ($as)"; continue; fi
      image 64m ext4
      head -c 40m /dev/urandom > "$work/disk/data"; chmod 644 "$work/disk/data"; chmod 755 "$work/disk"; sync "$work/disk/data"
      last=$(filefrag -b1024 -v "$work/disk/data" | awk '/^ *[0-9]+:/ { gsub(/[.:]/, " "); if ($5 > last) last = $5 } END { print last }')
      umount "$work/disk"; mount -o loop,ro "$work/image" "$work/disk"; truncate -s "$((last - 512))k" "$work/image"
      # shellcheck disable=SC2086
      run env NDARRAY_MMAP_UNREADABLE_END="$work/disk/data" \
        $as "$work/it" --ignored --exact faults::power::unreadable_last_page_is_an_error_of_chunked_operations
      umount "$work/disk" || umount -l "$work/disk"
      rm "$work/image"
    done
  fi

  # Power failures: the process is stopped, and a copy of the image is what the disk contains at that time.
  cuts=${CUTS:-100}
  mount -t tmpfs -o size=64m tmpfs "$work/small"
  truncate -s 16m "$work/small/image"; mkfs.ext4 -q "$work/small/image"; mount -o loop "$work/small/image" "$work/disk"
  NDARRAY_MMAP_DISK=$work/disk NDARRAY_MMAP_LOG=$work/log \
    "$work/it" --ignored --exact faults::power::child_makes_data_durable > "$work/out" 2>&1 &
  writer=$!
  until [ -s "$work/log" ]; do kill -0 $writer || { cat "$work/out"; exit 1; }; done
  printf '\n== %s power cuts\n' "$cuts"
  for cut in $(seq "$cuts"); do
    sleep "0.0$((RANDOM % 90 + 10))"
    kill -STOP $writer
    # Waits until all threads have stopped, so that the copy contains all of their stores.
    until ! grep -hq '^State:.[^T]' /proc/$writer/task/*/status; do :; done
    cp "$work/log" "$work/log-then"
    cp "$work/small/image" "$work/small/copy"
    kill -CONT $writer
    mount -o loop "$work/small/copy" "$work/cut"
    NDARRAY_MMAP_DISK=$work/cut NDARRAY_MMAP_LOG=$work/log-then \
      "$work/it" --ignored --exact faults::power::durable_data_survives_power_failure > "$work/out-then" 2>&1 &&
      grep -q '^test result: ok. 1' "$work/out-then" ||
      { echo "cut $cut:"; cat "$work/out-then"; kill -9 $writer; exit 1; }
    umount "$work/cut"
  done
  kill -0 $writer || { cat "$work/out"; exit 1; }
  kill -9 $writer; wait $writer 2>/dev/null || true
  echo "all data of $(wc -l < "$work/log") records is present"
  umount "$work/disk"; umount "$work/small"
fi

# A file system of 64 MB on a disk of 12 MB: writes are lost after the kernel has accepted them.
if [ "$(id -u)" != 0 ]; then
  skip 'a failing disk (mounting needs root)'
elif ! mount -t tmpfs -o size=12m tmpfs "$work/small" ||
  ! truncate -s 64m "$work/small/image" || ! mkfs.ext4 -q -O ^has_journal "$work/small/image" ||
  ! mount -o loop "$work/small/image" "$work/disk"; then
  skip 'a failing disk (cannot mount tmpfs or a loop device here)'
else
  run env NDARRAY_MMAP_FAILING_DISK="$work/disk" "$work/it" --ignored --exact durability::failed_write_is_reported_to_every_thread
fi

# System calls that sandboxes forbid (getrlimit) and signals interrupt (msync).
if ! command -v strace >/dev/null || ! strace -o /dev/null true; then
  skip 'forbidden and interrupted system calls (no strace)'
else
  injected() { grep -q INJECTED "$work/log" || { echo 'nothing was injected'; exit 1; }; }
  run strace -f -qq -o "$work/log" -e trace=prlimit64 -e inject=prlimit64:error=EPERM:when=2+ "$work/it" create::
  injected
  # A file in an unreadable directory is made durable by syncing the file system.
  run strace -f -qq -o "$work/log" -e trace=syncfs "$work/it" durability::unreadable_directory
  grep -q syncfs "$work/log" || { echo 'nothing was synced'; exit 1; }
  run strace -f -qq -o "$work/log" -e trace=fsetxattr -e inject=fsetxattr:error=EPERM \
    "$work/it" --ignored --exact create::acl::acl_that_cannot_be_copied_leaves_access_to_the_owner
  injected
  run strace -f -qq -o "$work/log" -e trace=msync -e inject=msync:error=EINTR:when=1+2 "$work/it" durability::
  injected
fi
