//! What tables ask of their uploads.
//!
//! Invariant: a table keeps its contract while it is deleted; one that takes over its name has its own.

use async_trait::async_trait;
use sluice_domain::{Contract, TableId, Terms};

use crate::CatalogError;

/// The contracts of tables.
#[async_trait]
pub trait Contracts: Send + Sync {
    /// What a table asks of its uploads, its suite included; nothing where nobody said anything.
    async fn terms(&self, table: TableId) -> Result<Terms, CatalogError>;

    /// Put a contract in the place of the one that is there. [`CatalogError::TableNotFound`] without the table.
    async fn set_contract(&self, table: TableId, contract: &Contract, principal: &str) -> Result<(), CatalogError>;

    /// Say whether texts are taken for what columns want. [`CatalogError::TableNotFound`] without the table.
    async fn set_coerce(&self, table: TableId, coerce: bool, principal: &str) -> Result<(), CatalogError>;
}
