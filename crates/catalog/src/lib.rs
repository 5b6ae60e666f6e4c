//! Which namespaces, tables, schema versions and uploads exist, in one small database.
//!
//! Owns the names, the ledger of uploads and the order of a table's commits. Never looks into the object store: rows,
//! files and versions are the Delta log's to tell. No other crate names the database's library.
//!
//! Invariant: when a write returns, it is durable.
//! Invariant: one process at a time has a catalog open.

mod catalog;
mod error;

mod namespaces;
mod schemas;
mod sequences;
mod tables;
mod uploads;

mod backends;
mod columns;
mod rows;

pub use catalog::Catalog;
pub use error::CatalogError;
pub use namespaces::Namespaces;
pub use schemas::{NewSchemaVersion, Schemas};
pub use sequences::Sequences;
pub use tables::{NewTable, TableChange, Tables};
pub use uploads::{CommittedUpload, NewUpload, Uploads};
