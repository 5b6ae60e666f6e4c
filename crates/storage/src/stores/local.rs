//! The local disk, where an acknowledged write survives a power cut.
//!
//! Reads and lists as `object_store`'s own local store does; that one never syncs, so nothing is written through it.
//!
//! Invariant: an object's bytes are synced before its name appears, and its name before the write is acknowledged.
//! Invariant: a name appears at once with all of its bytes; what is not finished is in a staging file no list shows.

mod directories;
mod disk_error;
mod staging;
mod upload;

use std::{
    collections::BTreeMap,
    fmt, fs,
    fs::Metadata,
    io::Write,
    ops::Range,
    os::unix::fs::MetadataExt,
    path::{Path as FilePath, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    RenameTargetMode, Result, local::LocalFileSystem, path::Path,
};
use tokio::task::spawn_blocking;
use url::Url;

use self::{directories::Directories, disk_error::failed, staging::Staging, upload::Upload};
use super::{Opened, bad_location};
use crate::StorageError;

/// How many deletions share the syncs of their directories.
const DELETE_BATCH: usize = 256;

/// The whole file system as an object store whose acknowledged writes are durable. Paths are relative to `/`.
///
/// Put-if-absent needs a file system with hard links; without them it fails with [`Error::NotSupported`].
#[derive(Debug, Clone, Default)]
pub struct DurableLocal {
    reader: LocalFileSystem,
    directories: Arc<Directories>,
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableLocal(/)")
    }
}

/// Open the folder of `file:///absolute/folder`, and make it when it is missing.
pub(super) fn open(url: &Url) -> std::result::Result<Opened, StorageError> {
    let bad = |reason: String| bad_location(url.as_str(), reason);
    let folder = url.to_file_path().map_err(|()| bad("it is not a folder of this machine".into()))?;
    fs::create_dir_all(&folder).map_err(|error| bad(format!("the folder cannot be made: {error}")))?;
    // One folder must have one name, or nothing could tell that two zones are the same.
    let folder = fs::canonicalize(&folder).map_err(|error| bad(format!("the folder cannot be found: {error}")))?;
    let path = Path::from_absolute_path(&folder).map_err(|error| bad(error.to_string()))?;
    if path.is_root() {
        return Err(bad("it is the whole file system".into()));
    }
    let url = Url::from_directory_path(&folder).map_err(|()| bad("it has no URL".into()))?;
    Ok(Opened { url, root: Arc::new(DurableLocal::new()), path })
}

impl DurableLocal {
    /// The file system of this machine.
    pub fn new() -> Self {
        Self::default()
    }

    fn file(&self, location: &Path) -> Result<PathBuf> {
        self.reader.path_to_filesystem(location)
    }

    fn not_implemented(&self, operation: &str) -> Error {
        Error::NotImplemented { operation: operation.into(), implementer: self.to_string() }
    }

    fn refuse_attributes(&self, attributes: &Attributes) -> Result<()> {
        if attributes.is_empty() { Ok(()) } else { Err(self.not_implemented("a write with attributes")) }
    }
}

/// Run what waits for the disk off the runtime's workers. It runs to its end even when nobody waits any more.
async fn blocking<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    spawn_blocking(work).await?
}

fn put(directories: &Directories, target: PathBuf, payload: &PutPayload, mode: CopyMode) -> Result<PutResult> {
    let (mut file, staging) = Staging::create(directories, target)?;
    payload.iter().try_for_each(|piece| file.write_all(piece)).map_err(failed("write", staging.path()))?;
    file.sync_all().map_err(failed("sync", staging.path()))?;
    let metadata = file.metadata().map_err(failed("stat", staging.path()))?;
    drop(file);
    staging.publish(mode)?;
    Ok(PutResult { e_tag: Some(e_tag(&metadata)), version: None })
}

/// The tag that `LocalFileSystem` gives when the object is read.
fn e_tag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("{:x}-{:x}-{:x}", metadata.ino(), modified.unwrap_or_default().as_micros(), metadata.len())
}

/// Remove the files in order, then sync each of their directories once.
fn delete(files: Vec<(Path, Result<PathBuf>)>) -> Vec<Result<Path>> {
    let mut removed: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    let mut results = Vec::with_capacity(files.len());
    for (index, (location, file)) in files.into_iter().enumerate() {
        let result = file.and_then(|file| {
            fs::remove_file(&file).map_err(failed("delete", &file))?;
            let directory = file.parent().map(FilePath::to_path_buf).unwrap_or_default();
            removed.entry(directory).or_default().push(index);
            Ok(location)
        });
        results.push(result);
    }
    for (directory, indices) in removed {
        for index in indices {
            // The same error cannot be given twice, and a second sync after a failed one proves nothing.
            if let Err(error) = directories::sync(&directory) {
                results[index] = Err(failed("sync", &directory)(error));
            } else {
                break;
            }
        }
    }
    results
}
