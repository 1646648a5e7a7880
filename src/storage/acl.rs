//! POSIX ACLs, as Linux stores them in the extended attribute `system.posix_acl_access`.
#![forbid(unsafe_code)]

use super::permissions::Kept;

/// An entry: the rights (read 4, write 2, execute 1) of a user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acl(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    tag: u16,
    rights: u16,
    id: u32,
}

const VERSION: u32 = 2;
/// The owner.
const USER_OBJ: u16 = 0x01;
/// The group of the file.
const GROUP_OBJ: u16 = 0x04;
/// The upper bound on the rights of named users, named groups and the group of the file.
const MASK: u16 = 0x10;
/// All users to whom no other entry applies.
const OTHER: u16 = 0x20;

impl Acl {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (version, entries) = bytes.split_first_chunk()?;
        let (entries, rest) = entries.as_chunks();
        let entry = |&[t0, t1, r0, r1, i0, i1, i2, i3]: &[u8; 8]| Entry {
            tag: u16::from_le_bytes([t0, t1]),
            rights: u16::from_le_bytes([r0, r1]),
            id: u32::from_le_bytes([i0, i1, i2, i3]),
        };
        (u32::from_le_bytes(*version) == VERSION && rest.is_empty())
            .then(|| Self(entries.iter().map(entry).collect()))
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for Entry { tag, rights, id } in &self.0 {
            bytes.extend(
                tag.to_le_bytes().into_iter().chain(rights.to_le_bytes()).chain(id.to_le_bytes()),
            );
        }
        bytes
    }

    /// Removes rights such that no user except the new owner gains access, if the file has another
    /// owner or group.
    pub(super) fn narrow(&mut self, kept: Kept) {
        let rights =
            |tag| self.0.iter().find(|entry| entry.tag == tag).map_or(7, |entry| entry.rights);
        let owner = rights(USER_OBJ);
        let group = rights(GROUP_OBJ) & rights(MASK);
        for entry in &mut self.0 {
            // The old owner may now match any other entry.
            if !kept.owner && entry.tag != USER_OBJ && entry.tag != MASK {
                entry.rights &= owner;
            }
            // Members of the old group may also match the entry for others; members of the new
            // group had the rights of other entries.
            match entry.tag {
                GROUP_OBJ if !kept.group => entry.rights = 0,
                OTHER if !kept.group => entry.rights &= group,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USER: u16 = 0x02;
    const GROUP: u16 = 0x08;

    /// Returns whether the system grants these rights to a user who is in these groups, following
    /// `acl(5)`.
    fn grants(acl: &Acl, owner: u32, group: u32, user: u32, groups: &[u32], wanted: u16) -> bool {
        let find = |tag, id| {
            acl.0.iter().find(|entry| entry.tag == tag && (id == u32::MAX || entry.id == id))
        };
        let has = |entry: &Entry, mask: u16| entry.rights & mask & wanted == wanted;
        let mask = find(MASK, u32::MAX).map_or(7, |entry| entry.rights);
        if user == owner {
            return has(find(USER_OBJ, u32::MAX).unwrap(), 7);
        }
        if let Some(entry) = find(USER, user) {
            return has(entry, mask);
        }
        let mut of_groups = acl.0.iter().filter(|entry| match entry.tag {
            GROUP_OBJ => groups.contains(&group),
            GROUP => groups.contains(&entry.id),
            _ => false,
        });
        match of_groups.clone().next() {
            Some(_) => of_groups.any(|entry| has(entry, mask)),
            None => has(find(OTHER, u32::MAX).unwrap(), 7),
        }
    }

    fn acls() -> impl Strategy<Value = Acl> {
        let named = || proptest::collection::btree_map(0..4_u32, 0..8_u16, 0..4);
        (proptest::array::uniform4(0..8_u16), named(), named()).prop_map(
            |([owner, group, mask, other], users, groups)| {
                let entry = |tag, rights, id| Entry { tag, rights, id };
                let mut entries = vec![entry(USER_OBJ, owner, u32::MAX)];
                entries.extend(users.into_iter().map(|(id, rights)| entry(USER, rights, id)));
                entries.push(entry(GROUP_OBJ, group, u32::MAX));
                entries.extend(groups.into_iter().map(|(id, rights)| entry(GROUP, rights, id)));
                entries.extend([entry(MASK, mask, u32::MAX), entry(OTHER, other, u32::MAX)]);
                Acl(entries)
            },
        )
    }

    proptest! {
        /// Users 0 to 3 in any of the groups 0 to 3. The file belonged to user and group 0; an
        /// owner or group that is not kept becomes 1.
        #[test]
        fn no_user_gains_access(acl in acls(), owner: bool, group: bool) {
            let mut narrowed = acl.clone();
            narrowed.narrow(Kept { owner, group });
            prop_assert!(!(owner && group) || narrowed == acl);
            let new_owner = u32::from(!owner);
            let new_group = u32::from(!group);
            for user in (0..4).filter(|&user| user != new_owner || owner) {
                for set in 0..16_u32 {
                    let groups: Vec<_> = (0..4).filter(|group| set >> group & 1 == 1).collect();
                    for wanted in 1..8 {
                        prop_assert!(
                            !grants(&narrowed, new_owner, new_group, user, &groups, wanted)
                                || grants(&acl, 0, 0, user, &groups, wanted),
                            "{user} in {groups:?} gets {wanted}: {acl:?}, now {narrowed:?}"
                        );
                    }
                }
            }
        }

        #[test]
        fn what_was_read_is_written(acl in acls()) {
            prop_assert_eq!(Acl::read(&acl.write()), Some(acl));
        }
    }

    #[test]
    fn other_bytes_are_rejected() {
        for bytes in [&[][..], &[2, 0, 0], &[1, 0, 0, 0], &[2, 0, 0, 0, 1]] {
            assert_eq!(Acl::read(bytes), None);
        }
        assert_eq!(Acl::read(&[2, 0, 0, 0]), Some(Acl(Vec::new())));
    }
}
