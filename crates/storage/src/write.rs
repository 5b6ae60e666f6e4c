//! Writing an object whose size is not known before its end.
//!
//! Invariant: no object is seen under the name before `finish`, and then it has every byte written, in order.
//! Invariant: memory is bounded by three parts, whatever the sizes of the writes.

use std::{fmt, mem, sync::Arc};

use bytes::{Buf as _, Bytes, BytesMut};
use object_store::{Attributes, Error, MultipartUpload, ObjectStore, PutMultipartOptions, PutOptions, path::Path};
use tokio::{runtime::Handle, task::JoinSet};

use crate::{StorageError, stores::BLOCK_BYTES};

/// The size of the first parts; an object that is not larger is put at once.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// After as many parts they grow by [`PART_BYTES`]: a store may take no more than 10,000 of them (S3).
const PARTS_OF_ONE_SIZE: usize = 1000;
/// How many parts are on their way to the store at a time.
const MAX_PARTS_IN_FLIGHT: usize = 2;

/// Writes one object in parts; an existing object of the name is replaced when it is finished.
///
/// A write that fails or is dropped half-way leaves a writer that can only be given up.
pub struct ObjectWriter {
    store: Arc<dyn ObjectStore>,
    path: Path,
    buffer: BytesMut,
    size_bytes: u64,
    /// What the store keeps beside the bytes.
    attributes: Attributes,
    /// None as long as the buffer holds the whole object.
    upload: Option<Box<dyn MultipartUpload>>,
    parts: usize,
    in_flight: JoinSet<Result<Bytes, Error>>,
    /// The memory of a part that is sent, for one to come: fresh memory costs more than what is copied into it.
    spare: BytesMut,
    /// Whether every byte of the writes so far is buffered or on its way.
    whole: bool,
}

impl fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectWriter")
            .field("path", &self.path)
            .field("size_bytes", &self.size_bytes)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

impl ObjectWriter {
    /// Begin an object. The store is first asked when there is a part to send.
    ///
    /// # Errors
    /// [`StorageError::Refused`] when `path` names no object.
    pub async fn open(store: Arc<dyn ObjectStore>, path: Path) -> Result<Self, StorageError> {
        if path.is_root() {
            return Err(Error::NotSupported { source: "an object needs a name".into() }.into());
        }
        Ok(Self {
            store,
            path,
            buffer: BytesMut::new(),
            size_bytes: 0,
            attributes: Attributes::new(),
            upload: None,
            parts: 0,
            in_flight: JoinSet::new(),
            spare: BytesMut::new(),
            whole: true,
        })
    }

    /// With what the store is to keep beside the bytes. A store of this machine keeps nothing, and refuses any.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Add bytes at the end. Waits while the store is behind.
    ///
    /// # Errors
    /// What the store says of this part or an earlier one.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<(), StorageError> {
        self.check_whole()?;
        self.whole = false;
        while !bytes.is_empty() {
            let room = part_bytes(self.parts) - self.buffer.len();
            if room == 0 {
                self.send_part().await?;
                continue;
            }
            if self.parts > 0 && self.buffer.is_empty() {
                // It will be full: growing step by step would copy it over and over.
                self.buffer = part_of(mem::take(&mut self.buffer), room);
            }
            // Copied: a small slice would keep the large buffer alive that it was cut from.
            let taken = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&taken);
            self.size_bytes += taken.len() as u64;
        }
        self.whole = true;
        Ok(())
    }

    /// Make the object appear, and give its size in bytes. It is durable then.
    ///
    /// # Errors
    /// What the store says. The object may be there nevertheless when the answer was lost.
    pub async fn finish(mut self) -> Result<u64, StorageError> {
        let outcome = self.complete().await;
        if outcome.is_err() {
            self.discard().await;
        }
        outcome.map(|()| self.size_bytes)
    }

    /// Give the object up, and remove what the store holds of it.
    pub async fn abort(mut self) {
        self.discard().await;
    }

    async fn complete(&mut self) -> Result<(), StorageError> {
        self.check_whole()?;
        if self.upload.is_none() {
            let bytes = mem::take(&mut self.buffer).freeze();
            let options = PutOptions { attributes: mem::take(&mut self.attributes), ..PutOptions::default() };
            self.store.put_opts(&self.path, bytes.into(), options).await?;
            return Ok(());
        }
        self.send_part().await?;
        self.wait_until_in_flight(0).await?;
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        // There is nothing left to give up.
        self.upload = None;
        Ok(())
    }

    async fn send_part(&mut self) -> Result<(), StorageError> {
        self.wait_until_in_flight(MAX_PARTS_IN_FLIGHT - 1).await?;
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let attributes = mem::take(&mut self.attributes);
                let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
                none.insert(self.store.put_multipart_opts(&self.path, options).await?)
            }
        };
        let part = mem::replace(&mut self.buffer, mem::take(&mut self.spare)).freeze();
        let sending = upload.put_part(Bytes::clone(&part).into());
        self.in_flight.spawn(async move { sending.await.map(|()| part) });
        self.parts += 1;
        Ok(())
    }

    async fn wait_until_in_flight(&mut self, count: usize) -> Result<(), StorageError> {
        while self.in_flight.len() > count {
            if let Some(joined) = self.in_flight.join_next().await {
                let part = joined.map_err(Error::from)??;
                // A store that holds on to it keeps it.
                self.spare = part.try_into_mut().unwrap_or_default();
                self.spare.clear();
            }
        }
        Ok(())
    }

    fn check_whole(&self) -> Result<(), StorageError> {
        if self.whole {
            return Ok(());
        }
        let source = "an earlier write to the object was not completed".into();
        Err(StorageError::Unavailable { source: Error::Generic { store: "ObjectWriter", source } })
    }

    async fn discard(&mut self) {
        self.in_flight.shutdown().await;
        if let Some(upload) = self.upload.take() {
            give_up(upload, &self.path).await;
        }
    }
}

impl Drop for ObjectWriter {
    fn drop(&mut self) {
        // Parts that a store keeps without an object are paid for. Outside of a runtime nothing can be asked of it.
        if let (Some(upload), Ok(runtime)) = (self.upload.take(), Handle::try_current()) {
            self.in_flight.abort_all();
            let path = self.path.clone();
            runtime.spawn(async move { give_up(upload, &path).await });
        }
    }
}

async fn give_up(mut upload: Box<dyn MultipartUpload>, path: &Path) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(object.path = %path, %error, "the parts of an unfinished object may be left in the store");
    }
}

/// Memory for a part, which begins where a disk takes it as it is: the given one, if it does.
fn part_of(memory: BytesMut, size_bytes: usize) -> BytesMut {
    if memory.capacity() >= size_bytes && memory.as_ptr().align_offset(BLOCK_BYTES) == 0 {
        return memory;
    }
    let mut memory = BytesMut::with_capacity(size_bytes + BLOCK_BYTES);
    let before = memory.as_ptr().align_offset(BLOCK_BYTES);
    memory.resize(before, 0);
    memory.advance(before);
    memory
}

/// The size of the part of this number, counted from 0.
fn part_bytes(number: usize) -> usize {
    PART_BYTES * (1 + number / PARTS_OF_ONE_SIZE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use object_store::{ObjectStoreExt as _, PutPayload};
    use tempfile::TempDir;

    use super::*;
    use crate::stores::{
        DurableLocal,
        faulty::{Fault, Faulty},
    };

    const GIB: usize = 1024 * 1024 * 1024;

    async fn writer(store: &Faulty) -> ObjectWriter {
        ObjectWriter::open(Arc::new(store.clone()), Path::from("a")).await.unwrap()
    }

    fn local() -> (TempDir, Path) {
        let folder = tempfile::tempdir().unwrap();
        let path = Path::from_absolute_path(folder.path().canonicalize().unwrap().join("a")).unwrap();
        (folder, path)
    }

    #[tokio::test]
    async fn writes_of_any_size_become_parts_of_one_size() {
        for piece_bytes in [3 * PART_BYTES + 1, PART_BYTES, 1_000_003] {
            let store = Faulty::new(Fault::None);
            let mut writer = writer(&store).await;
            let mut rest = Bytes::from(vec![7; 3 * PART_BYTES + 1]);
            while !rest.is_empty() {
                let piece = rest.split_to(piece_bytes.min(rest.len()));
                writer.write(piece).await.unwrap();
            }
            assert_eq!(writer.finish().await.unwrap(), 3 * PART_BYTES as u64 + 1);
            let parts = store.parts();
            assert_eq!(parts.sizes, [PART_BYTES, PART_BYTES, PART_BYTES, 1]);
            assert_eq!((parts.most_in_flight, parts.aborted), (MAX_PARTS_IN_FLIGHT, false));
        }
    }

    #[tokio::test]
    async fn parts_that_take_the_memory_of_others_hold_their_own_bytes() {
        let (_folder, path) = local();
        let store = Arc::new(DurableLocal::new());
        let mut writer = ObjectWriter::open(store.clone(), path.clone()).await.unwrap();
        let bytes: Vec<u8> = (0..6 * PART_BYTES + 5).map(|at| (at / 1000 % 251) as u8).collect();
        for piece in bytes.chunks(700_001) {
            writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
            assert!(writer.parts == 0 || writer.buffer.as_ptr().align_offset(BLOCK_BYTES) == 0);
        }
        assert!(writer.spare.capacity() > 0 || writer.in_flight.len() == MAX_PARTS_IN_FLIGHT);
        writer.finish().await.unwrap();
        assert!(store.get(&path).await.unwrap().bytes().await.unwrap() == bytes);
    }

    #[tokio::test]
    async fn a_small_object_is_put_without_parts() {
        for size_bytes in [0, 1, PART_BYTES] {
            let store = Faulty::new(Fault::None);
            let mut writer = writer(&store).await;
            writer.write(vec![7; size_bytes].into()).await.unwrap();
            assert_eq!(writer.finish().await.unwrap(), size_bytes as u64);
            assert_eq!(store.head(&Path::from("a")).await.unwrap().size, size_bytes as u64);
            assert!(store.parts().sizes.is_empty());
        }
    }

    #[test]
    fn a_large_object_fits_in_the_parts_that_s3_takes() {
        let ends: Vec<usize> = (0..10_000)
            .scan(0, |end, number| {
                *end += part_bytes(number);
                Some(*end)
            })
            .collect();
        assert!(ends[9_999] > 400 * GIB);
        let hundred_gib = ends.iter().position(|&end| end > 100 * GIB).unwrap();
        assert!(part_bytes(hundred_gib) <= 5 * PART_BYTES);
    }

    #[tokio::test]
    async fn a_writer_whose_part_failed_finishes_nothing() {
        for part in [1, 2, 4] {
            let store = Faulty::new(Fault::Part(part));
            let mut writer = writer(&store).await;
            // The failure shows at this write or later.
            let _ = writer.write(vec![7; 3 * PART_BYTES + 1].into()).await;
            let error = writer.finish().await.unwrap_err();
            assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
            assert!(store.parts().aborted);
            assert!(store.head(&Path::from("a")).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_writer_with_a_write_dropped_half_way_finishes_nothing() {
        let store = Faulty::new(Fault::None);
        let mut writer = writer(&store).await;
        let mut write = Box::pin(writer.write(vec![7; 9 * PART_BYTES].into()));
        assert!(futures::poll!(&mut write).is_pending());
        drop(write);
        assert!(writer.write(Bytes::new()).await.is_err());
        assert!(writer.finish().await.is_err());
        assert!(store.head(&Path::from("a")).await.is_err());
    }

    #[tokio::test]
    async fn an_existing_object_is_replaced_by_one_in_parts() {
        let (_folder, path) = local();
        let store: Arc<dyn ObjectStore> = Arc::new(DurableLocal::new());
        store.put(&path, PutPayload::from("before")).await.unwrap();
        let mut writer = ObjectWriter::open(Arc::clone(&store), path.clone()).await.unwrap();
        writer.write(vec![7; PART_BYTES + 1].into()).await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, 6);
        writer.finish().await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, PART_BYTES as u64 + 1);
    }

    #[tokio::test]
    async fn a_dropped_writer_leaves_no_file() {
        let (folder, path) = local();
        let mut writer = ObjectWriter::open(Arc::new(DurableLocal::new()), path).await.unwrap();
        writer.write(vec![7; 3 * PART_BYTES].into()).await.unwrap();
        let count = || folder.path().read_dir().unwrap().count();
        assert_eq!(count(), 1);
        drop(writer);
        let gone = async {
            while count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
    }

    #[tokio::test]
    async fn an_object_without_a_name_is_refused() {
        let opened = ObjectWriter::open(Arc::new(Faulty::new(Fault::None)), Path::ROOT).await;
        assert!(matches!(opened, Err(StorageError::Refused { .. })));
    }
}
