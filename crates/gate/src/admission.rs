//! Whom a host's socket admits, and what Linux says about who is there. What they may do then is the host's matter.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;
use std::{fs, ptr};

use rustix::io::Errno;

/// Who may connect: the owner, group and mode of the socket's file say so, and Linux enforces it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// The user who serves, and root: mode 0600.
    #[default]
    Owner,
    /// Also members of the Linux group of this number: mode 0660.
    Group(u32),
    /// Every user of this Linux: mode 0666.
    Everyone,
}

impl Admission {
    /// Applies to the socket at `path`, on which nobody listens yet.
    pub(crate) fn apply(self, path: &Path) -> io::Result<()> {
        use std::os::unix::fs::{PermissionsExt, chown};
        let mode = match self {
            Self::Owner => 0o600,
            Self::Group(group) => {
                chown(path, None, Some(group))?;
                0o660
            }
            Self::Everyone => 0o666,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }
}

/// The number of the Linux group `name`, as the system's databases know it. `None` when there is no such group.
///
/// # Errors
/// What Linux says when the databases cannot be asked.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    const LARGEST: usize = 1 << 24;
    let Ok(name) = CString::new(name) else { return Ok(None) };
    let mut space: Vec<libc::c_char> = vec![0; 1024];
    loop {
        let mut group = MaybeUninit::<libc::group>::uninit();
        let mut found = ptr::null_mut();
        // SAFETY: all pointers are to live memory of the lengths given, and the name ends with a zero.
        let error = unsafe {
            libc::getgrnam_r(
                name.as_ptr(),
                group.as_mut_ptr(),
                space.as_mut_ptr(),
                space.len(),
                &raw mut found,
            )
        };
        match error {
            0 if found.is_null() => return Ok(None),
            // SAFETY: on success `found` points to `group`, which has been filled in.
            0 => return Ok(Some(unsafe { (*found).gr_gid })),
            // Ways to say that there is none, by the manual.
            libc::ENOENT | libc::ESRCH => return Ok(None),
            libc::EINTR => {}
            // A group with many members.
            libc::ERANGE if space.len() < LARGEST => space.resize(space.len() * 4, 0),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

/// The supplementary groups of whoever is at the other end, as they were when it connected.
pub(crate) fn peer_groups(socket: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let bytes = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(bytes).map_err(|_| Errno::INVAL)?;
        // SAFETY: the buffer is as long as `length` says and any bytes are valid for it.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        // Linux says how much there is, also when it does not fit.
        let count = length as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_unknown_ones_are_none() {
        assert_eq!(group_id("root").expect("can be asked"), Some(0));
        assert_eq!(group_id("no group has this name").expect("can be asked"), None);
        assert_eq!(group_id("nul\0inside").expect("can be asked"), None);
    }
}
