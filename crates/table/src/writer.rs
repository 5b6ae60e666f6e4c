//! Rows to Parquet files: fan-out by partition into scratch files, then one durable object each.
//!
//! Invariant: beyond one part of a batch, rows that are in no file take no more memory than the settings say, however
//! many partitions there are; the file that holds the most ends its row group when the bound is reached.
//! Invariant: what encoders take without any row is bounded too: few have dictionaries, none where there are few rows
//! or very many columns, and few are open at all.

use std::{
    collections::{HashMap, hash_map::Entry},
    path::PathBuf,
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    row::OwnedRow,
};
use deltalake::kernel::Add;
use parquet::file::metadata::ParquetMetaData;
use sluice_domain::{FileRecord, UploadId};
use sluice_storage::{Folder, ObjectWriter};

use crate::{
    Refusal, TableError,
    partition::{Part, PartitionValues, Splitter, no_values},
    schema::Layout,
    stats::{StatsScope, file_stats},
};

mod encoder;
mod feed;
mod flat;
mod open_file;
mod plain;
mod properties;
mod scratch;
mod settings;

use open_file::OpenFile;
use properties::FileProperties;
use scratch::Scratch;

pub(crate) use feed::bounded_session;
pub use plain::{NamedFiles, PlainNames};
pub use settings::WriterSettings;

/// How many columns may be open in all files together: each takes some memory even without a row.
const MAX_OPEN_COLUMNS: usize = 100_000;
/// How many columns may have a dictionary at a time.
const MAX_DICTIONARY_COLUMNS: usize = 1000;
/// What the bloom filter of a column takes before it has a value, where it may become of any size.
const EMPTY_FILTER_BYTES: usize = 2 << 20;
/// What the dictionary of a column takes before it has a value.
const EMPTY_DICTIONARY_BYTES: usize = 72 << 10;

/// Writes the rows of one upload.
pub struct TableWriter {
    settings: WriterSettings,
    layout: Arc<Layout>,
    splitter: Option<Splitter>,
    schema: SchemaRef,
    partition_by: Vec<String>,
    file_schema: SchemaRef,
    /// Columns of a file that are encoded one by one, those within nested ones counted each.
    file_columns: usize,
    properties: FileProperties,
    scratch_dir: PathBuf,
    /// Unique to the upload, so that doing it again names the same files.
    file_prefix: String,
    open: HashMap<Option<OwnedRow>, OpenFile>,
    /// How many of the open files have encoders.
    begun: usize,
    /// The memory of all open files.
    memory_bytes: usize,
    #[cfg(test)]
    peak_bytes: usize,
    closed: Vec<StagedFile>,
}

struct StagedFile {
    scratch: Scratch,
    metadata: ParquetMetaData,
    values: PartitionValues,
    path: String,
}

/// Files that are written but not yet in the object store.
pub struct StagedFiles {
    files: Vec<StagedFile>,
    layout: Arc<Layout>,
}

/// A durable data file that no version of the table holds yet.
#[derive(Debug, Clone)]
pub struct DataFile {
    pub(crate) add: Add,
    /// The columns that it was written for.
    pub(crate) layout: Arc<Layout>,
    rows: u64,
    sha256: String,
}

impl DataFile {
    /// The same as a file whose rows were in the table before, in others.
    pub(crate) fn into_rearranged(mut self) -> Self {
        self.add.data_change = false;
        self
    }

    /// Its path below the table.
    pub fn path(&self) -> &str {
        &self.add.path
    }

    /// Its size, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.add.size.unsigned_abs()
    }

    /// How many rows it holds.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What the ledger keeps of it.
    pub fn record(&self, upload: Option<UploadId>) -> FileRecord {
        FileRecord {
            path: self.path().to_owned(),
            size_bytes: self.size_bytes(),
            sha256: self.sha256.clone(),
            rows: self.rows,
            upload,
        }
    }

    /// The hash of its bytes, as they were sent to the store.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

impl TableWriter {
    /// A writer of rows of this schema, partitioned by these columns.
    ///
    /// # Errors
    /// An unusable setting.
    pub fn open(
        settings: WriterSettings,
        schema: &SchemaRef,
        partition_by: &[String],
        file_prefix: String,
        scratch_dir: PathBuf,
    ) -> Result<Self, TableError> {
        let splitter = if partition_by.is_empty() { None } else { Some(Splitter::new(schema, partition_by)?) };
        let file_schema: Schema = match &splitter {
            Some(splitter) => splitter.file_schema(schema)?,
            None => schema.as_ref().clone(),
        };
        let stats = StatsScope::new(&settings);
        Ok(Self {
            properties: FileProperties::new(&settings, &file_schema)?,
            settings,
            layout: Arc::new(Layout::new(schema, partition_by, stats)?),
            splitter,
            schema: SchemaRef::clone(schema),
            partition_by: partition_by.to_vec(),
            file_columns: file_schema.flattened_fields().iter().filter(|field| !field.data_type().is_nested()).count(),
            file_schema: Arc::new(file_schema),
            scratch_dir,
            file_prefix,
            open: HashMap::new(),
            begun: 0,
            memory_bytes: 0,
            #[cfg(test)]
            peak_bytes: 0,
            closed: Vec::new(),
        })
    }

    /// Add rows. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`TableError::TooManyPartitions`], or a scratch file that cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let parts = self.splitter.as_ref().map(|splitter| splitter.split(batch)).transpose()?;
        let Some(parts) = parts else {
            return self.write_part(None, batch.clone(), |_| Ok(no_values()));
        };
        for part in parts {
            let Part { key, rows, sample } = part;
            self.write_part(Some(key), rows, |splitter| {
                splitter.map_or_else(|| Ok(no_values()), |splitter| splitter.values(&sample))
            })?;
        }
        Ok(())
    }

    fn write_part(
        &mut self,
        key: Option<OwnedRow>,
        rows: RecordBatch,
        values: impl FnOnce(Option<&Splitter>) -> Result<PartitionValues, TableError>,
    ) -> Result<(), TableError> {
        let number = self.open.len() + self.closed.len();
        let open = self.open.len();
        let file = match self.open.entry(key.clone()) {
            Entry::Occupied(file) => file.into_mut(),
            Entry::Vacant(place) => {
                let limit = self.settings.max_partitions.min(MAX_OPEN_COLUMNS / self.file_columns.max(1)).max(1);
                if open >= limit {
                    return Err(Refusal::TooManyPartitions { limit }.into());
                }
                let values = values(self.splitter.as_ref())?;
                let path = format!("{}part-{number:05}-{}.zstd.parquet", values.folder(), self.file_prefix);
                place.insert(OpenFile::new(values, path))
            }
        };
        let memory_before = file.memory_bytes();
        let is_enough = file.add(rows.with_schema(self.file_schema.clone())?)?;
        self.memory_bytes = self.memory_bytes + file.memory_bytes() - memory_before;
        if is_enough {
            self.encode(&key)?;
        }
        #[cfg(test)]
        {
            self.peak_bytes = self.peak_bytes.max(self.memory_bytes);
        }
        self.keep_memory_bounded()
    }

    /// Encode the rows that wait for this file, and close it once it is large enough.
    fn encode(&mut self, key: &Option<OwnedRow>) -> Result<(), TableError> {
        let properties = if self.affords_dictionaries() { &self.properties.roomy } else { &self.properties.sparse };
        let Some(file) = self.open.get_mut(key) else { return Ok(()) };
        let (memory_before, had_begun) = (file.memory_bytes(), file.has_begun());
        file.encode(&self.scratch_dir, properties)?;
        self.begun += usize::from(file.has_begun() && !had_begun);
        self.memory_bytes = self.memory_bytes + file.memory_bytes() - memory_before;
        if file.file_bytes() >= self.settings.target_file_bytes
            && let Some(file) = self.open.remove(key)
        {
            self.begun -= usize::from(file.has_begun());
            self.memory_bytes -= file.memory_bytes();
            self.closed.extend(file.close()?);
        }
        Ok(())
    }

    /// Whether a file that begins now may have dictionaries, and filters of any size.
    fn affords_dictionaries(&self) -> bool {
        let affordable = MAX_DICTIONARY_COLUMNS.min(self.settings.memory_bytes / 2 / EMPTY_DICTIONARY_BYTES);
        let filters = self.settings.layout.bloom_filter.len();
        let affordable_filters = self.settings.memory_bytes / 2 / EMPTY_FILTER_BYTES;
        let (columns, filters) = ((self.begun + 1) * self.file_columns, (self.begun + 1) * filters);
        let is_first = self.begun == 0 && columns <= MAX_DICTIONARY_COLUMNS;
        is_first || columns <= affordable && filters <= affordable_filters
    }

    fn keep_memory_bounded(&mut self) -> Result<(), TableError> {
        while self.memory_bytes > self.settings.memory_bytes {
            let largest = self.open.iter().max_by_key(|(_, file)| file.memory_bytes());
            let Some((key, memory_before)) = largest.map(|(key, file)| (key.clone(), file.memory_bytes())) else {
                break;
            };
            if memory_before == 0 {
                break;
            }
            self.encode(&key)?;
            if let Some(file) = self.open.get_mut(&key) {
                let memory_before = file.memory_bytes();
                file.end_row_group()?;
                self.memory_bytes = self.memory_bytes + file.memory_bytes() - memory_before;
            }
        }
        Ok(())
    }

    /// Close every file.
    ///
    /// # Errors
    /// A scratch file that cannot be written.
    pub fn finish(mut self) -> Result<StagedFiles, TableError> {
        let open = std::mem::take(&mut self.open);
        // Those that hold memory the longest go first: a file that only now begins has room for its encoders then.
        let (begun, waiting): (Vec<_>, Vec<_>) = open.into_values().partition(OpenFile::has_begun);
        for mut file in begun.into_iter().chain(waiting) {
            file.encode(&self.scratch_dir, &self.properties.sparse)?;
            self.closed.extend(file.close()?);
        }
        self.closed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(StagedFiles { files: self.closed, layout: self.layout })
    }
}

impl StagedFiles {
    /// How many rows the files hold.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(StagedFile::rows).sum()
    }

    /// Put every file below the table's folder, durably. Files of the same name are replaced.
    ///
    /// # Errors
    /// The store's.
    pub async fn upload(self, folder: &Folder) -> Result<Vec<DataFile>, TableError> {
        let mut files = Vec::with_capacity(self.files.len());
        for file in self.files {
            files.push(file.upload(folder, &self.layout).await?);
        }
        Ok(files)
    }
}

impl StagedFile {
    fn rows(&self) -> u64 {
        self.metadata.file_metadata().num_rows().unsigned_abs()
    }

    async fn upload(self, folder: &Folder, layout: &Arc<Layout>) -> Result<DataFile, TableError> {
        let path = deltalake::Path::parse(&self.path).map_err(|error| TableError::Encode(Box::new(error)))?;
        let add = self.add(layout)?;
        let (rows, sha256) = (self.rows(), self.scratch.sha256());
        self.scratch.send(ObjectWriter::open(folder.store.clone(), path).await?).await?;
        Ok(DataFile { add, layout: Arc::clone(layout), rows, sha256 })
    }

    fn add(&self, layout: &Layout) -> Result<Add, TableError> {
        Ok(Add {
            path: self.path.clone(),
            partition_values: self.values.clone().into_map(),
            size: self.scratch.size_bytes() as i64,
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(file_stats(&self.metadata, &layout.stats)?),
            ..Add::default()
        })
    }
}

#[cfg(test)]
mod tests;
