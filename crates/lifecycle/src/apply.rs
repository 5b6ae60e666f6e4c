//! Doing what a plan says, item by item.
//!
//! Invariant: right before an item is done, the rules of the moment must still say it; else it is skipped.
//! Invariant: an item that was done, and whose result was lost in a crash, can be done again without effect.

mod bucket;
mod objects;
mod tables;

use chrono::{DateTime, Utc};
use sluice_domain::{
    ItemResult, ItemState, PlanAction, PlanCause, PlanEntry, PlanItem, PlanSubject, StoredLifecycleRule,
};

use crate::{Lake, LifecycleError, LifecycleSettings, plan::Planner, runner::Stop};

/// Does items of a plan, by the rules of the moment.
pub(crate) struct Applier<'a> {
    pub(crate) lake: &'a Lake,
    pub(crate) settings: &'a LifecycleSettings,
    pub(crate) rules: &'a [StoredLifecycleRule],
    pub(crate) now: DateTime<Utc>,
    /// Whether the server stops: what takes long ends where it is.
    pub(crate) stop: &'a Stop,
}

/// What came of an item that was tried.
pub(crate) enum Done {
    /// It was done; so many bytes are gone.
    Freed(u64, String),
    /// It does not fit any more, for this reason.
    Skipped(String),
}

impl<'a> Applier<'a> {
    /// Do one item, and say what came of it.
    pub(crate) async fn apply(&self, item: &PlanItem) -> ItemResult {
        match self.try_item(item).await {
            Ok(Done::Freed(freed_bytes, detail)) => result(ItemState::Done, detail, freed_bytes),
            Ok(Done::Skipped(reason)) => result(ItemState::Skipped, reason, 0),
            Err(error) => {
                tracing::warn!(%error, lifecycle.action = item.action.as_str(), "an item of a lifecycle plan failed");
                result(ItemState::Failed, error.to_string(), 0)
            }
        }
    }

    async fn try_item(&self, item: &PlanItem) -> Result<Done, LifecycleError> {
        match (&item.subject, &item.action) {
            (PlanSubject::Object { upload, .. }, action) => self.object(*upload, action).await,
            (PlanSubject::BucketRule { id, .. }, action) => self.bucket_rule(id, action).await,
            (PlanSubject::Table { id, .. }, PlanAction::PurgeTable) => self.purge(*id).await,
            (PlanSubject::Table { id, .. } | PlanSubject::Partition { id, .. }, action) => {
                self.table(*id, &item.subject, action).await
            }
        }
    }

    fn planner(&self) -> Planner<'a> {
        Planner::new(self.lake, self.settings, self.rules.to_vec(), self.now)
    }
}

fn result(state: ItemState, detail: String, freed_bytes: u64) -> ItemResult {
    ItemResult { state, detail: Some(detail), freed_bytes }
}

fn skipped(reason: impl Into<String>) -> Result<Done, LifecycleError> {
    Ok(Done::Skipped(reason.into()))
}

/// Whether what the settings say of zones counts for a plan: the server itself acts by rules alone.
pub(crate) fn counts_zones(plan: &PlanEntry) -> bool {
    plan.cause == PlanCause::Request
}
