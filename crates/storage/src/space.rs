//! How much space is left where local folders lie.

use std::{io, path::Path};

/// How many bytes a process without special rights can still write where this folder lies.
///
/// # Errors
/// The operating system's.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_space_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        assert_eq!(free_bytes(&folder.path().join("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
