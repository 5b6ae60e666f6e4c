//! The rows of notes, words and changes.

use sluice_domain::{CatalogChange, ChangedKind, Label, Notes};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json},
    rows::TableRow,
};

#[derive(FromRow)]
pub(crate) struct NotesRow {
    pub(crate) table_id: String,
    pub(crate) column_name: String,
    description: Option<String>,
    tags: String,
    classification: Option<String>,
}

impl TryFrom<NotesRow> for Notes {
    type Error = CatalogError;
    fn try_from(row: NotesRow) -> Result<Self, CatalogError> {
        Ok(Self {
            description: row.description,
            tags: read_json("tags", &row.tags)?,
            classification: row.classification.map(|text| read::<Label>("classification", &text)).transpose()?,
        })
    }
}

/// What is said of a table that is told by its name.
#[derive(FromRow)]
pub(crate) struct NamedNotesRow {
    #[sqlx(flatten)]
    pub(crate) notes: NotesRow,
    pub(crate) name: String,
}

#[derive(FromRow)]
pub(crate) struct FoundRow {
    #[sqlx(flatten)]
    pub(crate) table: TableRow,
    pub(crate) weight: i64,
    pub(crate) places: i64,
}

#[derive(FromRow)]
pub(crate) struct PopularRow {
    #[sqlx(flatten)]
    pub(crate) table: TableRow,
    pub(crate) read_count: i64,
}

#[derive(FromRow)]
pub(crate) struct ChangeRow {
    number: i64,
    kind: String,
    namespace: String,
    subject: String,
    body: String,
    changed_at: String,
}

impl TryFrom<ChangeRow> for CatalogChange {
    type Error = CatalogError;
    fn try_from(row: ChangeRow) -> Result<Self, CatalogError> {
        Ok(Self {
            number: row.number,
            kind: ChangedKind::parse(&row.kind).ok_or_else(|| CatalogError::corrupt("kind of a change", &row.kind))?,
            namespace: read("namespace of a change", &row.namespace)?,
            subject: row.subject,
            body: read_json("change", &row.body)?,
            at: read("time of a change", &row.changed_at)?,
        })
    }
}
