//! Bytes that can be read from anywhere, wherever they lie.
//!
//! Invariant: memory is taken only for bytes that are there.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::Arc,
};

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

/// How much is read ahead of what a reader asks for: a page's header is shorter.
const AHEAD_BYTES: usize = 4 << 10;

/// Where bytes lie.
pub(crate) trait ReadAt: Send + Sync {
    /// Fill the buffer with the bytes that begin at this offset.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

/// So many bytes.
#[derive(Clone)]
pub(crate) struct Blob {
    bytes: Arc<dyn ReadAt>,
    size_bytes: u64,
}

impl Blob {
    pub(crate) fn new(bytes: impl ReadAt + 'static, size_bytes: u64) -> Self {
        Self { bytes: Arc::new(bytes), size_bytes }
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The bytes from this offset on.
    pub(crate) fn reader(&self, offset: u64) -> BufReader<BlobReader> {
        BufReader::with_capacity(AHEAD_BYTES, BlobReader { blob: self.clone(), offset })
    }

    /// As many bytes from this offset on as there are, and as the buffer holds.
    pub(crate) fn read_up_to(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.size_bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        self.bytes.read_exact_at(&mut buffer[..length], offset)?;
        Ok(length)
    }

    /// A range that must be there.
    pub(crate) fn range(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.size_bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; length];
        self.bytes.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }
}

impl TryFrom<File> for Blob {
    type Error = io::Error;

    fn try_from(file: File) -> io::Result<Self> {
        let size_bytes = file.metadata()?.len();
        Ok(Self::new(file, size_bytes))
    }
}

/// A place in a blob.
pub(crate) struct BlobReader {
    blob: Blob,
    offset: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.blob.read_up_to(buffer, self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

impl Length for Blob {
    fn len(&self) -> u64 {
        self.size_bytes
    }
}

impl ChunkReader for Blob {
    type T = BufReader<BlobReader>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(self.reader(start))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.range(start, length).map(Bytes::from).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                ParquetError::EOF(format!("{length} bytes at {start} are not in a file of {} bytes", self.size_bytes))
            }
            _ => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_not_there_takes_no_memory() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        let blob = Blob::try_from(file).unwrap();
        assert_eq!(blob.range(8, 2).unwrap(), b"89");
        for (start, length) in [(8, 3), (11, 0), (u64::MAX, 1), (0, usize::MAX)] {
            assert_eq!(blob.range(start, length).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "{start} {length}");
            assert!(matches!(blob.get_bytes(start, length), Err(ParquetError::EOF(_))));
        }
        let mut rest = String::new();
        blob.get_read(7).unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "789");
        assert_eq!(blob.get_read(11).unwrap().read(&mut [0]).unwrap(), 0);
    }
}
