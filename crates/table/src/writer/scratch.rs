//! The bytes of a file until they are in a store: few stay in memory, more lie in a file that has no name.
//!
//! Invariant: the hash is that of the bytes as they were written; what becomes of them later does not change it.

use std::{
    io::{self, Read as _, Seek as _, Write},
    path::Path,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use sluice_storage::ObjectWriter;
use tempfile::SpooledTempFile;
use tokio::{sync::mpsc, task::spawn_blocking};

use crate::TableError;

/// How many bytes stay in memory. Little, for a thousand files may be open.
const IN_MEMORY_BYTES: usize = 32 << 10;
/// How large a piece is sent to the store at once, in bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// How many such pieces wait to be sent.
const CHUNKS_AHEAD: usize = 2;

pub(super) struct Scratch {
    bytes: SpooledTempFile,
    hash: Sha256,
    size_bytes: u64,
}

impl Scratch {
    /// No bytes yet. The file is made in this folder once there are many.
    pub(super) fn open(folder: &Path) -> Self {
        let bytes = tempfile::spooled_tempfile_in(IN_MEMORY_BYTES, folder);
        Self { bytes, hash: Sha256::new(), size_bytes: 0 }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The SHA-256 of all bytes, in hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Write all of it as an object.
    pub(super) async fn send(self, mut object: ObjectWriter) -> Result<(), TableError> {
        let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
        // Read while what was read before is sent.
        let reading = spawn_blocking(move || self.read(&sender));
        while let Some(chunk) = chunks.recv().await {
            object.write(chunk).await?;
        }
        reading.await.map_err(TableError::encode)??;
        object.finish().await?;
        Ok(())
    }

    /// Hand on the bytes from the start, as long as somebody takes them.
    fn read(mut self, chunks: &mpsc::Sender<Bytes>) -> io::Result<()> {
        self.bytes.rewind()?;
        let mut left = self.size_bytes;
        while left > 0 {
            // One that is shorter than what was written is not what was hashed.
            let mut chunk = vec![0; left.min(CHUNK_BYTES as u64) as usize];
            self.bytes.read_exact(&mut chunk)?;
            left -= chunk.len() as u64;
            if chunks.blocking_send(chunk.into()).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.bytes.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes.flush()
    }
}

#[cfg(test)]
impl Scratch {
    /// All bytes.
    pub(super) fn all_bytes(&mut self) -> Bytes {
        let mut bytes = Vec::new();
        self.bytes.rewind().unwrap();
        self.bytes.read_to_end(&mut bytes).unwrap();
        bytes.into()
    }
}
