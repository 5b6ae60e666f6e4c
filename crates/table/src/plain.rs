//! Plain tables: Parquet files in folders of their partitions, of which the catalog knows those that belong to it.
//!
//! Owns how such a table is described and read. Which files belong to it comes from outside.
//!
//! Invariant: a file that the snapshot does not name is never read.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use sluice_domain::{PlainFile, PlainSnapshot, TableLayout};
use sluice_storage::Folder;

use crate::{Description, Scan, TableError, layout::layout_of, partition::told_values};

mod provider;
mod typing;

use provider::PlainTable;
use typing::{read_type, typed};

/// The files of one version, with what their folders tell.
#[derive(Debug)]
struct Files {
    version: u64,
    files: Vec<(PlainFile, Vec<Option<String>>)>,
    /// The columns that are in the files.
    data: SchemaRef,
    /// The columns that the folders tell, in the types that the values have.
    partition: Vec<Arc<Field>>,
}

impl Files {
    fn at(snapshot: &PlainSnapshot, version: Option<u64>) -> Result<Self, TableError> {
        let latest = snapshot.version;
        let version = version.unwrap_or(latest);
        if version > latest {
            return Err(TableError::NoSuchVersion { version, latest });
        }
        let told = |file: &PlainFile| (file.clone(), told_values(&file.path, &snapshot.partition_by));
        let files: Vec<_> = snapshot.files.iter().filter(|file| file.version <= version).map(told).collect();
        let is_told = |name: &String| snapshot.partition_by.contains(name);
        let fields = snapshot.schema.fields().iter().filter(|field| !is_told(field.name()));
        let data = Schema::new(fields.cloned().collect::<Vec<_>>());
        let columns = snapshot.partition_by.iter().enumerate().map(|(at, name)| {
            let written = snapshot.schema.field_with_name(name).map_or(&DataType::Utf8, Field::data_type);
            let values = files.iter().filter_map(|(_, values)| values[at].as_deref());
            Arc::new(Field::new(name, read_type(written, values), true))
        });
        let partition = columns.collect();
        Ok(Self { version, data: Arc::new(data), partition, files })
    }
}

/// Describe a version of a plain table, the newest where none is given: the columns of the files, then those that the
/// folders tell.
///
/// # Errors
/// [`TableError::NoSuchVersion`].
pub fn describe_plain(snapshot: &PlainSnapshot, version: Option<u64>) -> Result<Description, TableError> {
    let files = Files::at(snapshot, version)?;
    let fields = files.data.fields().iter().chain(&files.partition).cloned().collect::<Vec<_>>();
    Ok(Description {
        version: files.version,
        schema: Arc::new(Schema::new(fields)),
        partition_by: snapshot.partition_by.clone(),
        rows: Some(files.files.iter().map(|(file, _)| file.rows).sum()),
        files: files.files.len() as u64,
        size_bytes: files.files.iter().map(|(file, _)| file.size_bytes).sum(),
        protocol: (0, 0),
        layout: plain_layout(snapshot),
    })
}

fn plain_layout(snapshot: &PlainSnapshot) -> TableLayout {
    layout_of(snapshot.schema.metadata())
}

/// Prepare to read a version of a plain table, the newest where none is given.
///
/// # Errors
/// [`TableError::NoSuchVersion`].
pub fn scan_plain(folder: &Folder, snapshot: &PlainSnapshot, version: Option<u64>) -> Result<Scan, TableError> {
    let files = Files::at(snapshot, version)?;
    let version = files.version;
    Ok(Scan { provider: Arc::new(PlainTable::new(folder, files)?), version })
}
