//! The rows that came to a table after one of its versions: those of the data files that later entries of its log added.
//!
//! They are read as a table whose log, in memory, has one entry: the columns of the version that is read, and those
//! files. So they are read as the whole table is.
//!
//! Invariant: rows that were only moved into other files are not new; new ones are read where they were put first.
//! Invariant: where rows that were there at the first version were taken away or changed, nothing is told.

use std::{collections::BTreeMap, sync::Arc};

use deltalake::{
    DeltaTable, ObjectStore, Path,
    kernel::{Add, Remove},
    logstore::{StorageConfig, default_logstore},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Error as StoreError, ObjectStoreExt as _, memory::InMemory, prefix::PrefixStore};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_domain::{ErrorKind, Failure};
use sluice_storage::StorageError;

use crate::{Scan, Table, TableError, live::rows_told, log::entry::Entry, log::state::check_files};

/// The most entries of the log that are gone through.
const MAX_ENTRIES: u64 = 100_000;
/// The most files that are new.
const MAX_FILES: usize = 100_000;
/// How many requests to the store are made at once.
const REQUESTS: usize = 16;
/// The first entry of a log.
const FIRST_ENTRY: &str = "_delta_log/00000000000000000000.json";

/// The files with the rows that came after a version.
#[derive(Debug)]
pub struct Increment {
    /// The version up to which they came.
    pub version: u64,
    /// How many rows the files hold, as far as they tell.
    pub rows: u64,
    added: Vec<Add>,
}

impl Increment {
    /// Whether no rows came.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
    }
}

/// Why the rows that came after a version are not told.
#[derive(Debug, thiserror::Error)]
pub enum IncrementError {
    /// They cannot be told from the others: read all.
    #[error("version {version} {reason}")]
    Untold {
        /// The version that is in the way.
        version: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The table could not be read.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl Failure for IncrementError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Untold { .. } => ErrorKind::Conflict,
            Self::Table(error) => error.kind(),
        }
    }

    fn code(&self) -> &str {
        match self {
            Self::Untold { .. } => "needs-full-refresh",
            Self::Table(error) => error.code(),
        }
    }
}

/// What an entry does to files.
#[derive(Deserialize)]
struct FileLine {
    add: Option<Add>,
    remove: Option<Remove>,
}

/// A file that is new.
struct NewFile {
    add: Add,
    /// The version that added it.
    version: u64,
    /// Whether its rows were moved into other files since.
    is_moved: bool,
}

/// The new files, entry by entry.
#[derive(Default)]
struct NewFiles(BTreeMap<String, NewFile>);

impl NewFiles {
    fn take(&mut self, version: u64, lines: Vec<FileLine>) -> Result<(), IncrementError> {
        let untold = |reason| Err(IncrementError::Untold { version, reason });
        for remove in lines.iter().filter_map(|line| line.remove.as_ref()) {
            match self.0.get_mut(&remove.path) {
                Some(file) if !remove.data_change => file.is_moved = true,
                Some(_) => drop(self.0.remove(&remove.path)),
                None if remove.data_change => return untold("took away or changed rows that were read before"),
                None => {}
            }
        }
        for add in lines.into_iter().filter_map(|line| line.add).filter(|add| add.data_change) {
            if add.deletion_vector.is_some() {
                return untold("marked rows of a file as deleted");
            }
            let path = add.path.clone();
            self.0.insert(path, NewFile { add, version, is_moved: false });
        }
        if self.0.len() > MAX_FILES {
            return untold("is behind more new files than are read at once");
        }
        Ok(())
    }
}

impl Table {
    /// The rows that came after version `since`, up to a version, the newest where none is given. Reads no data file.
    ///
    /// # Errors
    /// [`IncrementError::Untold`] where the log does not tell them; what reading the log says.
    pub async fn increment(&self, since: u64, version: Option<u64>) -> Result<Increment, IncrementError> {
        let (_, newest) = self.head().await?;
        let version = version.unwrap_or(newest);
        if version > newest {
            return Err(TableError::NoSuchVersion { version, latest: newest }.into());
        }
        if since > version {
            return Err(IncrementError::Untold {
                version: since,
                reason: "was read before, and is not there any more",
            });
        }
        if version - since > MAX_ENTRIES {
            return Err(IncrementError::Untold { version: since, reason: "is too far back" });
        }
        let mut files = NewFiles::default();
        let read = |at| async move { self.file_lines(at).await.map(|lines| (at, lines)) };
        let mut entries = stream::iter(since + 1..=version).map(read).buffered(REQUESTS);
        while let Some((at, lines)) = entries.try_next().await? {
            files.take(at, lines)?;
        }
        self.check_moved(&files).await?;
        let added: Vec<Add> = files.0.into_values().map(|file| file.add).collect();
        let rows = added.iter().filter_map(|add| rows_told(add.stats.as_deref())).sum();
        Ok(Increment { version, rows, added })
    }

    /// Prepare to read the rows that came after version `since`, up to a version, the newest where none is given.
    ///
    /// # Errors
    /// What [`Table::increment`] says, or the store's.
    pub async fn scan_increment(&self, since: u64, version: Option<u64>) -> Result<Scan, IncrementError> {
        let Increment { version, added, .. } = self.increment(since, version).await?;
        let whole = self.at(Some(version)).await?;
        let table = self.with_files(&whole, added).await?;
        check_files(&table)?;
        let provider = table.table_provider().build().await.map_err(TableError::from)?;
        Ok(Scan { provider: Arc::new(provider), version })
    }

    /// What the entry of a version does to files.
    async fn file_lines(&self, version: u64) -> Result<Vec<FileLine>, IncrementError> {
        let bytes = self.log_store.read_commit_entry(version).await.map_err(TableError::from)?;
        let Some(bytes) = bytes else {
            return Err(IncrementError::Untold { version, reason: "is not in the log any more" });
        };
        Entry::parse(version, &bytes)?.check_paths()?;
        let lines = serde_json::Deserializer::from_slice(&bytes).into_iter().collect::<Result<Vec<FileLine>, _>>();
        lines.map_err(|error| TableError::UntrustedLog { version, reason: error.to_string() }.into())
    }

    /// Check that the files are there that the newest version does not hold any more.
    async fn check_moved(&self, files: &NewFiles) -> Result<(), IncrementError> {
        let moved = files.0.values().filter(|file| file.is_moved);
        let moved: Vec<(u64, String)> = moved.map(|file| (file.version, file.add.path.clone())).collect();
        let check = |(version, path): (u64, String)| async move {
            let path = Path::parse(path).map_err(TableError::encode)?;
            match self.folder.store.head(&path).await {
                Ok(_) => Ok(()),
                Err(StoreError::NotFound { .. }) => {
                    let reason = "added a file whose rows were moved, and which is removed by now";
                    Err(IncrementError::Untold { version, reason })
                }
                Err(error) => Err(TableError::from(StorageError::from(error)).into()),
            }
        };
        stream::iter(moved).map(check).buffered(REQUESTS).try_collect().await
    }

    /// A table with the columns and properties of another one, and these files.
    async fn with_files(&self, whole: &DeltaTable, files: Vec<Add>) -> Result<DeltaTable, TableError> {
        let state = whole.snapshot()?;
        let mut lines: Vec<Value> = vec![json!({"protocol": state.protocol()}), json!({"metaData": state.metadata()})];
        lines.extend(files.into_iter().map(|add| json!({"add": add})));
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let root: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let store = PrefixStore::new(Arc::clone(&root), self.folder.path.clone());
        store.put(&Path::from(FIRST_ENTRY), text.into()).await.map_err(StorageError::from)?;
        let log_store = default_logstore(Arc::new(store), root, &self.folder.url, &StorageConfig::default());
        let mut table = DeltaTable::new(log_store);
        table.load().await?;
        Ok(table)
    }
}
