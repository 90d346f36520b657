//! Where within `spool.path` the spool is, and which file system that is on.
//!
//! A folder that belongs to this process's user is the spool's own. One that belongs to somebody else (a Kubernetes volume with
//! `fsGroup`, a Docker volume, a bind mount) keeps its mode, and the spool gets a folder of its own in it. Does not depend on
//! SQLite.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use super::folder::database;

/// Made in a `spool.path` that is somebody else's.
const WITHIN: &str = "cardhook";

/// File systems on which SQLite's WAL (shared memory, locks) does not work, by the numbers of `statfs(2)`.
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0102_1997, "9P"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
];

/// File systems whose files are gone after a restart, by the numbers of `statfs(2)`.
const VOLATILE: &[(u64, &str)] = &[
    (0x0102_1994, "tmpfs, which is memory"),
    (0x8584_58f6, "ramfs, which is memory"),
    (0x794c_7630, "overlayfs, a container's own layer, which goes with the container"),
];

/// The spool's folder for a `spool.path`, whether or not it is there yet: that of a spool that is there, else the path
/// itself where it is this user's or can be made, else a folder within it.
#[must_use]
pub fn spool_folder(path: &Path) -> PathBuf {
    let within = path.join(WITHIN);
    let is_spool = |folder: &Path| database(folder).exists();
    if !is_spool(path) && (is_spool(&within) || is_ours(path).is_ok_and(|ours| !ours)) {
        within
    } else {
        path.to_owned()
    }
}

/// Whether a folder belongs to the user of this process.
pub(super) fn is_ours(folder: &Path) -> io::Result<bool> {
    Ok(fs::metadata(folder)?.uid() == rustix::process::geteuid().as_raw())
}

/// The network's file system that a folder is on: the spool does not start there.
#[must_use]
pub fn network_file_system(path: &Path) -> Option<&'static str> {
    file_system(path, NETWORK)
}

/// The file system that a folder is on, when its files do not outlive a restart of the machine or of the container.
#[must_use]
pub fn volatile_file_system(path: &Path) -> Option<&'static str> {
    file_system(path, VOLATILE)
}

/// That of a folder, or of the nearest one above it that is there, if it is one of these.
fn file_system(path: &Path, kinds: &[(u64, &'static str)]) -> Option<&'static str> {
    let stat = path.ancestors().find_map(|path| rustix::fs::statfs(path).ok())?;
    // The field's width and sign differ by platform; the numbers fit in 32 bits.
    let magic = u32::try_from(stat.f_type & 0xffff_ffff).ok().map(u64::from)?;
    kinds.iter().find(|(number, _)| *number == magic).map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_ours_and_one_that_is_not_there_are_the_spools_own() {
        let ours = tempfile::tempdir().unwrap();
        assert_eq!(spool_folder(ours.path()), ours.path());
        let missing = ours.path().join("missing");
        assert_eq!(spool_folder(&missing), missing);
    }

    #[test]
    fn a_spool_that_is_there_is_found_where_it_is() {
        let path = tempfile::tempdir().unwrap();
        let within = path.path().join("cardhook");
        fs::create_dir(&within).unwrap();
        fs::write(database(&within), b"").unwrap();
        assert_eq!(spool_folder(path.path()), within, "its volume has another owner now");
        fs::write(database(path.path()), b"").unwrap();
        assert_eq!(spool_folder(path.path()), path.path(), "the older place comes first");
    }

    #[test]
    fn memory_is_no_place_for_a_spool() {
        assert!(
            volatile_file_system(Path::new("/dev/shm/not/there/yet")).is_some_and(|kind| kind.starts_with("tmpfs"))
        );
        assert_eq!(volatile_file_system(Path::new("/proc")), None);
    }
}
