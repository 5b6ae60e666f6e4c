//! What makes files and directories survive a power cut.
//!
//! Invariant: a directory is made durable up to the root before the first write into it is acknowledged,
//! whoever made it: another writer, or another process, may not have synced it yet.

use std::{
    collections::HashSet,
    fs::{self, File},
    io,
    path::{Path as FilePath, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// How many directories are remembered as durable; past that all are synced anew at their next use.
const MAX_DURABLE_DIRECTORIES: usize = 10_000;

type SyncFile = fn(&File, &FilePath) -> io::Result<()>;

/// The syncs of one store, and the directories that need none any more.
#[derive(Debug)]
pub(super) struct Disk {
    durable: Mutex<HashSet<PathBuf>>,
    sync: SyncFile,
}

impl Default for Disk {
    fn default() -> Self {
        Self::with_sync(|file, _| file.sync_all())
    }
}

impl Disk {
    /// A disk that syncs by this function; tests watch the order with it.
    pub(super) fn with_sync(sync: SyncFile) -> Self {
        Self { durable: Mutex::default(), sync }
    }

    /// Make the directory and those above it where they are missing, and make all of their names durable.
    pub(super) fn make_directory(&self, directory: &FilePath) -> io::Result<()> {
        let unsure: Vec<&FilePath> = directory.ancestors().take_while(|above| !self.is_durable(above)).collect();
        for directory in unsure.into_iter().rev() {
            self.make_below_durable(directory)?;
            self.remember(directory);
        }
        Ok(())
    }

    /// Forget which directories are durable: one of them was removed.
    pub(super) fn forget_directories(&self) {
        self.durable().clear();
    }

    /// Make the names in a directory durable.
    pub(super) fn sync_directory(&self, directory: &FilePath) -> io::Result<()> {
        match (self.sync)(&File::open(directory)?, directory) {
            // A file system that cannot sync a directory has no other way to make a name durable either.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
            other => other,
        }
    }

    /// Make the bytes and the length of a file durable.
    pub(super) fn sync_file(&self, file: &File, path: &FilePath) -> io::Result<()> {
        (self.sync)(file, path)
    }

    fn make_below_durable(&self, directory: &FilePath) -> io::Result<()> {
        let Some(parent) = directory.parent() else { return Ok(()) };
        let made = make_if_missing(directory)?;
        match self.sync_directory(parent) {
            // What this process may not even read, and did not write, is not its to make durable.
            Err(error) if !made && error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            other => other,
        }
    }

    fn is_durable(&self, directory: &FilePath) -> bool {
        self.durable().contains(directory)
    }

    fn remember(&self, directory: &FilePath) {
        let mut durable = self.durable();
        if durable.len() >= MAX_DURABLE_DIRECTORIES {
            durable.clear();
        }
        durable.insert(directory.to_path_buf());
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the directory was made; that another writer made it first is as good.
fn make_if_missing(directory: &FilePath) -> io::Result<bool> {
    if directory.is_dir() {
        return Ok(false);
    }
    match fs::create_dir(directory) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(false),
        // "Already exists" would read as if the object did.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(io::ErrorKind::NotADirectory.into()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_directories_are_remembered_than_the_limit() {
        let disk = Disk::default();
        for number in 0..=MAX_DURABLE_DIRECTORIES {
            disk.remember(FilePath::new(&number.to_string()));
        }
        assert_eq!(disk.durable().len(), 1);
    }

    #[test]
    fn a_file_in_the_way_of_a_directory_does_not_read_as_an_existing_object() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("object"), "x").unwrap();
        let error = Disk::default().make_directory(&root.path().join("object/below")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
    }

    #[test]
    fn a_failed_sync_of_a_new_directory_is_an_error_and_is_tried_again() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        let failing = Disk::with_sync(|_, _| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(failing.make_directory(&folder).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!failing.is_durable(&folder));
    }
}
