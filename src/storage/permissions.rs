//! Permissions of a file that replaces another one: no user gains access.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;

/// Copies the owner and group (if permitted) and the permissions of the replaced file to the new
/// one; on Linux also its POSIX ACL and its SELinux or Smack label.
///
/// If some of these cannot be set, the new file is more restrictive: without the owner or the
/// group, no user except the new owner gains access; without the ACL or the label, only the owner
/// has access. The set-user-ID bit and similar bits are not copied, because they were set for the
/// old contents.
#[cfg(unix)]
pub(super) fn copy_metadata(file: &File, replaced: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    let old = replaced.metadata()?;
    let mut kept = Kept { owner: new.uid() == old.uid(), group: new.gid() == old.gid() };
    // Only the superuser can change owners; a group may be set by its members.
    if !(kept.owner && kept.group) && fchown(file, Some(old.uid()), Some(old.gid())).is_ok() {
        kept = Kept { owner: true, group: true };
    }
    kept.group = kept.group || fchown(file, None, Some(old.gid())).is_ok();
    let wanted = match copy_attributes(file, replaced, kept) {
        Ok(true) => return Ok(()),
        Ok(false) => kept.narrow(old.mode() & 0o777),
        Err(_) => old.mode() & 0o700,
    };
    // Skipped if nothing would change, because some file systems have no permissions to set.
    if new.mode() & 0o7777 == wanted {
        Ok(())
    } else {
        file.set_permissions(Permissions::from_mode(wanted))
    }
}

#[cfg(not(unix))]
pub(super) fn copy_metadata(file: &File, replaced: &File) -> io::Result<()> {
    file.set_permissions(replaced.metadata()?.permissions())
}

/// Whether a new file has the owner and the group of the replaced one.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) owner: bool,
    pub(super) group: bool,
}

#[cfg(unix)]
impl Kept {
    /// Returns the permissions with which no user gains access. The old owner is now in the group
    /// or among all others, and so are the members of the old group; the members of the new group
    /// were among all others.
    fn narrow(self, mode: u32) -> u32 {
        let owner = mode >> 6;
        let mut group = mode >> 3 & 7;
        let mut others = mode & 7;
        if !self.owner {
            (group, others) = (group & owner, others & owner);
        }
        if !self.group {
            (group, others) = (group & others, group & others);
        }
        owner << 6 | group << 3 | others
    }
}

/// Copies the ACL and the label. Returns whether the file now has an ACL, which then determines all
/// permissions. After a failure it has no ACL that grants access beyond its permissions.
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn copy_attributes(file: &File, replaced: &File, kept: Kept) -> io::Result<bool> {
    use super::acl::Acl;
    use super::os::{attribute, set_attribute};
    const ACL: &str = "system.posix_acl_access";
    // A directory can have a default ACL for new files, which the old file need not have.
    set_attribute(file, ACL, None)?;
    for label in ["security.selinux", "security.SMACK64"] {
        let wanted = attribute(replaced, label)?;
        if wanted.is_some() && wanted != attribute(file, label)? {
            set_attribute(file, label, wanted.as_deref())?;
        }
    }
    let Some(acl) = attribute(replaced, ACL)? else { return Ok(false) };
    let mut acl = Acl::read(&acl).ok_or(io::ErrorKind::InvalidData)?;
    acl.narrow(kept);
    set_attribute(file, ACL, Some(&acl.write()))?;
    Ok(true)
}

#[cfg(all(unix, not(all(target_os = "linux", not(ndarray_mmap_portable)))))]
fn copy_attributes(_file: &File, _replaced: &File, _kept: Kept) -> io::Result<bool> {
    Ok(false)
}
