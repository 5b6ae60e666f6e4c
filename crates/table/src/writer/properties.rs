//! The properties of Parquet files: compression, row groups, statistics, filters, and the order that rows have.
//!
//! Invariant: a file says that it is sorted only where its rows were sorted before they were written.

use arrow::datatypes::Schema;
use parquet::{
    arrow::ArrowSchemaConverter,
    basic::{Compression, ZstdLevel},
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::{ColumnDescriptor, SchemaDescriptor},
};

use super::WriterSettings;
use crate::TableError;

/// How often a bloom filter says wrongly that a value may be there.
const FALSE_POSITIVES: f64 = 0.01;
/// For how many distinct values the filters of a row group are begun while few files are open; they shrink to fit.
const MAX_DISTINCT: u64 = 1 << 20;
/// The same while many files are open, each of which holds its filters in memory.
const FEW_DISTINCT: u64 = 1 << 12;
/// How many bytes of a text or of binary data the statistics of a file repeat.
const STATISTICS_BYTES: usize = 64;

/// The two ways in which the files of one writer are written.
pub(super) struct FileProperties {
    /// While few files are open: with dictionaries, and room in the filters.
    pub(super) roomy: WriterProperties,
    /// While so many are open that what each takes without a row must be little.
    pub(super) sparse: WriterProperties,
}

impl FileProperties {
    pub(super) fn new(settings: &WriterSettings, file_schema: &Schema) -> Result<Self, TableError> {
        let columns = ArrowSchemaConverter::new().convert(file_schema)?;
        Ok(Self {
            roomy: properties(settings, &columns, (true, MAX_DISTINCT.min(settings.row_group_rows as u64)))?,
            sparse: properties(settings, &columns, (false, FEW_DISTINCT))?,
        })
    }
}

fn properties(
    settings: &WriterSettings,
    columns: &SchemaDescriptor,
    (dictionaries, distinct): (bool, u64),
) -> Result<WriterProperties, TableError> {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(settings.zstd_level)?))
        .set_dictionary_enabled(dictionaries)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_max_row_group_row_count(Some(settings.row_group_rows))
        .set_max_row_group_bytes(Some(settings.row_group_bytes))
        .set_sorting_columns(sorting_columns(settings, columns))
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in columns.columns() {
        // The least of all elements of all lists helps nobody.
        if column.max_rep_level() > 0 {
            builder = builder.set_column_statistics_enabled(column.path().clone(), EnabledStatistics::None);
        }
        if is_one_of(column, &settings.layout.bloom_filter) {
            builder = builder
                .set_column_bloom_filter_enabled(column.path().clone(), true)
                .set_column_bloom_filter_fpp(column.path().clone(), FALSE_POSITIVES)
                .set_column_bloom_filter_max_ndv(column.path().clone(), distinct.max(1));
        }
    }
    Ok(builder.build())
}

/// Whether a column of a file is one of these columns of the table.
fn is_one_of(column: &ColumnDescriptor, names: &[String]) -> bool {
    matches!(column.path().parts(), [name] if names.contains(name))
}

fn sorting_columns(settings: &WriterSettings, columns: &SchemaDescriptor) -> Option<Vec<SortingColumn>> {
    let place = |name: &String| {
        let same =
            |column: &parquet::schema::types::ColumnDescPtr| matches!(column.path().parts(), [own] if own == name);
        let column_idx = i32::try_from(columns.columns().iter().position(same)?).ok()?;
        Some(SortingColumn { column_idx, descending: false, nulls_first: false })
    };
    // A column that is gone ends the order that can be told.
    let places: Vec<SortingColumn> = settings.layout.sort_by.iter().map_while(place).collect();
    (!places.is_empty()).then_some(places)
}
