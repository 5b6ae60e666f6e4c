//! The words every other crate speaks: names, ids, formats, receipts, access, error kinds.
//!
//! Owns what a table, an upload and a failure *are*. Never does I/O, reads a clock or knows HTTP.
//!
//! Invariant: a value of one of these types is valid; text is parsed once, at the edge.

mod error;
mod names;

mod access;
mod compression;
mod format;
mod inventory;
mod page;
mod read_options;
mod table;
mod upload;

pub use access::{AccessError, Action, Caller, Grant, Resource};
pub use compression::Compression;
pub use error::{CircuitOpen, ErrorKind, Failure};
pub use format::{Format, FormatError};
pub use inventory::{FileRecord, LogRecord};
pub use names::{ColumnName, NameError, NamespaceName, TableName, TableRef};
pub use page::{Page, PageRequest, PageToken, PageTokenError};
pub use read_options::{Charset, CsvOptions, JsonOptions, OpenDialect, ReadOptions, RecordPath};
pub use table::{Namespace, SchemaVersion, TableEntry, TableFormat, TableId, TableState, ZoneName};
pub use upload::{IdempotencyKey, Landed, Receipt, RowCounts, StoredFailure, UploadEntry, UploadId, UploadState};
