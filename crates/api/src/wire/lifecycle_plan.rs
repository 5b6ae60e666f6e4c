//! Lifecycle plans and runs on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_domain::{ItemState, Page, PlanAction, PlanCounts, PlanEntry, PlanSubject, PlannedItem};
use utoipa::ToSchema;

/// A lifecycle plan in few words; one that was begun is a run.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanView {
    /// The id.
    plan_id: String,
    /// `ready`, `applying` or `applied`.
    #[schema(example = "ready")]
    state: &'static str,
    /// `request` or `schedule`.
    #[schema(example = "request")]
    cause: &'static str,
    /// Who asked for it.
    principal: String,
    /// The instant that ages are counted from.
    as_of: DateTime<Utc>,
    /// When it was made.
    created_at: DateTime<Utc>,
    /// When it can be applied no more.
    expires_at: DateTime<Utc>,
    /// When it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime<Utc>>,
    /// When its last item had its result.
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
    /// How many things are done, action by action.
    actions: BTreeMap<String, u64>,
    /// How many items say why they are not done.
    refused: u64,
    /// How many bytes it is about.
    size_bytes: u64,
    /// How many rows, as far as is known.
    rows: u64,
    /// What it saves in a month, in US dollars by the prices of the settings.
    saved_usd_per_month: f64,
    /// Whether there was more than a plan holds: make another one when this is applied.
    truncated: bool,
    /// Items without a result yet.
    pending: u64,
    /// Items that were done.
    done: u64,
    /// Items that did not fit any more, and were left alone.
    skipped: u64,
    /// Items that could not be done.
    failed: u64,
    /// How many bytes were removed from the store.
    freed_bytes: u64,
}

impl From<PlanEntry> for PlanView {
    fn from(plan: PlanEntry) -> Self {
        let PlanCounts { pending, done, skipped, failed, freed_bytes } = plan.counts;
        Self {
            plan_id: plan.id.to_string(),
            state: plan.state.as_str(),
            cause: plan.cause.as_str(),
            principal: plan.principal,
            as_of: plan.as_of,
            created_at: plan.created_at,
            expires_at: plan.expires_at,
            started_at: plan.started_at,
            finished_at: plan.finished_at,
            actions: plan.summary.actions,
            refused: plan.summary.refused,
            size_bytes: plan.summary.size_bytes,
            rows: plan.summary.rows,
            saved_usd_per_month: plan.summary.saved_per_month,
            truncated: plan.summary.truncated,
            pending,
            done,
            skipped,
            failed,
            freed_bytes,
        }
    }
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct LifecycleRunPage {
    /// The plans that were begun, newest first.
    pub(crate) items: Vec<PlanView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_page_token: Option<String>,
}

/// A plan with a page of its items.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanDetail {
    #[serde(flatten)]
    plan: PlanView,
    /// The items, in their order.
    items: Vec<PlanItemView>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

impl PlanDetail {
    pub(crate) fn new(plan: PlanEntry, items: Page<PlannedItem>) -> Self {
        let next_page_token = items.next.map(|token| token.to_string());
        Self { plan: plan.into(), items: items.items.into_iter().map(PlanItemView::from).collect(), next_page_token }
    }
}

/// One thing that a plan does, or says why it does not.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanItemView {
    /// Its place in the plan, from 0.
    number: u32,
    /// `object`, `table`, `partition` or `bucket_rule`.
    #[schema(example = "object")]
    subject: &'static str,
    /// The table.
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<String>,
    /// The upload, of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_id: Option<String>,
    /// The path below the raw zone, of an object; the value, of a partition; the id, of a bucket's rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// What is done, as `transition` or `expire_rows`.
    #[schema(example = "transition")]
    action: &'static str,
    /// What exactly: classes, instants, hours, sizes.
    #[schema(value_type = Object)]
    parameters: BTreeMap<&'static str, String>,
    /// The rule that says so, or that forbids it.
    rule: String,
    /// The rules that would have said otherwise, and that this one goes before.
    overridden: Vec<String>,
    /// Why.
    why: String,
    /// How many bytes it is about.
    size_bytes: u64,
    /// How many rows, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    /// What it saves in a month, in US dollars by the prices of the settings.
    saved_usd_per_month: f64,
    /// Whether the storage class is noted in the catalog only, as a local folder has none.
    simulated: bool,
    /// Why it is not done.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    /// `pending`, `done`, `skipped`, `failed` or `refused`.
    #[schema(example = "pending")]
    state: &'static str,
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How many bytes it removed from the store.
    freed_bytes: u64,
}

impl From<PlannedItem> for PlanItemView {
    fn from(planned: PlannedItem) -> Self {
        let PlannedItem { number, item, result } = planned;
        let (subject, table, upload_id, path) = told(&item.subject);
        Self {
            number,
            subject,
            table,
            upload_id,
            path,
            action: item.action.as_str(),
            parameters: parameters(&item.action),
            rule: item.rule,
            overridden: item.overridden,
            why: item.why,
            size_bytes: item.size_bytes,
            rows: item.rows,
            saved_usd_per_month: item.saved_per_month,
            simulated: item.simulated,
            refusal: item.refusal,
            state: result.state.as_str(),
            detail: result.detail.filter(|_| result.state != ItemState::Pending),
            freed_bytes: result.freed_bytes,
        }
    }
}

type Told = (&'static str, Option<String>, Option<String>, Option<String>);

fn told(subject: &PlanSubject) -> Told {
    match subject {
        PlanSubject::Object { upload, table, path } => {
            ("object", Some(table.to_string()), Some(upload.to_string()), Some(path.clone()))
        }
        PlanSubject::Table { name, .. } => ("table", Some(name.to_string()), None, None),
        PlanSubject::Partition { name, value, .. } => ("partition", Some(name.to_string()), None, Some(value.clone())),
        PlanSubject::BucketRule { id, .. } => ("bucket_rule", None, None, Some(id.clone())),
    }
}

fn parameters(action: &PlanAction) -> BTreeMap<&'static str, String> {
    match action {
        PlanAction::Transition { from, to } => [("from", from.to_string()), ("to", to.to_string())].into(),
        PlanAction::ExpireRows { column, before } => {
            let column = column.clone().map(|column| ("column", column));
            column.into_iter().chain([("before", before.to_rfc3339())]).collect()
        }
        PlanAction::Vacuum { hours } | PlanAction::CleanLog { hours } => [("hours", hours.to_string())].into(),
        PlanAction::Compact { below_bytes, target_bytes } => {
            [("below_bytes", below_bytes.to_string()), ("target_bytes", target_bytes.to_string())].into()
        }
        _ => BTreeMap::new(),
    }
}
