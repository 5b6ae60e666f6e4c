//! Files that have their bytes but not yet their name.
//!
//! Invariant: a staging file is gone when its `Staging` is, published or not; a file of a killed process stays unseen.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io,
    path::{Path as FilePath, PathBuf},
};

use object_store::{CopyMode, PutResult, Result};
use uuid::Uuid;

use super::{
    disk::Disk,
    disk_error::{failed, failed_or_missing, link_failed},
    e_tag,
};

/// How often a staging file is tried again: its directory may be removed, and its name taken.
const TRIES: usize = 32;

/// A file beside its target, under a name that no list shows and no object can have.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    target: PathBuf,
}

impl Staging {
    /// Make an empty staging file, and the target's directory where it is missing.
    pub(super) fn create(disk: &Disk, target: PathBuf) -> Result<(File, Self)> {
        Self::stage(disk, target, |path| OpenOptions::new().write(true).create_new(true).open(path))
    }

    /// Make a staging file that shares the bytes of the object `from`, which never change under its name.
    pub(super) fn link(disk: &Disk, from: &FilePath, target: PathBuf) -> Result<Self> {
        fs::metadata(from).map_err(failed_or_missing("find", from))?;
        let ((), staging) = Self::stage(disk, target, |path| fs::hard_link(from, path))?;
        Ok(staging)
    }

    fn stage<T>(disk: &Disk, target: PathBuf, make: impl Fn(&FilePath) -> io::Result<T>) -> Result<(T, Self)> {
        let directory = target.parent().unwrap_or(FilePath::new("/"));
        let mut tries = 1;
        loop {
            let path = staging_path(&target);
            match disk.make_directory(directory).and_then(|()| make(&path)) {
                Ok(made) => return Ok((made, Self { path, target })),
                Err(error) if tries < TRIES && error.kind() == io::ErrorKind::NotFound => disk.forget_directories(),
                Err(error) if tries < TRIES && error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("stage", &path)(error)),
            }
            tries += 1;
        }
    }

    /// Where the bytes are until they are published.
    pub(super) fn path(&self) -> &FilePath {
        &self.path
    }

    /// Make the written bytes durable, then publish them.
    pub(super) fn publish_synced(self, disk: &Disk, file: &File, mode: CopyMode) -> Result<PutResult> {
        disk.sync_file(file, &self.path).map_err(failed("sync", &self.path))?;
        let metadata = file.metadata().map_err(failed("stat", &self.path))?;
        self.publish(disk, mode)?;
        Ok(PutResult { e_tag: Some(e_tag(&metadata)), version: None })
    }

    /// Give the durable bytes the target's name, and make the name durable.
    pub(super) fn publish(self, disk: &Disk, mode: CopyMode) -> Result<()> {
        match mode {
            CopyMode::Overwrite => fs::rename(&self.path, &self.target).map_err(failed("rename", &self.path))?,
            CopyMode::Create => fs::hard_link(&self.path, &self.target).map_err(link_failed(&self.target))?,
        }
        let directory = self.target.parent().unwrap_or(FilePath::new("/")).to_path_buf();
        drop(self);
        disk.sync_directory(&directory).map_err(failed("sync", &directory))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A rename leaves no staging file, except onto another name of the same file, where it does nothing.
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file.path = %self.path.display(), %error, "a staging file could not be removed");
            }
            _ => {}
        }
    }
}

/// `.{name}#{number}`: the number makes it a name that `LocalFileSystem` hides from lists and refuses as an object, the
/// point one that others who list the folder leave out.
fn staging_path(target: &FilePath) -> PathBuf {
    let (number, _) = Uuid::new_v4().as_u64_pair();
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!("#{number}"));
    target.with_file_name(name)
}
