//! The file that holds the bytes of one upload until it lands.
//!
//! Invariant: a file has one holder among all servers of this machine, and is free as soon as the holder has ended.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io::{self, SeekFrom},
    path::{Path, PathBuf},
    sync::Arc,
};

use sluice_domain::UploadId;
use tokio::{
    fs::File,
    io::{AsyncSeekExt as _, AsyncWriteExt as _},
    task::spawn_blocking,
};

/// The largest piece that is written at once, in bytes.
const WRITE_BYTES: usize = 1024 * 1024;

/// A file that is held.
pub(super) struct PartialFile {
    file: File,
    path: PathBuf,
    folder: Arc<Path>,
    /// Whether its name is durable, as far as this holder knows.
    is_named: bool,
}

impl PartialFile {
    /// Hold the file of this upload, which is made where it is missing; none while somebody else does.
    pub(super) async fn hold(folder: &Arc<Path>, id: UploadId) -> io::Result<Option<Self>> {
        let (folder, path) = (Arc::clone(folder), folder.join(id.to_string()));
        blocking(move || {
            let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let mut file = File::from_std(file);
            file.set_max_buf_size(WRITE_BYTES);
            Ok(Some(Self { file, path, folder, is_named: false }))
        })
        .await
    }

    /// Go to this offset and cut off what is behind it, which nobody was told of; says whether there are so many bytes.
    pub(super) async fn cut(&mut self, offset_bytes: u64) -> io::Result<bool> {
        if self.file.metadata().await?.len() < offset_bytes {
            return Ok(false);
        }
        self.file.set_len(offset_bytes).await?;
        self.file.seek(SeekFrom::Start(offset_bytes)).await?;
        Ok(true)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes).await
    }

    /// Make what was written durable.
    pub(super) async fn sync(&mut self) -> io::Result<()> {
        self.file.flush().await?;
        self.file.sync_all().await?;
        if !self.is_named {
            let folder = Arc::clone(&self.folder);
            blocking(move || fs::File::open(&folder)?.sync_all()).await?;
            self.is_named = true;
        }
        Ok(())
    }

    /// The file from its beginning; it is held as long as it is read.
    pub(super) async fn reader(&mut self) -> io::Result<&mut File> {
        self.file.seek(SeekFrom::Start(0)).await?;
        Ok(&mut self.file)
    }

    /// Remove the file. It is held until the name is gone.
    pub(super) async fn remove(self) -> io::Result<()> {
        let removed = tokio::fs::remove_file(&self.path).await;
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The uploads that have a file in this folder, this many at the most.
pub(super) async fn list(folder: &Arc<Path>, limit: usize) -> io::Result<Vec<UploadId>> {
    let folder = Arc::clone(folder);
    blocking(move || {
        let names = fs::read_dir(&folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|name| name.parse().ok()).take(limit).collect())
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(work).await?
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    #[tokio::test]
    async fn a_file_has_one_holder_and_goes_on_where_it_is_told_to() {
        let temporary = tempfile::tempdir().unwrap();
        let (folder, id): (Arc<Path>, _) = (temporary.path().into(), UploadId(uuid::Uuid::from_u128(7)));
        let mut first = PartialFile::hold(&folder, id).await.unwrap().unwrap();
        assert!(PartialFile::hold(&folder, id).await.unwrap().is_none());
        assert!(first.cut(0).await.unwrap() && !first.cut(1).await.unwrap());
        first.write(b"abcdef").await.unwrap();
        first.sync().await.unwrap();
        drop(first);

        let mut second = PartialFile::hold(&folder, id).await.unwrap().unwrap();
        assert!(second.cut(3).await.unwrap());
        second.write(b"xy").await.unwrap();
        second.sync().await.unwrap();
        let mut text = String::new();
        second.reader().await.unwrap().read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "abcxy");
        fs::write(folder.join("stranger"), "").unwrap();
        assert_eq!(list(&folder, 9).await.unwrap(), [id]);
        second.remove().await.unwrap();
        assert!(list(&folder, 9).await.unwrap().is_empty());
    }
}
