//! Plans: what would be done, and what was.

use std::{collections::BTreeMap, fmt, str::FromStr};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::StorageClass;
use crate::{TableId, TableRef, UploadId, word_set::words};

/// The id of a plan: time-ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlanId(pub Uuid);

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PlanId {
    type Err = uuid::Error;
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self)
    }
}

/// What an item is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanSubject {
    /// The bytes of an upload.
    Object {
        /// The upload.
        upload: UploadId,
        /// The table that it was for.
        table: TableRef,
        /// Where they are below the raw zone.
        path: String,
    },
    /// A table.
    Table {
        /// Its id.
        id: TableId,
        /// Its name.
        name: TableRef,
    },
    /// A partition of a table.
    Partition {
        /// The table's id.
        id: TableId,
        /// The table's name.
        name: TableRef,
        /// The value of the column that tells the age.
        value: String,
    },
    /// A rule of a bucket's lifecycle configuration.
    BucketRule {
        /// The bucket.
        bucket: String,
        /// The rule's id there.
        id: String,
    },
}

impl PlanSubject {
    /// The table that is acted on.
    pub fn table_id(&self) -> Option<TableId> {
        match self {
            Self::Table { id, .. } | Self::Partition { id, .. } => Some(*id),
            Self::Object { .. } | Self::BucketRule { .. } => None,
        }
    }
}

/// What an item does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanAction {
    /// The object gets another class.
    Transition {
        /// What it has.
        from: StorageClass,
        /// What it gets.
        to: StorageClass,
    },
    /// The object goes.
    ExpireObject,
    /// Rows go that are older than an instant.
    ExpireRows {
        /// The column that tells; none: the data files' own time.
        column: Option<String>,
        /// The instant.
        before: DateTime<Utc>,
    },
    /// Data files go that no version within these hours needs.
    Vacuum {
        /// The hours.
        hours: u64,
    },
    /// Versions of the log go that are older than these hours.
    CleanLog {
        /// The hours.
        hours: u64,
    },
    /// The files of a deleted table go, and it cannot be restored any more.
    PurgeTable,
    /// Small files are put together.
    Compact {
        /// What is smaller, in bytes.
        below_bytes: u64,
        /// How large files become, in bytes.
        target_bytes: u64,
    },
    /// The bucket gets a rule, or another one under its id.
    SetBucketRule,
    /// The bucket loses a rule that is no rule here any more.
    RemoveBucketRule,
}

impl PlanAction {
    /// Its name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Transition { .. } => "transition",
            Self::ExpireObject => "expire_object",
            Self::ExpireRows { .. } => "expire_rows",
            Self::Vacuum { .. } => "vacuum",
            Self::CleanLog { .. } => "clean_log",
            Self::PurgeTable => "purge_table",
            Self::Compact { .. } => "compact",
            Self::SetBucketRule => "set_bucket_rule",
            Self::RemoveBucketRule => "remove_bucket_rule",
        }
    }
}

/// One thing that a plan does, or says why it does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanItem {
    /// What it is about.
    pub subject: PlanSubject,
    /// What is done.
    pub action: PlanAction,
    /// The rule that says so, or that forbids it.
    pub rule: String,
    /// The rules that would have said otherwise, and that this one goes before.
    pub overridden: Vec<String>,
    /// Why.
    pub why: String,
    /// How many bytes it is about.
    pub size_bytes: u64,
    /// How many rows, where that is known.
    pub rows: Option<u64>,
    /// What it saves in a month.
    pub saved_per_month: f64,
    /// Whether the storage class is noted in the catalog only, as a local folder has none.
    pub simulated: bool,
    /// Why it is not done; none where it is.
    pub refusal: Option<String>,
}

words!(
    /// How far a plan has come.
    PlanState, "state of a plan", {
        /// It was made, and nothing of it is done.
        Ready = "ready",
        /// It is being done, or will be.
        Applying = "applying",
        /// Each of its items has its result.
        Applied = "applied",
    }
);

words!(
    /// Why a plan was made.
    PlanCause, "cause of a plan", {
        /// Somebody asked for it.
        Request = "request",
        /// It was time.
        Schedule = "schedule",
    }
);

words!(
    /// What came of an item.
    ItemState, "state of an item", {
        /// Nothing yet.
        Pending = "pending",
        /// It was done.
        Done = "done",
        /// It did not fit any more, and was left alone.
        Skipped = "skipped",
        /// It could not be done.
        Failed = "failed",
        /// The plan itself says that it is not done.
        Refused = "refused",
    }
);

/// What came of an item, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ItemResult {
    /// What.
    pub state: ItemState,
    /// Why, or what exactly.
    pub detail: Option<String>,
    /// How many bytes are in the store no more.
    pub freed_bytes: u64,
}

/// An item of a stored plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedItem {
    /// Its place in the plan, from 0.
    pub number: u32,
    /// What it is.
    pub item: PlanItem,
    /// What came of it.
    pub result: ItemResult,
}

/// A plan in few words.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// How many things are done, action by action; what is refused is not counted.
    pub actions: BTreeMap<String, u64>,
    /// How many items say why they are not done.
    pub refused: u64,
    /// How many bytes what is done is about.
    pub size_bytes: u64,
    /// How many rows, as far as is known.
    pub rows: u64,
    /// What it saves in a month.
    pub saved_per_month: f64,
    /// Whether there was more than a plan holds.
    pub truncated: bool,
}

impl PlanSummary {
    /// The summary of these items.
    pub fn of(items: &[PlanItem], truncated: bool) -> Self {
        let mut summary = Self { truncated, ..Self::default() };
        for item in items {
            if item.refusal.is_some() {
                summary.refused += 1;
                continue;
            }
            *summary.actions.entry(item.action.as_str().to_owned()).or_default() += 1;
            summary.size_bytes = summary.size_bytes.saturating_add(item.size_bytes);
            summary.rows = summary.rows.saturating_add(item.rows.unwrap_or_default());
            summary.saved_per_month += item.saved_per_month;
        }
        summary
    }
}

/// How many items came to which result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanCounts {
    /// Those that wait.
    pub pending: u64,
    /// Those that were done.
    pub done: u64,
    /// Those that did not fit any more.
    pub skipped: u64,
    /// Those that could not be done.
    pub failed: u64,
    /// How many bytes are in the store no more.
    pub freed_bytes: u64,
}

/// A stored plan, without its items.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanEntry {
    /// The id.
    pub id: PlanId,
    /// Why it was made.
    pub cause: PlanCause,
    /// Who asked for it.
    pub principal: String,
    /// The instant that ages are counted from.
    pub as_of: DateTime<Utc>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it can be applied no more.
    pub expires_at: DateTime<Utc>,
    /// How far it has come.
    pub state: PlanState,
    /// What it is about.
    pub summary: PlanSummary,
    /// When it was begun.
    pub started_at: Option<DateTime<Utc>>,
    /// When its last item had its result.
    pub finished_at: Option<DateTime<Utc>>,
    /// What came of its items.
    pub counts: PlanCounts,
}
