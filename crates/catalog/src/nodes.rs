//! The servers that share one catalog: each holds a place of its own, and the operating system knows who lives.
//!
//! Invariant: a place has one holder at a time, and is free as soon as its holder has ended, however it ended.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::CatalogError;

/// How many servers share one catalog at the most.
pub(crate) const MAX_NODES: u32 = 16;
/// The folder of the places, in the data folder.
const NODES_FOLDER: &str = "nodes";
/// The lock that a server holds while it opens the catalog.
const OPENING_LOCK: &str = "sluice.lock";
/// How long a server waits for another one that opens the catalog.
const OPENING_TIMEOUT: Duration = Duration::from_secs(30);
/// How often it looks.
const OPENING_PAUSE: Duration = Duration::from_millis(20);

/// A server's place.
#[derive(Debug)]
pub(crate) struct Node {
    /// Its number, from 0.
    pub(crate) number: u32,
    folder: PathBuf,
    lock: File,
}

impl Node {
    /// Take the first place that is free.
    pub(crate) fn take(data_dir: &Path) -> Result<Self, CatalogError> {
        let folder = data_dir.join(NODES_FOLDER);
        std::fs::create_dir_all(&folder)?;
        for number in 0..MAX_NODES {
            if let Some(lock) = try_hold(&place(&folder, number))? {
                return Ok(Self { number, folder, lock });
            }
        }
        Err(CatalogError::CatalogInUse { place: in_folder(data_dir), servers: MAX_NODES })
    }

    /// Hold the place of another server; none while that one lives.
    pub(crate) fn hold_other(&self, number: u32) -> Result<Option<File>, CatalogError> {
        if number == self.number || number >= MAX_NODES {
            return Ok(None);
        }
        Ok(try_hold(&place(&self.folder, number))?)
    }

    /// Give the place free, through every clone.
    pub(crate) fn leave(&self) -> io::Result<()> {
        self.lock.unlock()
    }
}

fn place(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number}.lock"))
}

/// Wait until no other server is opening the catalog; held until it is dropped.
pub(crate) async fn opening(data_dir: &Path) -> Result<File, CatalogError> {
    let deadline = Instant::now() + OPENING_TIMEOUT;
    loop {
        if let Some(lock) = try_hold(&data_dir.join(OPENING_LOCK))? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(CatalogError::CatalogInUse { place: in_folder(data_dir), servers: 1 });
        }
        tokio::time::sleep(OPENING_PAUSE).await;
    }
}

fn try_hold(path: &Path) -> io::Result<Option<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn in_folder(data_dir: &Path) -> String {
    format!("the data folder {}", data_dir.display())
}
