//! What the disk said, with what was done to which file.

use std::{io, path::Path as FilePath, path::PathBuf};

use object_store::Error;

/// An error of the operating system. Its source stays an [`io::Error`], so that a full disk can be told.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {}", path.display())]
struct DiskError {
    verb: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Turn the error of a step of a write into the store's. A name that is missing here is no missing object.
pub(super) fn failed(verb: &'static str, path: &FilePath) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| {
        let (kind, shown) = (source.kind(), path.display().to_string());
        let source = Box::new(DiskError { verb, path, source });
        match kind {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::PermissionDenied { path: shown, source }
            }
            _ => Error::Generic { store: "DurableLocal", source },
        }
    }
}

/// The same for an object that should exist: [`Error::NotFound`] when it does not.
pub(super) fn failed_or_missing(verb: &'static str, path: &FilePath) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NotFound { path: path.display().to_string(), source: source.into() }
        }
        _ => failed(verb, &path)(source),
    }
}

/// The same for the link that gives an object its name, where there must be none.
pub(super) fn link_failed(path: &FilePath) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::AlreadyExists { path: path.display().to_string(), source: source.into() }
        }
        // The staging file was made in the same directory, so it is not the directory that refuses.
        io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported => {
            Error::NotSupported { source: format!("the file system has no hard links: {source}").into() }
        }
        _ => failed("link", &path)(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StorageError;

    #[test]
    fn a_full_disk_is_seen_through_the_store_error() {
        let error = failed("write", FilePath::new("/lake/a"))(io::ErrorKind::StorageFull.into());
        assert!(matches!(StorageError::from(error), StorageError::Full));
    }

    #[test]
    fn a_directory_that_vanished_during_a_write_is_no_missing_object() {
        let path = FilePath::new("/lake/a");
        assert!(matches!(failed("sync", path)(io::ErrorKind::NotFound.into()), Error::Generic { .. }));
        assert!(matches!(failed_or_missing("delete", path)(io::ErrorKind::NotFound.into()), Error::NotFound { .. }));
    }

    #[test]
    fn only_the_naming_link_says_that_an_object_exists() {
        let path = FilePath::new("/lake/a");
        assert!(matches!(link_failed(path)(io::ErrorKind::AlreadyExists.into()), Error::AlreadyExists { .. }));
        assert!(matches!(link_failed(path)(io::ErrorKind::Unsupported.into()), Error::NotSupported { .. }));
        assert!(matches!(failed("create", path)(io::ErrorKind::AlreadyExists.into()), Error::Generic { .. }));
    }
}
