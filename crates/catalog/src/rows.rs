//! The rows of the database, as they are stored.
//!
//! Invariant: a row that turns into its entry holds nothing but valid values; any other is an error, never a guess.

use serde::{Deserialize, de::IntoDeserializer, de::value::Error as ValueError};
use sluice_domain::{
    Channel, ChannelId, FileRecord, IdempotencyKey, Landed, LogRecord, Namespace, PartialUpload, SchemaVersion, Suite,
    TableEntry, TableFormat, TableId, Terms, UploadEntry, UploadId,
};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json, read_number},
};

#[derive(FromRow)]
pub(crate) struct NamespaceRow {
    name: String,
    owner: String,
    created_at: String,
}

impl TryFrom<NamespaceRow> for Namespace {
    type Error = CatalogError;
    fn try_from(row: NamespaceRow) -> Result<Self, CatalogError> {
        Ok(Self {
            name: read("namespace name", &row.name)?,
            owner: row.owner,
            created_at: read("namespace creation time", &row.created_at)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct TableRow {
    id: String,
    name: String,
    zone: String,
    path: String,
    format: String,
    partition_by: String,
    description: Option<String>,
    owner: String,
    state: String,
    created_at: String,
    updated_at: String,
    deleted_at: Option<String>,
}

impl TryFrom<TableRow> for TableEntry {
    type Error = CatalogError;
    fn try_from(row: TableRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: TableId(read("table id", &row.id)?),
            name: read("table name", &row.name)?,
            zone: read("table zone", &row.zone)?,
            path: row.path,
            format: read_format(&row.format)?,
            partition_by: read_json("table partitioning", &row.partition_by)?,
            description: row.description,
            owner: row.owner,
            state: read("table state", &row.state)?,
            created_at: read("table creation time", &row.created_at)?,
            updated_at: read("table change time", &row.updated_at)?,
            deleted_at: row.deleted_at.map(|at| read("table deletion time", &at)).transpose()?,
        })
    }
}

fn read_format(text: &str) -> Result<TableFormat, CatalogError> {
    TableFormat::deserialize(text.into_deserializer())
        .map_err(|error: ValueError| CatalogError::corrupt("table format", error))
}

#[derive(FromRow)]
pub(crate) struct ContractRow {
    contract: Option<String>,
    coerces: Option<i64>,
    suite: Option<String>,
}

impl TryFrom<ContractRow> for Terms {
    type Error = CatalogError;
    fn try_from(row: ContractRow) -> Result<Self, CatalogError> {
        let contract = row.contract.map(|contract| read_json("contract", &contract)).transpose()?;
        let suite: Option<Suite> = row.suite.map(|suite| read_json("quality suite", &suite)).transpose()?;
        Ok(Self {
            contract: contract.unwrap_or_default(),
            coerce: row.coerces.unwrap_or(0) != 0,
            // One that asks nothing is none to uploads.
            suite: suite.filter(|suite| !suite.rules.is_empty()),
        })
    }
}

#[derive(FromRow)]
pub(crate) struct SchemaRow {
    number: i64,
    table_version: i64,
    schema_json: String,
    upload_id: Option<String>,
    run_id: Option<String>,
    principal: String,
    created_at: String,
}

impl TryFrom<SchemaRow> for SchemaVersion {
    type Error = CatalogError;
    fn try_from(row: SchemaRow) -> Result<Self, CatalogError> {
        Ok(Self {
            number: row.number,
            table_version: read_number("schema's table version", row.table_version)?,
            schema: read_json("schema", &row.schema_json)?,
            upload_id: row.upload_id.map(|id| read("schema's upload id", &id)).transpose()?,
            run_id: row.run_id.map(|id| read("schema's run id", &id)).transpose()?,
            principal: row.principal,
            created_at: read("schema creation time", &row.created_at)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct UploadRow {
    id: String,
    table_name: String,
    table_id: Option<String>,
    principal: String,
    key_scope: Option<String>,
    idempotency_key: Option<String>,
    file_name: Option<String>,
    read_options: String,
    #[sqlx(flatten)]
    landed: LandedRow,
    started_at: String,
    node: i64,
    state: String,
    writer: Option<String>,
    sequence: Option<i64>,
    prepared: Option<String>,
    version: Option<i64>,
    row_counts: Option<String>,
    committed_at: Option<String>,
    failure: Option<String>,
}

impl TryFrom<UploadRow> for UploadEntry {
    type Error = CatalogError;
    fn try_from(row: UploadRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: UploadId(read("upload id", &row.id)?),
            table: read("upload's table name", &row.table_name)?,
            table_id: row.table_id.map(|id| read("upload's table id", &id).map(TableId)).transpose()?,
            principal: row.principal,
            idempotency_key: row.key_scope.zip(row.idempotency_key).map(|(scope, key)| IdempotencyKey { scope, key }),
            file_name: row.file_name,
            options: read_json("upload's options", &row.read_options)?,
            landed: row.landed.try_into()?,
            started_at: read("upload start time", &row.started_at)?,
            node: u32::try_from(row.node).map_err(|error| CatalogError::corrupt("upload's server", error))?,
            state: read("upload state", &row.state)?,
            writer: row.writer,
            sequence: row.sequence,
            prepared: row.prepared.map(|text| read_json("upload's prepared rows", &text)).transpose()?,
            version: row.version.map(|version| read_number("upload's table version", version)).transpose()?,
            rows: row.row_counts.map(|counts| read_json("upload's row counts", &counts)).transpose()?,
            committed_at: row.committed_at.map(|at| read("upload commit time", &at)).transpose()?,
            failure: row.failure.map(|failure| read_json("upload's failure", &failure)).transpose()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct RequestRow {
    pub(crate) upload_id: String,
    pub(crate) body_sha256: String,
    pub(crate) channel_id: Option<String>,
    pub(crate) channel_offset: Option<i64>,
    pub(crate) row_count: i64,
}

#[derive(FromRow)]
pub(crate) struct ChannelRow {
    id: String,
    table_name: String,
    name: String,
    epoch: i64,
    principal: String,
    opened_at: String,
}

impl TryFrom<ChannelRow> for Channel {
    type Error = CatalogError;
    fn try_from(row: ChannelRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: ChannelId(read("channel's id", &row.id)?),
            table: read("channel's table", &row.table_name)?,
            name: read("channel's name", &row.name)?,
            epoch: row.epoch,
            principal: row.principal,
            opened_at: read("channel's opening time", &row.opened_at)?,
        })
    }
}

#[derive(FromRow)]
struct LandedRow {
    raw_path: String,
    size_bytes: i64,
    sha256: String,
    landed_at: String,
}

impl TryFrom<LandedRow> for Landed {
    type Error = CatalogError;
    fn try_from(row: LandedRow) -> Result<Self, CatalogError> {
        Ok(Self {
            raw_path: row.raw_path,
            size_bytes: read_number("upload size", row.size_bytes)?,
            sha256: row.sha256,
            landed_at: read("upload landing time", &row.landed_at)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct FileRow {
    path: String,
    size_bytes: i64,
    sha256: String,
    row_count: i64,
    upload_id: Option<String>,
}

impl TryFrom<FileRow> for FileRecord {
    type Error = CatalogError;
    fn try_from(row: FileRow) -> Result<Self, CatalogError> {
        Ok(Self {
            path: row.path,
            size_bytes: read_number("file's size", row.size_bytes)?,
            sha256: row.sha256,
            rows: read_number("file's rows", row.row_count)?,
            upload: row.upload_id.map(|id| read("file's upload", &id).map(UploadId)).transpose()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct LogRow {
    version: i64,
    content: String,
}

impl TryFrom<LogRow> for LogRecord {
    type Error = CatalogError;
    fn try_from(row: LogRow) -> Result<Self, CatalogError> {
        Ok(Self { version: read_number("log entry's version", row.version)?, content: row.content })
    }
}

#[derive(FromRow)]
pub(crate) struct PartialRow {
    id: String,
    delivery: String,
    table_name: String,
    principal: String,
    file_name: Option<String>,
    note: Option<String>,
    read_options: String,
    size_bytes: i64,
    offset_bytes: i64,
    sha256: Option<String>,
    started_at: String,
    expires_at: String,
}

impl TryFrom<PartialRow> for PartialUpload {
    type Error = CatalogError;
    fn try_from(row: PartialRow) -> Result<Self, CatalogError> {
        Ok(Self {
            id: UploadId(read("partial upload's id", &row.id)?),
            delivery: read("partial upload's way", &row.delivery)?,
            table: read("partial upload's table name", &row.table_name)?,
            principal: row.principal,
            file_name: row.file_name,
            note: row.note,
            options: read_json("partial upload's options", &row.read_options)?,
            size_bytes: read_number("partial upload's size", row.size_bytes)?,
            offset_bytes: read_number("partial upload's offset", row.offset_bytes)?,
            sha256: row.sha256,
            started_at: read("partial upload's start time", &row.started_at)?,
            expires_at: read("partial upload's end", &row.expires_at)?,
        })
    }
}
