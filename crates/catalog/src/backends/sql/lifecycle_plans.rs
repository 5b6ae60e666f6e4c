//! Lifecycle plans in the database.

use async_trait::async_trait;
use sluice_domain::{
    ItemResult, ItemState, Page, PageRequest, PlanCounts, PlanEntry, PlanId, PlanItem, PlanState, PlannedItem,
};
use sqlx::AnyConnection;

use super::{SqlBackend, assembled::Assembled, entries, fetch_size, page_of};
use crate::{
    CatalogError, LifecyclePlans, NewPlan,
    columns::{instant, json, now, number},
    lifecycle_rows::{CountRow, ItemRow, PlanRow},
};

/// Sorts after every id.
const AFTER_EVERY_ID: &str = "~";
/// How many items go into one statement: the database counts its parameters.
const ITEMS_PER_STATEMENT: usize = 1000;

#[async_trait]
impl LifecyclePlans for SqlBackend {
    async fn store(&self, plan: &NewPlan, keep: u32) -> Result<PlanEntry, CatalogError> {
        let mut write = self.write().await?;
        let row: PlanRow = sqlx::query_as(
            "INSERT INTO lifecycle_plans (id, cause, principal, as_of, created_at, expires_at, state, summary) \
             VALUES ($1, $2, $3, $4, $5, $6, 'ready', $7) RETURNING *",
        )
        .bind(plan.id.to_string())
        .bind(plan.cause.as_str())
        .bind(&plan.principal)
        .bind(instant(plan.as_of))
        .bind(now())
        .bind(instant(plan.expires_at))
        .bind(json("plan's summary", &plan.summary)?)
        .fetch_one(&mut *write)
        .await?;
        for (page, items) in plan.items.chunks(ITEMS_PER_STATEMENT).enumerate() {
            insert_items(&mut write, plan.id, page * ITEMS_PER_STATEMENT, items).await?;
        }
        forget(&mut write, PlanState::Ready, keep).await?;
        write.commit().await?;
        row.try_into()
    }

    async fn find(&self, id: PlanId) -> Result<Option<PlanEntry>, CatalogError> {
        let row: Option<PlanRow> = sqlx::query_as("SELECT * FROM lifecycle_plans WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await?;
        match row {
            Some(row) => Ok(Some(self.counted(row.try_into()?).await?)),
            None => Ok(None),
        }
    }

    async fn items(&self, id: PlanId, page: &PageRequest) -> Result<Page<PlannedItem>, CatalogError> {
        // A token that is none of a number begins behind every item.
        let after = page.token.as_ref().map_or(-1, |token| token.key().parse().unwrap_or(i64::MAX));
        let rows: Vec<ItemRow> = sqlx::query_as(
            "SELECT number, item, state, detail, freed_bytes FROM lifecycle_items \
             WHERE plan_id = $1 AND number > $2 ORDER BY number LIMIT $3",
        )
        .bind(id.to_string())
        .bind(after)
        .bind(fetch_size(page))
        .fetch_all(&self.readers)
        .await?;
        page_of(rows, page, |item: &PlannedItem| item.number.to_string())
    }

    async fn begin(&self, id: PlanId) -> Result<Option<PlanEntry>, CatalogError> {
        let mut write = self.write().await?;
        let moment = now();
        let row: Option<PlanRow> = sqlx::query_as(
            "UPDATE lifecycle_plans SET state = 'applying', started_at = $1 \
             WHERE id = $2 AND state = 'ready' AND expires_at > $3 RETURNING *",
        )
        .bind(&moment)
        .bind(id.to_string())
        .bind(&moment)
        .fetch_optional(&mut *write)
        .await?;
        write.commit().await?;
        match row {
            Some(row) => Ok(Some(self.counted(row.try_into()?).await?)),
            None => Ok(None),
        }
    }

    async fn unfinished(&self, limit: u32) -> Result<Vec<PlanEntry>, CatalogError> {
        let rows: Vec<PlanRow> =
            sqlx::query_as("SELECT * FROM lifecycle_plans WHERE state = 'applying' ORDER BY id LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.readers)
                .await?;
        entries(rows)
    }

    async fn record(&self, id: PlanId, at: u32, result: &ItemResult) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE lifecycle_items SET state = $1, detail = $2, freed_bytes = $3 \
             WHERE plan_id = $4 AND number = $5 AND state = 'pending'",
        )
        .bind(result.state.as_str())
        .bind(&result.detail)
        .bind(number("bytes freed", result.freed_bytes)?)
        .bind(id.to_string())
        .bind(i64::from(at))
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    async fn finish(&self, id: PlanId, keep: u32) -> Result<(), CatalogError> {
        let counts = self.counts(id).await?;
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE lifecycle_plans SET state = 'applied', finished_at = $1, counts = $2 \
             WHERE id = $3 AND state = 'applying'",
        )
        .bind(now())
        .bind(json("plan's counts", &(counts.done, counts.skipped, counts.failed, counts.freed_bytes))?)
        .bind(id.to_string())
        .execute(&mut *write)
        .await?;
        forget(&mut write, PlanState::Applied, keep).await?;
        Ok(write.commit().await?)
    }

    async fn runs(&self, page: &PageRequest) -> Result<Page<PlanEntry>, CatalogError> {
        let before = page.token.as_ref().map_or(AFTER_EVERY_ID, |token| token.key());
        let rows: Vec<PlanRow> = sqlx::query_as(
            "SELECT * FROM lifecycle_plans WHERE state <> 'ready' AND id < $1 ORDER BY id DESC LIMIT $2",
        )
        .bind(before)
        .bind(fetch_size(page))
        .fetch_all(&self.readers)
        .await?;
        let mut page = page_of(rows, page, |plan: &PlanEntry| plan.id.to_string())?;
        for plan in &mut page.items {
            *plan = self.counted(plan.clone()).await?;
        }
        Ok(page)
    }
}

impl SqlBackend {
    /// The plan with the counts of its items, which change as long as it is applied.
    async fn counted(&self, plan: PlanEntry) -> Result<PlanEntry, CatalogError> {
        if plan.state != PlanState::Applying {
            return Ok(plan);
        }
        Ok(PlanEntry { counts: self.counts(plan.id).await?, ..plan })
    }

    async fn counts(&self, id: PlanId) -> Result<PlanCounts, CatalogError> {
        let rows: Vec<CountRow> = sqlx::query_as(
            "SELECT state, COUNT(*) AS items, CAST(SUM(freed_bytes) AS BIGINT) AS freed_bytes FROM lifecycle_items \
             WHERE plan_id = $1 GROUP BY state",
        )
        .bind(id.to_string())
        .fetch_all(&self.readers)
        .await?;
        CountRow::sum(&rows)
    }
}

async fn insert_items(
    connection: &mut AnyConnection,
    plan: PlanId,
    first: usize,
    items: &[PlanItem],
) -> Result<(), CatalogError> {
    let mut rows = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let state = if item.refusal.is_some() { ItemState::Refused } else { ItemState::Pending };
        let number = number("item's number", (first + at) as u64)?;
        rows.push([
            plan.to_string().into(),
            number.into(),
            json("item of a plan", item)?.into(),
            state.as_str().into(),
        ]);
    }
    let mut insert = Assembled::new("INSERT INTO lifecycle_items (plan_id, number, item, state) ");
    insert.push_rows(rows);
    insert.build().execute(connection).await?;
    Ok(())
}

/// Forget the plans of a state but the newest.
async fn forget(connection: &mut AnyConnection, state: PlanState, keep: u32) -> Result<(), CatalogError> {
    let oldest: Option<String> =
        sqlx::query_scalar("SELECT id FROM lifecycle_plans WHERE state = $1 ORDER BY id DESC LIMIT 1 OFFSET $2")
            .bind(state.as_str())
            .bind(i64::from(keep))
            .fetch_optional(&mut *connection)
            .await?;
    let Some(oldest) = oldest else { return Ok(()) };
    for statement in [
        "DELETE FROM lifecycle_items WHERE plan_id IN \
         (SELECT id FROM lifecycle_plans WHERE state = $1 AND id <= $2)",
        "DELETE FROM lifecycle_plans WHERE state = $1 AND id <= $2",
    ] {
        sqlx::query(statement).bind(state.as_str()).bind(&oldest).execute(&mut *connection).await?;
    }
    Ok(())
}
