//! The rows of rules, plans and objects, as they are stored.

use sluice_domain::{
    ItemResult, PlanCounts, PlanEntry, PlanId, PlanState, PlanSummary, PlannedItem, StoredLifecycleRule, TableId,
    UploadId,
};
use sqlx::FromRow;

use crate::{
    CatalogError, ObjectRecord, Original,
    columns::{read, read_json, read_number},
};

#[derive(FromRow)]
pub(crate) struct LifecycleRuleRow {
    name: String,
    definition: String,
    principal: String,
    created_at: String,
    updated_at: String,
}

impl TryFrom<LifecycleRuleRow> for StoredLifecycleRule {
    type Error = CatalogError;
    fn try_from(row: LifecycleRuleRow) -> Result<Self, CatalogError> {
        Ok(Self {
            name: read("rule's name", &row.name)?,
            rule: read_json("rule", &row.definition)?,
            principal: row.principal,
            created_at: read("rule's creation time", &row.created_at)?,
            updated_at: read("rule's change time", &row.updated_at)?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct PlanRow {
    id: String,
    cause: String,
    principal: String,
    as_of: String,
    created_at: String,
    expires_at: String,
    state: String,
    summary: String,
    started_at: Option<String>,
    finished_at: Option<String>,
    counts: Option<String>,
}

impl TryFrom<PlanRow> for PlanEntry {
    type Error = CatalogError;
    fn try_from(row: PlanRow) -> Result<Self, CatalogError> {
        let instant = |text: Option<String>| text.map(|text| read("plan's time", &text)).transpose();
        let summary: PlanSummary = read_json("plan's summary", &row.summary)?;
        let state = read("plan's state", &row.state)?;
        let counts = match (&row.counts, state) {
            (Some(counts), _) => read_json::<(u64, u64, u64, u64)>("plan's counts", counts).map(counts_of)?,
            (None, PlanState::Ready) => PlanCounts { pending: summary.actions.values().sum(), ..PlanCounts::default() },
            (None, _) => PlanCounts::default(),
        };
        Ok(Self {
            id: PlanId(read("plan's id", &row.id)?),
            cause: read("plan's cause", &row.cause)?,
            principal: row.principal,
            as_of: read("plan's time", &row.as_of)?,
            created_at: read("plan's time", &row.created_at)?,
            expires_at: read("plan's time", &row.expires_at)?,
            state,
            summary,
            started_at: instant(row.started_at)?,
            finished_at: instant(row.finished_at)?,
            counts,
        })
    }
}

fn counts_of((done, skipped, failed, freed_bytes): (u64, u64, u64, u64)) -> PlanCounts {
    PlanCounts { pending: 0, done, skipped, failed, freed_bytes }
}

#[derive(FromRow)]
pub(crate) struct CountRow {
    state: String,
    items: i64,
    freed_bytes: Option<i64>,
}

impl CountRow {
    /// What came of a plan's items, by these rows.
    pub(crate) fn sum(rows: &[Self]) -> Result<PlanCounts, CatalogError> {
        let mut counts = PlanCounts::default();
        for row in rows {
            let items = read_number("items of a plan", row.items)?;
            counts.freed_bytes += read_number("bytes freed", row.freed_bytes.unwrap_or_default())?;
            match row.state.as_str() {
                "pending" => counts.pending = items,
                "done" => counts.done = items,
                "skipped" => counts.skipped = items,
                "failed" => counts.failed = items,
                _ => {}
            }
        }
        Ok(counts)
    }
}

#[derive(FromRow)]
pub(crate) struct ItemRow {
    number: i64,
    item: String,
    state: String,
    detail: Option<String>,
    freed_bytes: i64,
}

impl TryFrom<ItemRow> for PlannedItem {
    type Error = CatalogError;
    fn try_from(row: ItemRow) -> Result<Self, CatalogError> {
        let number = u32::try_from(row.number).map_err(|error| CatalogError::corrupt("item's number", error))?;
        let result = ItemResult {
            state: read("item's state", &row.state)?,
            detail: row.detail,
            freed_bytes: read_number("bytes freed", row.freed_bytes)?,
        };
        Ok(Self { number, item: read_json("item of a plan", &row.item)?, result })
    }
}

#[derive(FromRow)]
pub(crate) struct ObjectRow {
    storage_class: String,
    simulated: i64,
    expired_at: Option<String>,
}

impl TryFrom<ObjectRow> for ObjectRecord {
    type Error = CatalogError;
    fn try_from(row: ObjectRow) -> Result<Self, CatalogError> {
        Ok(Self {
            class: read("storage class", &row.storage_class)?,
            simulated: row.simulated != 0,
            expired_at: row.expired_at.map(|text| read("expiry of an object", &text)).transpose()?,
        })
    }
}

#[derive(FromRow)]
pub(crate) struct OriginalRow {
    id: String,
    table_name: String,
    table_id: Option<String>,
    state: String,
    raw_path: String,
    size_bytes: i64,
    landed_at: String,
    storage_class: Option<String>,
    simulated: Option<i64>,
}

impl TryFrom<OriginalRow> for Original {
    type Error = CatalogError;
    fn try_from(row: OriginalRow) -> Result<Self, CatalogError> {
        let class = row.storage_class.map(|class| read("storage class", &class)).transpose()?;
        let object = ObjectRecord {
            class: class.unwrap_or_default(),
            simulated: row.simulated.unwrap_or_default() != 0,
            expired_at: None,
        };
        Ok(Self {
            upload: UploadId(read("upload's id", &row.id)?),
            table: read("table's name", &row.table_name)?,
            table_id: row.table_id.map(|id| read("table's id", &id).map(TableId)).transpose()?,
            state: read("upload's state", &row.state)?,
            raw_path: row.raw_path,
            size_bytes: read_number("upload's size", row.size_bytes)?,
            landed_at: read("upload's landing time", &row.landed_at)?,
            object,
        })
    }
}
