//! What people say of tables, how tables are found, and what happens to them.
//!
//! Invariant: the words of a table, and the event that tells of a change, are written in the transaction of the change.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{
    CatalogChange, Label, NamespaceName, NotesChange, SearchHit, TableEntry, TableId, TableNotes, TableReads, ZoneName,
};

use crate::CatalogError;

/// How many tables a search gives at the most, best first.
pub const MAX_HITS: usize = 1000;

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct SearchQuery {
    /// The words, each of which a table must have: whole, as its beginning, or with one slip of the keys. Without
    /// words, all tables that the filters let through.
    pub words: Vec<String>,
    /// Only of these namespaces, where it is given: what the caller sees.
    pub visible: Option<Vec<NamespaceName>>,
    /// Only of this namespace.
    pub namespace: Option<NamespaceName>,
    /// Only of this zone.
    pub zone: Option<ZoneName>,
    /// Only of this owner.
    pub owner: Option<String>,
    /// Only with this tag, on the table or on one of its columns.
    pub tag: Option<Label>,
    /// Only with this classification, of the table or of one of its columns.
    pub classification: Option<Label>,
}

/// Notes on tables and columns.
#[async_trait]
pub trait Annotations: Send + Sync {
    /// What is said of a table and its columns.
    async fn notes(&self, table: TableId) -> Result<TableNotes, CatalogError>;

    /// Change what is said of a column. Whether the table has it, the caller knows;
    /// [`CatalogError::TableNotFound`] without the table.
    async fn annotate(
        &self,
        table: TableId,
        column: &str,
        change: NotesChange,
        principal: &str,
    ) -> Result<TableNotes, CatalogError>;
}

/// Finding tables.
#[async_trait]
pub trait Discovery: Send + Sync {
    /// The tables that fit, best first, [`MAX_HITS`] at the most.
    async fn search(&self, query: &SearchQuery) -> Result<Vec<SearchHit>, CatalogError>;

    /// Enter the words of tables that have none: those of an earlier release. Gives how many they were.
    async fn index_missing(&self, limit: u32) -> Result<u64, CatalogError>;

    /// Add to how often tables were read on this day.
    async fn count_reads(&self, reads: &[TableReads], at: DateTime<Utc>) -> Result<(), CatalogError>;

    /// The tables that were read most since this day, with how often.
    async fn popular(
        &self,
        since: DateTime<Utc>,
        visible: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<Vec<(TableEntry, u64)>, CatalogError>;
}

/// The feed of changes.
#[async_trait]
pub trait Changes: Send + Sync {
    /// What happened after this number, in order; only in namespaces that are `visible`, where it is given. Gives also
    /// the number up to which was looked.
    async fn since(
        &self,
        number: i64,
        visible: Option<&[NamespaceName]>,
        limit: u32,
    ) -> Result<(Vec<CatalogChange>, i64), CatalogError>;

    /// The numbers of the oldest and the newest change that is kept; zeros where there is none.
    async fn range(&self) -> Result<(i64, i64), CatalogError>;

    /// Forget what happened before this, a limited number at a time; gives how much. The newest is kept.
    async fn forget_changes(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, CatalogError>;
}
