//! Namespaces, tables, schemas and versions on the wire.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_domain::{Namespace, Page, SchemaVersion, TableEntry, TableFormat, TableNotes, column_changes};
use sluice_table::{Column, Description, TableError, VersionEntry, columns_of};
use utoipa::ToSchema;

use super::{LayoutView, TableLabelsView, schema::SchemaChangesView};

/// A namespace.
#[derive(Serialize, ToSchema)]
pub(crate) struct NamespaceView {
    /// Its name.
    #[schema(example = "nyc")]
    name: String,
    /// Who made it.
    owner: String,
    /// When it was made.
    created_at: DateTime<Utc>,
}

impl From<Namespace> for NamespaceView {
    fn from(namespace: Namespace) -> Self {
        Self { name: namespace.name.to_string(), owner: namespace.owner, created_at: namespace.created_at }
    }
}

/// A page of namespaces.
#[derive(Serialize, ToSchema)]
pub(crate) struct NamespacePage {
    /// The namespaces, by name.
    items: Vec<NamespaceView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

impl From<Page<Namespace>> for NamespacePage {
    fn from(page: Page<Namespace>) -> Self {
        let next_page_token = page.next.map(|token| token.to_string());
        Self { items: page.items.into_iter().map(Into::into).collect(), next_page_token }
    }
}

/// A table as the catalog lists it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TableSummary {
    /// The name, `namespace.table`.
    #[schema(example = "nyc.flights")]
    name: String,
    /// The zone that it lies in.
    #[schema(example = "raw")]
    zone: String,
    /// The format of its files.
    #[schema(example = "delta")]
    format: String,
    /// Where it lies.
    location: String,
    /// The columns that it is partitioned by.
    partition_by: Vec<String>,
    /// What it is, in its owner's words.
    description: Option<String>,
    /// Who made it.
    owner: String,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When its entry in the catalog last changed.
    updated_at: DateTime<Utc>,
}

impl TableSummary {
    pub(crate) fn new(entry: TableEntry, location: String) -> Self {
        Self {
            name: entry.name.to_string(),
            zone: entry.zone.to_string(),
            format: entry.format.as_str().to_owned(),
            location,
            partition_by: entry.partition_by,
            description: entry.description,
            owner: entry.owner,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        }
    }
}

/// A page of tables.
#[derive(Serialize, ToSchema)]
pub(crate) struct TablePage {
    /// The tables, by name.
    pub(crate) items: Vec<TableSummary>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A table with what its newest version holds.
#[derive(Serialize, ToSchema)]
pub(crate) struct TableView {
    #[serde(flatten)]
    summary: TableSummary,
    /// The columns, in order.
    columns: Vec<ColumnView>,
    /// The newest version.
    version: u64,
    /// How many rows it holds; absent if a file does not tell.
    rows: Option<u64>,
    /// How many data files it has.
    files: u64,
    /// The size of its data files, in bytes.
    size_bytes: u64,
    /// The Delta protocol that readers must speak; absent for a table without a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_reader_version: Option<i32>,
    /// The Delta protocol that writers must speak; absent for a table without a log.
    #[serde(skip_serializing_if = "Option::is_none")]
    min_writer_version: Option<i32>,
    /// How its files are laid out, where it says more than the settings.
    layout: LayoutView,
    #[serde(flatten)]
    labels: TableLabelsView,
}

impl TableView {
    pub(crate) fn new(
        entry: TableEntry,
        location: String,
        description: &Description,
        notes: &TableNotes,
    ) -> Result<Self, TableError> {
        let protocol = (entry.format == TableFormat::Delta).then_some(description.protocol);
        Ok(Self {
            columns: columns(&description.schema, &description.partition_by)?,
            version: description.version,
            rows: description.rows,
            files: description.files,
            size_bytes: description.size_bytes,
            min_reader_version: protocol.map(|(reader, _)| reader),
            min_writer_version: protocol.map(|(_, writer)| writer),
            layout: LayoutView::from(&description.layout),
            labels: notes.into(),
            summary: TableSummary::new(entry, location),
        })
    }
}

/// A column.
#[derive(Serialize, ToSchema)]
pub(crate) struct ColumnView {
    /// Its name.
    name: String,
    /// Its type as Delta names it.
    #[schema(example = "long")]
    delta_type: String,
    /// Its type as Arrow names it.
    #[schema(example = "Int64")]
    arrow_type: String,
    /// Whether values may be missing.
    nullable: bool,
    /// Whether the table is partitioned by it.
    partition: bool,
}

impl From<Column> for ColumnView {
    fn from(column: Column) -> Self {
        let Column { name, delta_type, arrow_type, nullable, partition } = column;
        Self { name, delta_type, arrow_type, nullable, partition }
    }
}

fn columns(schema: &arrow::datatypes::Schema, partition_by: &[String]) -> Result<Vec<ColumnView>, TableError> {
    Ok(columns_of(schema, partition_by)?.into_iter().map(Into::into).collect())
}

/// One version of a table's schema.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaVersionView {
    /// Counted from 1.
    number: i64,
    /// The first table version with this schema.
    table_version: u64,
    /// The columns, in order.
    columns: Vec<ColumnView>,
    /// What is new in it; of the first version, nothing is.
    changes: SchemaChangesView,
    /// What brought it about: `upload`, `pipeline` or `declaration`.
    #[schema(example = "upload")]
    cause: &'static str,
    /// The upload that brought it about.
    upload_id: Option<String>,
    /// The run of a pipeline that brought it about.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// Who brought it about.
    principal: String,
    /// When.
    created_at: DateTime<Utc>,
}

impl SchemaVersionView {
    /// A version, and the schema before it.
    pub(crate) fn new(
        version: SchemaVersion,
        before: Option<&SchemaVersion>,
        partition_by: &[String],
    ) -> Result<Self, TableError> {
        let changes = before.map(|before| column_changes(&before.schema, &version.schema)).unwrap_or_default();
        Ok(Self {
            changes: changes.into(),
            cause: match (version.upload_id, version.run_id) {
                (Some(_), _) => "upload",
                (None, Some(_)) => "pipeline",
                (None, None) => "declaration",
            },
            number: version.number,
            table_version: version.table_version,
            columns: columns(&version.schema, partition_by)?,
            upload_id: version.upload_id.map(|id| id.to_string()),
            run_id: version.run_id.map(|id| id.to_string()),
            principal: version.principal,
            created_at: version.created_at,
        })
    }
}

/// A page of schema versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct SchemaPage {
    /// The schema versions, newest first.
    pub(crate) items: Vec<SchemaVersionView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// One version of a table.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionView {
    /// The version.
    version: u64,
    /// When it was committed.
    committed_at: Option<DateTime<Utc>>,
    /// What was done, in the words of the Delta log.
    #[schema(example = "WRITE")]
    operation: Option<String>,
    /// The uploads whose rows it added.
    upload_ids: Vec<String>,
    /// How many data files it added.
    files_added: u64,
    /// How many data files it removed.
    files_removed: u64,
    /// How many rows the added files hold.
    rows_added: u64,
}

impl From<VersionEntry> for VersionView {
    fn from(entry: VersionEntry) -> Self {
        Self {
            version: entry.version,
            committed_at: entry.committed_at,
            operation: entry.operation,
            upload_ids: entry.uploads.into_iter().map(|part| part.id).collect(),
            files_added: entry.files_added,
            files_removed: entry.files_removed,
            rows_added: entry.rows_added,
        }
    }
}

/// A page of versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct VersionPage {
    /// The versions, newest first.
    pub(crate) items: Vec<VersionView>,
    /// Where the next page begins; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}
