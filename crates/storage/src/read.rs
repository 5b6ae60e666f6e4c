//! Reading an object whose size is known, in pieces.
//!
//! Invariant: the pieces of a stream that ends without an error are the whole object.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};

use crate::StorageError;

/// The size of one piece, and of one request.
const CHUNK_BYTES: u64 = 4 * 1024 * 1024;
/// How many pieces are fetched ahead of the reader.
const READ_AHEAD: usize = 2;

/// Read an object of `size_bytes` from its start to its end.
///
/// # Errors
/// The stream ends after its first error: [`StorageError::WrongSize`] when the object is shorter or longer.
pub fn read_chunks(
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    let object = Object { store, path, size_bytes };
    let chunks = stream::iter(ranges(size_bytes))
        // A task of its own keeps a request going while the reader is busy.
        .map(move |range| tokio::spawn(object.clone().fetch(range)))
        .buffered(READ_AHEAD)
        .map(|joined| joined.unwrap_or_else(|error| Err(object_store::Error::from(error).into())));
    let mut failed = false;
    chunks.take_while(move |chunk| {
        let over = failed;
        failed |= chunk.is_err();
        async move { !over }
    })
}

/// The same with the first piece in hand: whoever gets the stream knows that the object is there, in its size, and that
/// its start can be read. An empty object is looked up too.
///
/// # Errors
/// The first piece's; the stream's are those of [`read_chunks`].
pub async fn read_object(
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
) -> Result<impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static, StorageError> {
    let mut chunks = Box::pin(read_chunks(store, path, size_bytes));
    let first = chunks.try_next().await?;
    Ok(stream::iter(first.map(Ok)).chain(chunks))
}

/// What to ask for; an empty object has one empty piece.
fn ranges(size_bytes: u64) -> impl Iterator<Item = Range<u64>> + Send + 'static {
    let count = size_bytes.div_ceil(CHUNK_BYTES).max(1);
    (0..count).map(move |number| number * CHUNK_BYTES..size_bytes.min((number + 1).saturating_mul(CHUNK_BYTES)))
}

#[derive(Clone)]
struct Object {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
}

impl Object {
    async fn fetch(self, range: Range<u64>) -> Result<Bytes, StorageError> {
        if range.is_empty() {
            // An empty range cannot be asked for; the size is all there is to see.
            self.check_size(self.store.head(&self.path).await?.size)?;
            return Ok(Bytes::new());
        }
        let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let found = match self.store.get_opts(&self.path, options).await {
            Ok(found) => found,
            // A range behind the end is refused in as many ways as there are stores.
            Err(error) => {
                self.check_size(self.store.head(&self.path).await?.size)?;
                return Err(error.into());
            }
        };
        self.check_size(found.meta.size)?;
        let bytes = found.bytes().await?;
        // It may have been cut since it was opened.
        let end = range.start + bytes.len() as u64;
        if end == range.end { Ok(bytes) } else { Err(self.wrong_size(end)) }
    }

    fn check_size(&self, found_bytes: u64) -> Result<(), StorageError> {
        if found_bytes == self.size_bytes { Ok(()) } else { Err(self.wrong_size(found_bytes)) }
    }

    fn wrong_size(&self, found_bytes: u64) -> StorageError {
        StorageError::WrongSize { path: self.path.to_string(), expected_bytes: self.size_bytes, found_bytes }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    const TEN_MIB: usize = 10 * 1024 * 1024;

    async fn stored(size_bytes: usize) -> (Arc<dyn ObjectStore>, Path, Bytes) {
        let bytes: Bytes = (0..size_bytes).map(|at| (at % 251) as u8).collect();
        let (store, path): (Arc<dyn ObjectStore>, _) = (Arc::new(InMemory::new()), Path::from("a"));
        store.put(&path, bytes.clone().into()).await.unwrap();
        (store, path, bytes)
    }

    #[tokio::test]
    async fn an_object_is_read_whole_and_in_bounded_pieces() {
        for size_bytes in [1, CHUNK_BYTES as usize, CHUNK_BYTES as usize + 1, TEN_MIB] {
            let (store, path, bytes) = stored(size_bytes).await;
            let chunks: Vec<Bytes> = read_chunks(store, path, size_bytes as u64).try_collect().await.unwrap();
            assert_eq!(chunks.len(), size_bytes.div_ceil(CHUNK_BYTES as usize));
            assert!(chunks.iter().all(|chunk| chunk.len() as u64 <= CHUNK_BYTES));
            assert_eq!(chunks.concat(), bytes);
        }
    }

    #[tokio::test]
    async fn an_object_of_another_size_is_refused() {
        for (stored_bytes, expected_bytes) in
            [(TEN_MIB, TEN_MIB - 1), (TEN_MIB, TEN_MIB + 1), (TEN_MIB, 0), (0, TEN_MIB), (1, 2), (1, 3 * TEN_MIB)]
        {
            let (store, path, _) = stored(stored_bytes).await;
            let chunks: Vec<_> = read_chunks(store, path, expected_bytes as u64).collect().await;
            let Some(Err(StorageError::WrongSize { found_bytes, .. })) = chunks.first() else {
                panic!("{stored_bytes} {expected_bytes}: {chunks:?}");
            };
            assert_eq!((*found_bytes, chunks.len()), (stored_bytes as u64, 1));
        }
    }

    #[tokio::test]
    async fn an_empty_object_has_no_bytes() {
        let (store, path, _) = stored(0).await;
        let chunks: Vec<Bytes> = read_chunks(store, path, 0).try_collect().await.unwrap();
        assert!(chunks.concat().is_empty());
    }

    #[tokio::test]
    async fn an_object_whose_first_piece_is_in_hand_is_read_whole() {
        for size_bytes in [0, 1, CHUNK_BYTES as usize, TEN_MIB] {
            let (store, path, bytes) = stored(size_bytes).await;
            let chunks = read_object(Arc::clone(&store), path.clone(), size_bytes as u64).await.unwrap();
            let same: Vec<Bytes> = read_chunks(store, path, size_bytes as u64).try_collect().await.unwrap();
            let chunks: Vec<Bytes> = chunks.try_collect().await.unwrap();
            assert_eq!(chunks.concat(), bytes);
            assert_eq!(chunks, same);
        }
    }

    #[tokio::test]
    async fn what_is_wrong_with_an_object_is_told_before_its_first_piece() {
        let absent = Path::from("b");
        for (stored_bytes, expected_bytes) in [(1, 2), (0, 1), (1, 0), (TEN_MIB, TEN_MIB - 1), (1, TEN_MIB)] {
            let (store, path, _) = stored(stored_bytes).await;
            let error = read_object(Arc::clone(&store), path, expected_bytes as u64).await.err().unwrap();
            assert!(matches!(error, StorageError::WrongSize { .. }), "{error:?}");
            let error = read_object(store, absent.clone(), expected_bytes as u64).await.err().unwrap();
            assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
        }
        let (store, ..) = stored(0).await;
        let error = read_object(store, absent, 0).await.err().unwrap();
        assert!(matches!(error, StorageError::NotFound { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn an_object_that_goes_after_its_first_piece_ends_the_stream_with_an_error() {
        let size_bytes = 5 * CHUNK_BYTES as usize;
        let (store, path, _) = stored(size_bytes).await;
        let chunks = read_object(Arc::clone(&store), path.clone(), size_bytes as u64).await.unwrap();
        store.delete(&path).await.unwrap();
        let chunks: Vec<_> = chunks.collect().await;
        assert!(chunks.len() > 1 && chunks.iter().filter(|chunk| chunk.is_err()).count() == 1);
        assert!(matches!(chunks.last(), Some(Err(StorageError::NotFound { .. }))), "the stream went on");
    }

    #[tokio::test]
    async fn a_missing_object_is_not_found_once() {
        let (store, _, _) = stored(0).await;
        let chunks: Vec<_> = read_chunks(store, Path::from("b"), TEN_MIB as u64).collect().await;
        assert!(matches!(chunks[..], [Err(StorageError::NotFound { .. })]), "{chunks:?}");
    }
}
