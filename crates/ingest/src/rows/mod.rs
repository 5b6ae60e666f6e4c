//! Small writes: requests with a few rows each, gathered into one upload, one set of files and one commit.
//!
//! Owns what is between a request's body and the commit queue: reading, checking, gathering, answering, channels.
//! Never writes a log or a ledger itself: a group goes the road of an upload, and is redone after a crash like one.
//!
//! Invariant: a request is answered after its rows are durable in the table, and with its own outcome: what is wrong
//! with one request is told to it alone.
//! Invariant: an offset is committed in the same commit as its rows, and one that is not ahead of the log adds none.

mod error;
mod settings;

mod body;
mod check;
mod request;

mod files;
mod gather;
mod group;
mod targets;
mod write;

mod channels;
mod service;

pub use channels::ChannelStatus;
pub use error::RowsError;
pub(crate) use gather::Gatherer;
pub use request::{ChannelPlace, RowsOutcome, RowsReceipt, RowsRequest};
pub use settings::RowsSettings;
pub(crate) use write::GroupWriter;
