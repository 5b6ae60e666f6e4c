//! Large writes that go to the disk past the page cache: to be copied there costs a file that nobody reads again soon
//! more than all else that becomes of it, and the sync at its end waits for all of it at once.
//!
//! Invariant: a file has the same bytes whichever way they went.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path as FilePath,
};

/// What the address of bytes in memory and their place in a file are multiples of, where they go straight to the disk:
/// no disk in use has larger blocks.
pub(crate) const BLOCK_BYTES: usize = 4096;

/// A file that is written at any place.
#[derive(Debug)]
pub(super) struct PastCache {
    file: File,
    /// The same one past the page cache; none where the file system has no such way.
    direct: Option<File>,
}

impl PastCache {
    /// A file that is written through `file`, and lies there.
    pub(super) fn new(file: File, path: &FilePath) -> Self {
        Self { file, direct: open_direct(path) }
    }

    /// The file, to be synced and looked at.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Write these bytes there. Of those that begin at a block, in memory too, whole blocks go past the page cache.
    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let begins = offset.is_multiple_of(BLOCK_BYTES as u64) && bytes.as_ptr().align_offset(BLOCK_BYTES) == 0;
        let (blocks, rest) = bytes.split_at(if begins { bytes.len() / BLOCK_BYTES * BLOCK_BYTES } else { 0 });
        let Some(direct) = self.direct.as_ref().filter(|_| !blocks.is_empty()) else {
            return self.file.write_all_at(bytes, offset);
        };
        match direct.write_all_at(blocks, offset) {
            Ok(()) => self.file.write_all_at(rest, offset + blocks.len() as u64),
            // This disk wants it otherwise.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => self.file.write_all_at(bytes, offset),
            Err(error) => Err(error),
        }
    }
}

#[cfg(target_os = "linux")]
fn open_direct(path: &FilePath) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).ok()?;
    OpenOptions::new().write(true).custom_flags(flags).open(path).ok()
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_: &FilePath) -> Option<File> {
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn length() -> impl Strategy<Value = usize> {
        prop_oneof![(0..4_usize).prop_map(|blocks| blocks * BLOCK_BYTES), 0..4 * BLOCK_BYTES]
    }

    proptest! {
        #[test]
        fn a_file_has_the_bytes_that_were_written_whichever_way_they_went(
            pieces in prop::collection::vec((0..3_usize, 0..2_usize, length()), 1..6),
            has_direct in any::<bool>(),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let mut file = PastCache::new(File::create(&path).unwrap(), &path);
            file.direct = file.direct.filter(|_| has_direct);
            let memory: Vec<u8> = (0..16 * BLOCK_BYTES).map(|at| (at / 7 % 251) as u8).collect();
            let start = memory.as_ptr().align_offset(BLOCK_BYTES);
            let (mut expected, mut offset) = (Vec::new(), 0);
            for (blocks, aside, length) in pieces {
                let bytes = &memory[start + blocks * BLOCK_BYTES + aside..][..length];
                file.write_all_at(bytes, offset).unwrap();
                offset += length as u64;
                expected.extend_from_slice(bytes);
            }
            prop_assert!(std::fs::read(&path).unwrap() == expected);
        }
    }
}
