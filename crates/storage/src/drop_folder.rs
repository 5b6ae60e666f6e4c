//! A folder of this machine that others put files into.
//!
//! Every name on the way is opened by itself and never followed, so that a link put in its place leads nowhere.
//!
//! Invariant: no file outside of the root is read or listed, whatever becomes of the folders meanwhile.

use std::{
    ffi::CStr,
    fs::File,
    io,
    ops::ControlFlow,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path},
};

use chrono::{DateTime, Utc};
use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, open, openat, statat},
    io::Errno,
};

/// How deep folders are looked into.
const MAX_DEPTH: usize = 32;
/// How many folders wait to be looked into.
const MAX_WAITING: usize = 100_000;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A file of a drop folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedFile {
    /// Its path below the folder, with slashes.
    pub path: String,
    /// How large it is.
    pub size_bytes: u64,
    /// When it was changed last.
    pub modified: DateTime<Utc>,
}

/// A folder that others put files into. Every call blocks.
#[derive(Debug)]
pub struct DropFolder {
    folder: OwnedFd,
}

impl DropFolder {
    /// Open the folder at this path below a root; the root itself may be a link.
    ///
    /// # Errors
    /// The operating system's; [`io::ErrorKind::InvalidInput`] for a path that is not plain.
    pub fn open(root: &Path, below: &Path) -> io::Result<Self> {
        let root = open(root, FOLDER, Mode::empty())?;
        Ok(Self { folder: enter(root, below)? })
    }

    /// Tell of every file below, in no order, until told to stop. Hidden names and links are passed over.
    ///
    /// # Errors
    /// The operating system's, but for what vanishes meanwhile.
    pub fn walk(&self, mut each: impl FnMut(DroppedFile) -> ControlFlow<()>) -> io::Result<()> {
        let mut folders = vec![String::new()];
        while let Some(path) = folders.pop() {
            let folder = match enter(self.folder.try_clone()?, Path::new(&path)) {
                Ok(folder) => folder,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(io::Error::new(error.kind(), format!("{path}: {error}"))),
            };
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                let Some((name, found)) = look_at(&folder, entry.file_name())? else { continue };
                let path = if path.is_empty() { name } else { format!("{path}/{name}") };
                match FileType::from_raw_mode(found.st_mode) {
                    FileType::Directory if folders.len() >= MAX_WAITING || path.split('/').count() > MAX_DEPTH => {
                        let reason = "there are more or deeper folders than are looked into";
                        return Err(io::Error::other(format!("{path}: {reason}")));
                    }
                    FileType::Directory => folders.push(path),
                    FileType::RegularFile if each(described(path, &found)).is_break() => return Ok(()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Open a file, and tell what it is now.
    ///
    /// # Errors
    /// The operating system's; [`io::ErrorKind::InvalidInput`] for a path that is not plain, or no file.
    pub fn open_file(&self, path: &str) -> io::Result<(File, DroppedFile)> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = enter(self.folder.try_clone()?, Path::new(folder))?;
        // A pipe in its place would keep the opening waiting.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        plain(Path::new(name))?;
        let file = openat(&folder, name, flags, Mode::empty())?;
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        Ok((file.into(), described(path.to_owned(), &found)))
    }
}

/// What an open file is now.
///
/// # Errors
/// The operating system's.
pub fn describe_dropped(path: &str, file: &File) -> io::Result<DroppedFile> {
    Ok(described(path.to_owned(), &fstat(file)?))
}

/// The folder at a plain path, name by name.
fn enter(folder: OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    plain(path)?;
    path.iter()
        .try_fold(folder, |folder, name| Ok(openat(folder.as_fd(), name, FOLDER | OFlags::NOFOLLOW, Mode::empty())?))
}

fn plain(path: &Path) -> io::Result<()> {
    if path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the path is not plain"))
}

/// The name and what it is; none where it is hidden or gone.
fn look_at(folder: &OwnedFd, name: &CStr) -> io::Result<Option<(String, Stat)>> {
    if name.to_bytes().starts_with(b".") {
        return Ok(None);
    }
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        // A name that is no text cannot be opened by what is told of it, and fails by that.
        Ok(found) => Ok(Some((name.to_string_lossy().into_owned(), found))),
        Err(error) if is_gone(&error.into()) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

fn described(path: String, found: &Stat) -> DroppedFile {
    let nanos = u32::try_from(found.st_mtime_nsec).unwrap_or_default();
    let modified = DateTime::from_timestamp(found.st_mtime, nanos).unwrap_or_default();
    DroppedFile { path, size_bytes: found.st_size.unsigned_abs(), modified }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    use super::*;

    fn listed(folder: &DropFolder) -> Vec<String> {
        let mut paths = Vec::new();
        let walked = folder.walk(|file| {
            paths.push(file.path);
            ControlFlow::Continue(())
        });
        walked.unwrap();
        paths.sort();
        paths
    }

    #[test]
    fn files_are_found_at_every_depth_and_read() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("drop/a/b")).unwrap();
        for path in ["drop/1.csv", "drop/a/b/2.csv", "drop/.hidden", "beside.csv"] {
            fs::write(root.path().join(path), path).unwrap();
        }
        let folder = DropFolder::open(root.path(), Path::new("drop")).unwrap();
        assert_eq!(listed(&folder), ["1.csv", "a/b/2.csv"]);
        let (mut file, found) = folder.open_file("a/b/2.csv").unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), found.size_bytes), ("drop/a/b/2.csv", 14));
        assert_eq!(describe_dropped("a/b/2.csv", &file).unwrap(), found);
    }

    #[test]
    fn no_link_and_no_climb_leads_out_of_the_folder() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.csv"), "secret").unwrap();
        fs::create_dir(root.path().join("drop")).unwrap();
        symlink(outside.path(), root.path().join("drop/folder")).unwrap();
        symlink(outside.path().join("secret.csv"), root.path().join("drop/file.csv")).unwrap();
        symlink(outside.path(), root.path().join("way")).unwrap();
        let folder = DropFolder::open(root.path(), Path::new("drop")).unwrap();
        assert_eq!(listed(&folder), Vec::<String>::new());
        for path in ["folder/secret.csv", "file.csv", "../drop/x", "/etc/passwd", "..", "a/../b", ""] {
            assert!(folder.open_file(path).is_err(), "{path:?} was opened");
        }
        assert!(DropFolder::open(root.path(), Path::new("way")).is_err());
        assert!(DropFolder::open(root.path(), Path::new("../..")).is_err());
    }

    #[test]
    fn a_pipe_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.path().join("pipe.csv"), Mode::RUSR | Mode::WUSR).unwrap();
        let folder = DropFolder::open(root.path(), Path::new("")).unwrap();
        assert_eq!(listed(&folder), Vec::<String>::new());
        assert!(folder.open_file("pipe.csv").is_err());
    }
}
