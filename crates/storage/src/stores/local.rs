//! The local disk, where an acknowledged write survives a power cut.
//!
//! Reads and lists as `object_store`'s own local store does; that one never syncs, so nothing is written through it.
//!
//! Invariant: an object's bytes are synced before its name appears, and its name before the write is acknowledged.
//! Invariant: a name appears at once with all of its bytes; what is not finished is in a staging file no list shows.

mod disk;
mod disk_error;
mod past_cache;
mod staging;
mod stale;
mod upload;

#[cfg(test)]
mod tests;

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

use self::{
    disk::Disk,
    disk_error::{failed, failed_or_missing},
    staging::Staging,
    upload::Upload,
};
pub(crate) use self::{past_cache::BLOCK_BYTES, stale::remove_stale_staging};
use super::{Opened, bad_location};
use crate::StorageError;

/// How many deletions share the syncs of their directories.
const DELETE_BATCH: usize = 256;

/// The whole file system as an object store whose acknowledged writes are durable. Paths are relative to `/`.
///
/// Put-if-absent and copies need a file system with hard links; without them they fail with [`Error::NotSupported`].
#[derive(Debug, Clone, Default)]
pub struct DurableLocal {
    reader: LocalFileSystem,
    disk: Arc<Disk>,
}

impl fmt::Display for DurableLocal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DurableLocal(/)")
    }
}

/// Open the folder of `file:///absolute/folder`, and make it when it is missing.
pub(super) fn open(url: &Url) -> std::result::Result<Opened, StorageError> {
    let bad = |reason: String| bad_location(url.as_str(), reason);
    let store = DurableLocal::new();
    let folder = url.to_file_path().map_err(|()| bad("it is not a folder of this machine".into()))?;
    store.disk.make_directory(&folder).map_err(|error| bad(format!("the folder cannot be made: {error}")))?;
    // One folder must have one name, or nothing could tell that two zones are the same.
    let folder = fs::canonicalize(&folder).map_err(|error| bad(format!("the folder cannot be found: {error}")))?;
    let path = Path::from_absolute_path(&folder).map_err(|error| bad(error.to_string()))?;
    if path.is_root() {
        return Err(bad("it is the whole file system".into()));
    }
    let url = Url::from_directory_path(&folder).map_err(|()| bad("it has no URL".into()))?;
    Ok(Opened { url, root: Arc::new(store), path })
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

    /// Remove the files in order, then sync each of their directories once.
    fn delete_batch(&self, locations: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let mut removed: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
        let mut results: Vec<Result<Path>> = Vec::with_capacity(locations.len());
        for (index, location) in locations.into_iter().enumerate() {
            results.push(location.and_then(|location| {
                let file = self.file(&location)?;
                fs::remove_file(&file).map_err(failed_or_missing("delete", &file))?;
                let directory = file.parent().map(FilePath::to_path_buf).unwrap_or_default();
                removed.entry(directory).or_default().push(index);
                Ok(location)
            }));
        }
        for (directory, indices) in removed {
            if let Err(error) = self.disk.sync_directory(&directory) {
                // An error cannot be given twice; its kind can.
                indices
                    .into_iter()
                    .for_each(|index| results[index] = Err(failed("sync", &directory)(error.kind().into())));
            }
        }
        results
    }
}

#[async_trait]
impl ObjectStore for DurableLocal {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.refuse_attributes(&opts.attributes)?;
        let mode = match opts.mode {
            PutMode::Overwrite => CopyMode::Overwrite,
            PutMode::Create => CopyMode::Create,
            PutMode::Update(_) => return Err(self.not_implemented("a put of an expected version")),
        };
        let (disk, target) = (Arc::clone(&self.disk), self.file(location)?);
        blocking(move || put(&disk, target, &payload, mode)).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.refuse_attributes(&opts.attributes)?;
        let (disk, target) = (Arc::clone(&self.disk), self.file(location)?);
        let upload = blocking(move || Upload::open(disk, target)).await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.reader.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reader.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .ready_chunks(DELETE_BATCH)
            .then(move |locations| {
                let store = store.clone();
                async move {
                    let deleted = blocking(move || Ok(store.delete_batch(locations))).await;
                    stream::iter(deleted.unwrap_or_else(|error| vec![Err(error)]))
                }
            })
            .flatten()
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reader.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.reader.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.reader.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (from, to, disk) = (self.file(from)?, self.file(to)?, Arc::clone(&self.disk));
        blocking(move || Staging::link(&disk, &from, to)?.publish(&disk, options.mode)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let mode = match options.target_mode {
            RenameTargetMode::Overwrite => CopyMode::Overwrite,
            RenameTargetMode::Create => CopyMode::Create,
        };
        self.copy_opts(from, to, CopyOptions::new().with_mode(mode)).await?;
        if from == to { Ok(()) } else { self.delete(from).await }
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

fn put(disk: &Disk, target: PathBuf, payload: &PutPayload, mode: CopyMode) -> Result<PutResult> {
    let (mut file, staging) = Staging::create(disk, target)?;
    payload.iter().try_for_each(|piece| file.write_all(piece)).map_err(failed("write", staging.path()))?;
    staging.publish_synced(disk, &file, mode)
}

/// The tag that `LocalFileSystem` gives when the object is read.
fn e_tag(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    format!("{:x}-{:x}-{:x}", metadata.ino(), modified.unwrap_or_default().as_micros(), metadata.len())
}
