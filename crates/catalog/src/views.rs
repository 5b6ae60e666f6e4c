//! Views.
//!
//! Invariant: a name is that of a table or of a view, never of both.
//! Invariant: no view reads itself, however many others are in between.

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest, TableRef, View, ViewColumn, ViewDefinition, ViewError};

use crate::CatalogError;

/// A view as it is to be.
#[derive(Debug, Clone)]
pub struct NewView {
    /// The name.
    pub name: TableRef,
    /// What it is.
    pub definition: ViewDefinition,
    /// The tables and views that its statement names.
    pub reads: Vec<TableRef>,
    /// Its columns.
    pub columns: Vec<ViewColumn>,
    /// Who says so.
    pub principal: String,
}

/// What came of defining a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewDefined {
    /// It is new.
    Made(View),
    /// It was there.
    Changed(View),
    /// There are as many as there can be.
    TooMany,
    /// A table has the name.
    NameTaken,
    /// It would read itself, or be too deep.
    Refused(ViewError),
}

/// The views.
#[async_trait]
pub trait Views: Send + Sync {
    /// Make a view, unless there are as many as the limit, or say anew what the one of this name is.
    async fn define(&self, new: &NewView, limit: u32) -> Result<ViewDefined, CatalogError>;

    /// The view of this name.
    async fn find(&self, name: &TableRef) -> Result<Option<View>, CatalogError>;

    /// Those in one of these namespaces (none: all), by name. The token is the last name.
    async fn list(&self, visible: Option<&[NamespaceName]>, page: &PageRequest) -> Result<Page<View>, CatalogError>;

    /// Forget a view; says whether there was one. Views that read it cannot be read until there is one again.
    async fn forget(&self, name: &TableRef) -> Result<bool, CatalogError>;
}
