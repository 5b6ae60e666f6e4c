//! What an epoch's object says.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{CLOCK_MARGIN, MAX_TTL};

/// The longest name of a holder that is written, in characters.
const MAX_HOLDER: usize = 200;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// For people; the token tells two holders apart.
    pub(super) holder: String,
    /// One try to acquire the lease, unique for ever.
    pub(super) token: Uuid,
    pub(super) acquired_at: DateTime<Utc>,
    pub(super) expires_at: DateTime<Utc>,
    #[serde(default)]
    pub(super) released: bool,
}

impl Record {
    pub(super) fn new(holder: &str, now: DateTime<Utc>, expires_at: DateTime<Utc>) -> Self {
        let holder = holder.chars().take(MAX_HOLDER).collect();
        Self { holder, token: Uuid::new_v4(), acquired_at: now, expires_at, released: false }
    }

    /// Whether others must wait for the holder, if its record was written at `written_at`.
    pub(super) fn stands(&self, written_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        !self.released && now < self.expires_at.min(written_at + MAX_TTL) + CLOCK_MARGIN
    }

    /// The same for a record that cannot be read.
    pub(super) fn unreadable_stands(written_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
        now < written_at + MAX_TTL + CLOCK_MARGIN
    }
}
