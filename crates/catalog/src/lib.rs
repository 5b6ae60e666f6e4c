//! Which namespaces, tables, schema versions and uploads exist, in one small database.
//!
//! Owns the names, the ledger of uploads and the order of a table's commits. Never looks into the object store: rows,
//! files and versions are the Delta log's to tell. No other crate names the database's library.
//!
//! Invariant: when a write returns, it is durable.
//! Invariant: servers that share a catalog each work on uploads of their own, until one has ended and another takes over.

mod catalog;
mod error;
mod nodes;

mod channels;
mod contracts;
mod inventory;
mod namespaces;
mod partials;
mod plain_commits;
mod replays;
mod row_groups;
mod schemas;
mod sequences;
mod sources;
mod tables;
mod uploads;

mod backends;
mod columns;
mod rows;
mod source_rows;

pub use catalog::Catalog;
pub use channels::Channels;
pub use contracts::Contracts;
pub use error::CatalogError;
pub use inventory::Inventory;
pub use namespaces::Namespaces;
pub use partials::Partials;
pub use plain_commits::{PlainCommit, PlainCommits};
pub use replays::Replays;
pub use row_groups::{Entered, KnownRequest, NewGroup, Obstacle, RowGroups, RowRequest};
pub use schemas::{NewSchemaVersion, Schemas};
pub use sequences::{CommitTry, Sequences};
pub use sources::{Begun, Defined, NewSource, Pulls, SourceRuns, Sources};
pub use tables::{NewTable, TableChange, Tables};
pub use uploads::{CommittedUpload, CommittedUploads, NewUpload, Uploads};
