//! The permissions of a file that replaces another one: no one may do more than before.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io;

/// Gives a new file the owner and group, where that is allowed, and the permissions of the one it
/// replaces; on Linux also its POSIX ACL and its label (of SELinux or Smack).
///
/// Where some of these cannot be had, it gives less: without the owner or the group no one but the
/// new owner may do more than before, and without the ACL or the label no one but the owner may do
/// anything. Not the set-user-ID bit and its like: whoever set them meant the old contents.
#[cfg(unix)]
pub(super) fn take_after(file: &File, replaced: &File) -> io::Result<()> {
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let (new, old) = (file.metadata()?, replaced.metadata()?);
    let mut kept = Kept { owner: new.uid() == old.uid(), group: new.gid() == old.gid() };
    // Only the superuser may give files away; a group may be open to others.
    if !(kept.owner && kept.group) && fchown(file, Some(old.uid()), Some(old.gid())).is_ok() {
        kept = Kept { owner: true, group: true };
    }
    kept.group = kept.group || fchown(file, None, Some(old.gid())).is_ok();
    let wanted = match take_attributes(file, replaced, kept) {
        Ok(true) => return Ok(()),
        Ok(false) => kept.narrow(old.mode() & 0o777),
        Err(_) => old.mode() & 0o700,
    };
    // Not asked for in vain: some file systems have no permissions to set.
    if new.mode() & 0o7777 == wanted {
        Ok(())
    } else {
        file.set_permissions(Permissions::from_mode(wanted))
    }
}

#[cfg(not(unix))]
pub(super) fn take_after(file: &File, replaced: &File) -> io::Result<()> {
    file.set_permissions(replaced.metadata()?.permissions())
}

/// Tells whether a new file has the owner and the group of the one it replaces.
#[cfg(unix)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Kept {
    pub(super) owner: bool,
    pub(super) group: bool,
}

#[cfg(unix)]
impl Kept {
    /// The permissions of which no one gets more than before: the old owner is one of the group or
    /// of all others now, and so are the members of the old group, while those of the new one were
    /// of all others.
    fn narrow(self, mode: u32) -> u32 {
        let (owner, mut group, mut others) = (mode >> 6, mode >> 3 & 7, mode & 7);
        if !self.owner {
            (group, others) = (group & owner, others & owner);
        }
        if !self.group {
            (group, others) = (group & others, group & others);
        }
        owner << 6 | group << 3 | others
    }
}

/// Copies the ACL and the label. Returns whether the file has an ACL now, which says all that
/// permissions could. On failure it has none that gives anyone rights who has none by its
/// permissions.
#[cfg(all(target_os = "linux", not(ndarray_mmap_portable)))]
fn take_attributes(file: &File, replaced: &File, kept: Kept) -> io::Result<bool> {
    use super::acl::Acl;
    use super::os::{attribute, set_attribute};
    const ACL: &str = "system.posix_acl_access";
    // A directory can give new files an ACL, which the old one need not have.
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
fn take_attributes(_file: &File, _replaced: &File, _kept: Kept) -> io::Result<bool> {
    Ok(false)
}
