//! Rows to Parquet files: fan-out by partition into scratch files, then one durable object each.
//!
//! Invariant: memory is bounded by the settings, however many partitions and rows there are; the largest open file
//! closes its row group when the bound is reached.

use std::{collections::HashMap, fs::File, io, path::PathBuf, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Schema, SchemaRef},
    row::OwnedRow,
};
use bytes::Bytes;
use deltalake::kernel::Add;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::{
        metadata::ParquetMetaData,
        properties::{EnabledStatistics, WriterProperties},
    },
};
use serde::{Deserialize, Serialize};
use sluice_storage::{Folder, ObjectWriter};
use tokio::io::AsyncReadExt as _;

use crate::{
    TableError,
    partition::{PartitionValues, Splitter, no_values},
    stats::file_stats,
};

/// How large a piece of a scratch file is sent to the store at once, in bytes.
const SEND_CHUNK_BYTES: usize = 1024 * 1024;

/// How data files are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WriterSettings {
    /// Bytes that encoders hold in memory before the largest closes its row group.
    pub memory_bytes: usize,
    /// Compressed size at which a file is closed and another begun, in bytes.
    pub target_file_bytes: usize,
    /// How many distinct partitions one upload may have.
    pub max_partitions: usize,
    /// Level of the Zstandard compression, 1 to 22.
    pub zstd_level: i32,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self { memory_bytes: 48 << 20, target_file_bytes: 256 << 20, max_partitions: 1000, zstd_level: 1 }
    }
}

/// Writes the rows of one upload.
pub struct TableWriter {
    settings: WriterSettings,
    splitter: Option<Splitter>,
    file_schema: SchemaRef,
    properties: WriterProperties,
    scratch_dir: PathBuf,
    /// Unique to the upload, so that doing it again names the same files.
    file_prefix: String,
    open: HashMap<Option<OwnedRow>, OpenFile>,
    closed: Vec<StagedFile>,
}

struct OpenFile {
    writer: ArrowWriter<File>,
    scratch: File,
    values: PartitionValues,
    path: String,
}

struct StagedFile {
    scratch: File,
    metadata: ParquetMetaData,
    values: PartitionValues,
    path: String,
}

/// Files that are written but not yet in the object store.
pub struct StagedFiles(Vec<StagedFile>);

/// A durable data file that no version of the table holds yet.
#[derive(Debug, Clone)]
pub struct DataFile(pub(crate) Add);

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
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(settings.zstd_level)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            settings,
            splitter,
            file_schema: Arc::new(file_schema),
            properties,
            scratch_dir,
            file_prefix,
            open: HashMap::new(),
            closed: Vec::new(),
        })
    }

    /// Add rows. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`TableError::TooManyPartitions`], or a scratch file that cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), TableError> {
        let parts = self.splitter.as_ref().map(|splitter| splitter.split(batch)).transpose()?;
        match parts {
            None => self.write_part(None, batch, |_| Ok(no_values()))?,
            Some(parts) => {
                for part in parts {
                    let rows = part.rows.clone();
                    self.write_part(Some(part.key.clone()), &rows, |writer| match &writer.splitter {
                        Some(splitter) => splitter.values(&part),
                        None => Ok(no_values()),
                    })?;
                }
            }
        }
        self.keep_memory_bounded()
    }

    fn write_part(
        &mut self,
        key: Option<OwnedRow>,
        rows: &RecordBatch,
        values: impl FnOnce(&Self) -> Result<PartitionValues, TableError>,
    ) -> Result<(), TableError> {
        if !self.open.contains_key(&key) {
            if self.open.len() >= self.settings.max_partitions {
                return Err(TableError::TooManyPartitions { limit: self.settings.max_partitions });
            }
            let values = values(self)?;
            let file = self.begin_file(values)?;
            self.open.insert(key.clone(), file);
        }
        let Some(file) = self.open.get_mut(&key) else { return Ok(()) };
        let rows = rows.clone().with_schema(self.file_schema.clone())?;
        file.writer.write(&rows)?;
        if file.writer.bytes_written() + file.writer.in_progress_size() >= self.settings.target_file_bytes
            && let Some(file) = self.open.remove(&key)
        {
            self.closed.push(file.close()?);
        }
        Ok(())
    }

    fn begin_file(&self, values: PartitionValues) -> Result<OpenFile, TableError> {
        let number = self.open.len() + self.closed.len();
        let path = format!("{}part-{number:05}-{}.zstd.parquet", values.folder(), self.file_prefix);
        let scratch = tempfile::tempfile_in(&self.scratch_dir)?;
        let writer =
            ArrowWriter::try_new(scratch.try_clone()?, self.file_schema.clone(), Some(self.properties.clone()))?;
        Ok(OpenFile { writer, scratch, values, path })
    }

    fn keep_memory_bounded(&mut self) -> Result<(), TableError> {
        while self.open.values().map(|file| file.writer.memory_size()).sum::<usize>() > self.settings.memory_bytes {
            let Some(largest) = self.open.values_mut().max_by_key(|file| file.writer.memory_size()) else { break };
            if largest.writer.in_progress_rows() == 0 {
                break;
            }
            largest.writer.flush()?;
        }
        Ok(())
    }

    /// Close every file.
    ///
    /// # Errors
    /// A scratch file that cannot be written.
    pub fn finish(mut self) -> Result<StagedFiles, TableError> {
        for (_, file) in self.open.drain() {
            self.closed.push(file.close()?);
        }
        self.closed.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(StagedFiles(self.closed))
    }
}

impl OpenFile {
    fn close(self) -> Result<StagedFile, TableError> {
        let metadata = self.writer.close()?;
        Ok(StagedFile { scratch: self.scratch, metadata, values: self.values, path: self.path })
    }
}

impl StagedFiles {
    /// How many rows the files hold.
    pub fn rows(&self) -> u64 {
        self.0.iter().map(|file| file.metadata.file_metadata().num_rows().unsigned_abs()).sum()
    }

    /// Put every file below the table's folder, durably. Files of the same name are replaced.
    ///
    /// # Errors
    /// The store's.
    pub async fn upload(self, folder: &Folder) -> Result<Vec<DataFile>, TableError> {
        let mut files = Vec::with_capacity(self.0.len());
        for file in self.0 {
            files.push(file.upload(folder).await?);
        }
        Ok(files)
    }
}

impl StagedFile {
    async fn upload(self, folder: &Folder) -> Result<DataFile, TableError> {
        let path = deltalake::Path::parse(&self.path).map_err(|error| TableError::Encode(Box::new(error)))?;
        let mut object = ObjectWriter::open(folder.store.clone(), path).await?;
        let mut scratch = self.scratch;
        io::Seek::rewind(&mut scratch)?;
        let mut scratch = tokio::fs::File::from_std(scratch);
        loop {
            let mut chunk = Vec::with_capacity(SEND_CHUNK_BYTES);
            (&mut scratch).take(SEND_CHUNK_BYTES as u64).read_to_end(&mut chunk).await?;
            if chunk.is_empty() {
                break;
            }
            object.write(Bytes::from(chunk)).await?;
        }
        let size_bytes = object.finish().await?;
        Ok(DataFile(Add {
            path: self.path,
            partition_values: self.values.into_map(),
            size: size_bytes as i64,
            modification_time: chrono::Utc::now().timestamp_millis(),
            data_change: true,
            stats: Some(file_stats(&self.metadata)?),
            ..Add::default()
        }))
    }
}
