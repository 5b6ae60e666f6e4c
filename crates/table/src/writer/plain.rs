//! The files of a plain table: named before they are put, so that doing it again names and puts the same.
//!
//! Invariant: a name tells a microsecond that no other file of the lake has.

use chrono::{DateTime, TimeDelta, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Attribute, AttributeValue, Attributes};
use sluice_domain::FileRecord;
use sluice_storage::{Folder, ObjectWriter};

use super::{StagedFile, StagedFiles, scratch::Scratch};
use crate::TableError;

/// How many files are put at once.
const PUTS_AT_ONCE: usize = 4;

/// Where the names of an upload's files come from.
#[derive(Debug, Clone)]
pub struct PlainNames {
    /// The table's name, for the objects' metadata.
    pub table: String,
    /// The first of as many microseconds as there are files; they belong to this upload.
    pub first: DateTime<Utc>,
}

/// Files of a plain table that have names, and are not yet in the object store.
pub struct NamedFiles {
    files: Vec<NamedFile>,
    table: String,
}

struct NamedFile {
    scratch: Scratch,
    record: FileRecord,
    folder: String,
    created_at: DateTime<Utc>,
}

impl StagedFiles {
    /// How many files there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// Name the files as those of a plain table.
    ///
    /// # Errors
    /// [`crate::Refusal::BadPartitioning`] where a value does not go into a folder's name.
    pub fn named(self, names: PlainNames) -> Result<NamedFiles, TableError> {
        let PlainNames { table, first } = names;
        let stamped = self.files.into_iter().zip(0_i64..);
        let named = stamped.map(|(file, at)| file.named(first + TimeDelta::microseconds(at)));
        Ok(NamedFiles { files: named.collect::<Result<_, TableError>>()?, table })
    }
}

impl StagedFile {
    fn named(self, created_at: DateTime<Utc>) -> Result<NamedFile, TableError> {
        let folder = self.values.telling_folder()?;
        let path = format!("{folder}data_{}.parquet", created_at.format("%Y%m%d_%H%M%S_%6f"));
        let rows = self.rows();
        let (size_bytes, sha256) = (self.scratch.size_bytes(), self.scratch.sha256());
        let record = FileRecord { path, size_bytes, sha256, rows, upload: None };
        let folder = folder.trim_end_matches('/').to_owned();
        Ok(NamedFile { scratch: self.scratch, record, folder, created_at })
    }
}

impl NamedFiles {
    /// What the files are, with their paths below the table's folder.
    pub fn records(&self) -> Vec<FileRecord> {
        self.files.iter().map(|file| file.record.clone()).collect()
    }

    /// Put every file below the table's folder, durably. Files of the same name are replaced.
    ///
    /// # Errors
    /// The store's.
    pub async fn put(self, folder: &Folder) -> Result<(), TableError> {
        // A folder of a machine keeps nothing beside a file's bytes.
        let keeps_metadata = folder.url.scheme() != "file";
        let table = &self.table;
        let puts = stream::iter(self.files).map(|file| async move {
            let attributes = if keeps_metadata { file.attributes(table) } else { Attributes::new() };
            file.put(folder, attributes).await
        });
        puts.buffer_unordered(PUTS_AT_ONCE).try_collect().await
    }
}

impl NamedFile {
    /// What a store that keeps metadata is told of the file.
    fn attributes(&self, table: &str) -> Attributes {
        let created_at = self.created_at.format("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
        let said = [
            ("table", table.to_owned()),
            ("partition", self.folder.clone()),
            ("records", self.record.rows.to_string()),
            ("created_at", created_at),
        ];
        // A header without a value is not one that every store signs.
        let said = said.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(name, value)| (Attribute::Metadata(name.into()), AttributeValue::from(value))).collect()
    }

    async fn put(self, folder: &Folder, attributes: Attributes) -> Result<(), TableError> {
        let path = deltalake::Path::parse(&self.record.path).map_err(TableError::encode)?;
        let object = ObjectWriter::open(folder.store.clone(), path).await?.with_attributes(attributes);
        self.scratch.send(object).await
    }
}
