//! What every kind of source is: something to look through, and contents to open.

use std::collections::VecDeque;

use async_trait::async_trait;
use sluice_domain::{Pull, ReadOptions, RunCounts, StoredFailure};

use super::SourceError;
use crate::Body;

/// A place that data is pulled from, for one run.
#[async_trait]
pub(super) trait Place: Send + Sync {
    /// Look for what there is to take, in the order in which it is to be taken.
    async fn look(&mut self) -> Result<Found, SourceError>;

    /// The bytes of one of these.
    async fn open(&self, pull: &Pull) -> Result<Content, Refusal>;
}

/// What a look found.
#[derive(Default)]
pub(super) struct Found {
    /// What was seen on the way.
    pub(super) counts: RunCounts,
    /// What there is to take.
    pub(super) pulls: VecDeque<Pull>,
}

/// Bytes to be taken, and how they are read.
pub(super) struct Content {
    pub(super) file_name: Option<String>,
    pub(super) options: ReadOptions,
    pub(super) body: Body<'static>,
}

/// Why a content is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is what it is: the next run need not look at it again.
    ForGood(StoredFailure),
    /// The next run tries again.
    ForNow(StoredFailure),
}
