//! What the catalog says of namespaces and tables.

use std::{fmt, str::FromStr};

use arrow_schema::Schema;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{NamespaceName, RunId, TableRef, UploadId};

/// The id of a table: stays when the name is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TableId(pub Uuid);

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One of the lake's zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ZoneName {
    /// Uploads as they came, and the tables made from them.
    Raw,
    /// Tables made from other tables.
    Curated,
}

impl ZoneName {
    /// The zone's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Curated => "curated",
        }
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ZoneName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "raw" => Ok(Self::Raw),
            "curated" => Ok(Self::Curated),
            other => Err(format!("{other:?} is not a zone")),
        }
    }
}

/// The format of a table in the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableFormat {
    /// A Delta Lake table.
    Delta,
    /// Parquet files in folders of their partitions, without a log: the catalog knows which belong to it.
    Parquet,
}

impl TableFormat {
    /// The format's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Parquet => "parquet",
        }
    }
}

impl FromStr for TableFormat {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "delta" => Ok(Self::Delta),
            "parquet" => Ok(Self::Parquet),
            other => Err(format!("{:?} is not one of delta, parquet", other.chars().take(64).collect::<String>())),
        }
    }
}

/// How far along its life a table is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableState {
    /// The name and location are taken; there is no version yet.
    Reserved,
    /// It can be read and written.
    Active,
    /// It was deleted and can be restored.
    Deleted,
}

impl TableState {
    /// The state's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "reserved",
            Self::Active => "active",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for TableState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "reserved" => Ok(Self::Reserved),
            "active" => Ok(Self::Active),
            "deleted" => Ok(Self::Deleted),
            other => Err(format!("{other:?} is not a table state")),
        }
    }
}

/// A namespace as stored.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its name.
    pub name: NamespaceName,
    /// Who made it.
    pub owner: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

/// A table as the catalog stores it; rows, files and versions are the Delta log's to tell.
#[derive(Debug, Clone)]
pub struct TableEntry {
    /// The id.
    pub id: TableId,
    /// The name.
    pub name: TableRef,
    /// The zone that it lies in.
    pub zone: ZoneName,
    /// Its folder below the zone, without slashes at the ends.
    pub path: String,
    /// The format of its files.
    pub format: TableFormat,
    /// The columns that it is partitioned by.
    pub partition_by: Vec<String>,
    /// What it is, in the owner's words.
    pub description: Option<String>,
    /// Who made it.
    pub owner: String,
    /// How far along its life it is.
    pub state: TableState,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When the entry last changed.
    pub updated_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// One version of a table's schema.
#[derive(Debug, Clone)]
pub struct SchemaVersion {
    /// Counted from 1.
    pub number: i64,
    /// The first table version with this schema.
    pub table_version: u64,
    /// The schema, in Arrow's types.
    pub schema: Schema,
    /// The upload that brought it about.
    pub upload_id: Option<UploadId>,
    /// The run of a pipeline that brought it about.
    pub run_id: Option<RunId>,
    /// Who brought it about.
    pub principal: String,
    /// When.
    pub created_at: DateTime<Utc>,
}
