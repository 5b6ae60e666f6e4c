//! Bytes in a format become checked batches and one commit.
//!
//! Owns the road of an upload: land, decode, write, commit, receipt; and the ledger entries along it.
//! Never speaks HTTP, never reads a Delta log itself.
//!
//! Invariant: the original bytes are durable before anything is made of them.
//! Invariant: an upload's rows are committed all together or not at all, and once.

mod decode_error;
mod error;
mod limits;
mod settings;

mod kinds;

mod row_sink;

mod columns;
mod formats;
mod in_order;

mod contract;
mod quality;
mod quarantine;

mod archive;
mod asked;

mod commit_queue;
mod in_flight;
mod integrity;
mod land;
mod source;

mod worker;

mod derive;
mod descriptions;
mod keyed;
mod long_body;
mod metrics;
mod pipeline;
mod plain;
mod progress;
mod replay;
mod resumable;
mod road;
mod rows;
mod sources;
mod sweep;
mod upkeep;
mod upload;
mod write_mode;

pub use contract::{Compatibility, ContractBreach, Declaration, DeclaredColumn, DoubtfulColumn, SchemaError};
pub use decode_error::DecodeError;
pub use error::{IngestError, UploadFailure};
pub use integrity::{Damage, Finding, Integrity, RebuiltTable, Repair, TailCheck};
pub use land::{Body, BodyError};
pub use limits::DecodeLimits;
pub use metrics::IngestMetrics;
pub use progress::ProgressBoard;
pub use quality::AskTable;
pub use replay::{ReplayFormat, ReplayRequest};
pub use resumable::{
    Announced, Announcement, Checksum, ChecksumAlgorithm, DIRECT_MAX_BYTES, Direct, Piece, ResumableError,
    ResumableSettings,
};
pub use rows::{ChannelPlace, ChannelStatus, RowsError, RowsOutcome, RowsReceipt, RowsRequest, RowsSettings};
pub use settings::{IngestSettings, PlainTableSettings};
pub use sources::{FileHint, HttpSourcesSettings, OptionsOf, SourceError, Sources, SourcesSettings};
pub use upkeep::UpkeepSettings;
pub use upload::{Ingest, Lake, Outcome, UploadRequest};
pub use worker::{
    ADDRESS_SPACE_ARGUMENT, CPU_ARGUMENT, DECODE_COMMAND, Isolation, MEMORY_ARGUMENT, WorkerSettings, serve_decoding,
};
pub use write_mode::ModeError;
