//! What happens in the catalog, one event after another.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::NamespaceName;

/// What the type of every event begins with.
const TYPE_PREFIX: &str = "io.sluice.";
/// Whose events they are, in the words of CloudEvents.
pub const EVENT_SOURCE: &str = "/api/v1/tables";

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

    /// The type of its events, in the words of CloudEvents.
    pub fn event_type(self) -> String {
        format!("{TYPE_PREFIX}{}", self.as_str())
    }

    /// The kind whose events have this type; the kind's name alone will do.
    pub fn of_event_type(text: &str) -> Option<Self> {
        Self::parse(text.strip_prefix(TYPE_PREFIX).unwrap_or(text))
    }
}

impl From<ChangedKind> for String {
    fn from(kind: ChangedKind) -> Self {
        kind.as_str().to_owned()
    }
}

impl TryFrom<String> for ChangedKind {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is no kind of change"))
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

impl CatalogChange {
    /// It as a CloudEvent, in the JSON format.
    pub fn cloud_event(&self) -> Value {
        json!({
            "specversion": "1.0",
            "id": self.number.to_string(),
            "source": EVENT_SOURCE,
            "type": self.kind.event_type(),
            "subject": self.subject,
            "time": self.at,
            "datacontenttype": "application/json",
            "data": self.body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_its_name_and_by_the_type_of_its_events() {
        for kind in ChangedKind::ALL {
            assert_eq!(ChangedKind::of_event_type(&kind.event_type()), Some(kind));
            assert_eq!(ChangedKind::of_event_type(kind.as_str()), Some(kind));
        }
        assert_eq!(ChangedKind::of_event_type("io.sluice.io.sluice.table.created"), None);
    }
}
