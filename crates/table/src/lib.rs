//! One Delta table: create, append, change, describe, read.
//!
//! Owns everything that is said to or read from a Delta log; no other crate names `deltalake`.
//! Never decides which table is meant, who may touch it, or what its rows should look like.
//!
//! Invariant: a version is created by one atomic commit, the first one included.
//! Invariant: an error is answered only after the log was read again and the commit was not found in it.

mod error;
mod refusal;

mod layout;
mod schema;
mod widening;

mod derive;
mod partition;
mod stats;
mod writer;

mod commit;
mod log;

mod aged;
mod describe;
mod increment;
mod inspect;
mod live;
mod operations;
mod reader;
mod rows;
mod table;

mod plain;

mod maintenance;
mod shelf;

pub use aged::{AgedRows, SmallFiles};
pub use commit::{Commit, CreateOutcome, NewTable, Transaction};
pub use derive::{Derivations, DerivedMismatch, derivations_of};
pub use describe::{Column, Description, VersionEntry};
pub use error::TableError;
pub use increment::{Increment, IncrementError};
pub use inspect::{EntryFacts, LiveFile, object_path, read_facts};
pub use layout::{check_layout, layout_of, layout_properties, spelled};
pub use live::Scope;
pub use log::change::{COMMIT_ID_TAG, CommittedEntry, EPOCH_TAG, Provenance, RUN_TAG, UPLOADS_TAG, UploadPart};
pub use maintenance::{
    BadCheckpoint, Checkpoint, CleanedLog, LogRetention, MaintenanceError, MaintenanceSettings, Orphan, OrphanPage,
    OrphanSearch, VacuumRetention, Vacuumed, wants_checkpoint,
};
pub use operations::{
    Applied, Compact, Delete, DeleteMarker, Evolve, Expire, History, Keep, Matched, Merge, MergeRule, Operation,
    Overwrite, Replace, Rewrite, RowChanges, SchemaChange, Source, SourceWriter, Workspace, ZOrder, history_columns,
};
pub use plain::{describe_plain, scan_plain};
pub use refusal::{CommitFailure, Refusal};
pub use rows::{Condition, TableRows};
pub use schema::{check_partition_columns, columns_of, storable_type};
pub use shelf::Shelf;
pub use table::{ColumnsTurn, CommitTurn, Scan, Table};
pub use widening::{TypeStep, type_step, widens};
pub use writer::{DataFile, NamedFiles, PlainNames, StagedFiles, TableWriter, WriterSettings};
