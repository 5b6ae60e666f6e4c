//! Tables: names, places and lives; never their rows.
//!
//! Invariant: at most one table of a name is reserved or active; any number of it may be deleted.

use async_trait::async_trait;
use sluice_domain::{
    NamespaceName, NotesChange, Page, PageRequest, TableEntry, TableFormat, TableId, TableRef, ZoneName,
};

use crate::{CatalogError, Namespaces};

/// A table to be made.
#[derive(Debug, Clone)]
pub struct NewTable {
    /// Its name; the namespace is made with it.
    pub name: TableRef,
    /// The zone that it will lie in.
    pub zone: ZoneName,
    /// The format of its files.
    pub format: TableFormat,
    /// The columns to partition by.
    pub partition_by: Vec<String>,
    /// Its folder below the zone; one made of its name and id without it. A folder that another table has or had gets
    /// a number.
    pub folder: Option<String>,
    /// Who asks for it.
    pub owner: String,
}

/// What to change of a table; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableChange {
    /// The new description; `Some(None)` takes it away.
    pub description: Option<Option<String>>,
    /// The new owner.
    pub owner: Option<String>,
    /// The new tags and the new classification; its description is not looked at.
    pub notes: NotesChange,
}

/// The tables of the lake.
#[async_trait]
pub trait Tables: Namespaces {
    /// Take a name and a place for a table, and make its namespace. A table of this name that is active is given back
    /// as it is; one that is reserved takes the new partitioning, and the new format as long as no commit was begun.
    async fn reserve(&self, new: &NewTable) -> Result<TableEntry, CatalogError>;

    /// Say that the table's first version is there, partitioned like this. Doing it again is harmless;
    /// [`CatalogError::TableNotFound`] for a table that is deleted.
    async fn activate(&self, id: TableId, partition_by: &[String]) -> Result<(), CatalogError>;

    /// The active table of this name; [`CatalogError::TableNotFound`] without one.
    async fn find(&self, name: &TableRef) -> Result<TableEntry, CatalogError>;

    /// The table with this id, whatever its state; [`CatalogError::TableNotFound`] without one.
    async fn find_by_id(&self, id: TableId) -> Result<TableEntry, CatalogError>;

    /// The active tables by name, of one namespace or of all; only of those in `visible`, where it is given.
    /// The token is the last name.
    async fn list(
        &self,
        namespace: Option<&NamespaceName>,
        visible: Option<&[NamespaceName]>,
        page: &PageRequest,
    ) -> Result<Page<TableEntry>, CatalogError>;

    /// Change what the catalog says of an active table; [`CatalogError::TableNotFound`] without one.
    async fn change(&self, name: &TableRef, change: TableChange, principal: &str) -> Result<TableEntry, CatalogError>;

    /// Mark an active table as deleted and give its name free; [`CatalogError::TableNotFound`] without one.
    async fn delete(&self, name: &TableRef) -> Result<TableEntry, CatalogError>;

    /// Make the table of this name that was deleted last active again. One that is reserved, and for which no commit was
    /// ever begun, makes way for it and is gone. [`CatalogError::TableExists`] where the name is otherwise in use,
    /// [`CatalogError::TableNotFound`] where none was deleted; both change nothing.
    async fn restore(&self, name: &TableRef) -> Result<TableEntry, CatalogError>;
}
