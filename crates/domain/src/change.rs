//! What happens in the catalog, one event after another.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::NamespaceName;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangedKind {
    /// A table has its first version.
    TableCreated,
    /// What is said of a table or of its columns changed.
    TableChanged,
    /// A table was deleted.
    TableDeleted,
    /// A deleted table is back.
    TableRestored,
    /// A table has another schema.
    SchemaChanged,
    /// An upload's rows are in their table.
    UploadCommitted,
    /// An upload came to nothing.
    UploadFailed,
}

impl ChangedKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::TableCreated,
        Self::TableChanged,
        Self::TableDeleted,
        Self::TableRestored,
        Self::SchemaChanged,
        Self::UploadCommitted,
        Self::UploadFailed,
    ];

    /// The kind's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TableCreated => "table.created",
            Self::TableChanged => "table.changed",
            Self::TableDeleted => "table.deleted",
            Self::TableRestored => "table.restored",
            Self::SchemaChanged => "schema.changed",
            Self::UploadCommitted => "upload.committed",
            Self::UploadFailed => "upload.failed",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// Something that happened in the catalog.
#[derive(Debug, Clone)]
pub struct CatalogChange {
    /// Its place in the order of what happened, from 1.
    pub number: i64,
    /// What kind of thing it is.
    pub kind: ChangedKind,
    /// The namespace that it happened in.
    pub namespace: NamespaceName,
    /// What it happened to: a table's name.
    pub subject: String,
    /// What more there is to tell, a JSON object.
    pub body: Value,
    /// When.
    pub at: DateTime<Utc>,
}
