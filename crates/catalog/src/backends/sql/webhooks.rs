//! Webhooks of the feed of changes.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{ChangeWebhook, Page, PageRequest, WebhookName, WebhookSecret, WebhookState};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, entries, fetch_size, page_of};
use crate::{
    CatalogError, ChangeWebhooks, DefinedWebhook, NewWebhook,
    columns::{instant, json, now},
    webhook_rows::WebhookRow,
};

#[async_trait]
impl ChangeWebhooks for SqlBackend {
    async fn define(&self, new: &NewWebhook, limit: u32) -> Result<DefinedWebhook, CatalogError> {
        let mut write = self.write().await?;
        let (all, same): (i64, i64) =
            sqlx::query_as("SELECT COUNT(*), COUNT(CASE WHEN name = $1 THEN 1 END) FROM change_webhooks")
                .bind(new.name.as_str())
                .fetch_one(&mut *write)
                .await?;
        if same == 0 && all >= i64::from(limit) {
            return Ok(DefinedWebhook::TooMany);
        }
        let (oldest, newest): (i64, i64) =
            sqlx::query_as("SELECT COALESCE(MIN(number), 1), COALESCE(MAX(number), 0) FROM changes")
                .fetch_one(&mut *write)
                .await?;
        // Who asks for everything asks for what is kept.
        let since = new.since.map(|since| since.max(oldest - 1));
        if same == 0 {
            insert(&mut write, &new.name, since.unwrap_or(newest)).await?;
        }
        let row = change(&mut write, new, since).await?;
        write.commit().await?;
        let webhook = row.try_into()?;
        Ok(if same == 0 { DefinedWebhook::Made(webhook) } else { DefinedWebhook::Changed(webhook) })
    }

    async fn find(&self, name: &WebhookName) -> Result<Option<ChangeWebhook>, CatalogError> {
        let row: Option<WebhookRow> = sqlx::query_as("SELECT * FROM change_webhooks WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(ChangeWebhook::try_from).transpose()
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<ChangeWebhook>, CatalogError> {
        let rows: Vec<WebhookRow> =
            sqlx::query_as("SELECT * FROM change_webhooks WHERE name > $1 ORDER BY name LIMIT $2")
                .bind(page.after())
                .bind(fetch_size(page))
                .fetch_all(&self.readers)
                .await?;
        page_of(rows, page, |webhook: &ChangeWebhook| webhook.name.to_string())
    }

    async fn forget(&self, name: &WebhookName) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done =
            sqlx::query("DELETE FROM change_webhooks WHERE name = $1").bind(name.as_str()).execute(&mut *write).await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<ChangeWebhook>, CatalogError> {
        let rows: Vec<WebhookRow> = sqlx::query_as(
            "SELECT * FROM change_webhooks WHERE disabled IS NULL AND next_at <= $1 \
             AND position <> (SELECT COALESCE(MAX(number), 0) FROM changes) ORDER BY next_at, name LIMIT $2",
        )
        .bind(instant(now))
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }

    async fn settle(&self, before: &ChangeWebhook, now: &WebhookState) -> Result<Option<ChangeWebhook>, CatalogError> {
        let mut write = self.write().await?;
        let row: Option<WebhookRow> = sqlx::query_as(
            "UPDATE change_webhooks SET position = $1, attempts = $2, next_at = $3, delivered_number = $4, \
             delivered_at = $5, failing_since = $6, failed_at = $7, last_error = $8, missed_from = $9, missed_to = $10, \
             missed_at = $11, disabled = $12 \
             WHERE id = $13 AND revision = $14 AND position = $15 AND attempts = $16 AND disabled IS NULL RETURNING *",
        )
        .bind(now.position)
        .bind(i64::from(now.attempts))
        .bind(instant(now.next_at))
        .bind(now.delivered.map(|(number, _)| number))
        .bind(now.delivered.map(|(_, at)| instant(at)))
        .bind(now.failing_since.map(instant))
        .bind(now.last_error.as_ref().map(|(at, _)| instant(*at)))
        .bind(now.last_error.as_ref().map(|(_, error)| error.clone()))
        .bind(now.missed.map(|missed| missed.from))
        .bind(now.missed.map(|missed| missed.to))
        .bind(now.missed.map(|missed| instant(missed.at)))
        .bind(&now.disabled)
        .bind(before.id.to_string())
        .bind(before.revision)
        .bind(before.state.position)
        .bind(i64::from(before.state.attempts))
        .fetch_optional(&mut *write)
        .await?;
        write.commit().await?;
        row.map(ChangeWebhook::try_from).transpose()
    }
}

/// A webhook of which nothing is said yet.
async fn insert(connection: &mut AnyConnection, name: &WebhookName, position: i64) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO change_webhooks (name, id, definition, principal, created_at, updated_at, revision, position, \
         attempts, next_at) VALUES ($1, $2, '', '', $3, $3, 0, $4, 0, $3)",
    )
    .bind(name.as_str())
    .bind(Uuid::now_v7().to_string())
    .bind(now())
    .bind(position)
    .execute(connection)
    .await?;
    Ok(())
}

/// What failed before is forgotten; what was missed too, where it begins elsewhere.
async fn change(
    connection: &mut AnyConnection,
    new: &NewWebhook,
    since: Option<i64>,
) -> Result<WebhookRow, CatalogError> {
    let secret = new.secret.clone().map(|secret| secret.map(|secret| WebhookSecret::reveal(&secret).to_owned()));
    Ok(sqlx::query_as(
        "UPDATE change_webhooks SET definition = $1, secret = CASE WHEN $2 = 1 THEN $3 ELSE secret END, \
         principal = $4, updated_at = $5, revision = revision + 1, position = COALESCE($6, position), attempts = 0, \
         next_at = $5, failing_since = NULL, failed_at = NULL, last_error = NULL, disabled = NULL, \
         missed_from = CASE WHEN $7 = 1 THEN NULL ELSE missed_from END, \
         missed_to = CASE WHEN $7 = 1 THEN NULL ELSE missed_to END, \
         missed_at = CASE WHEN $7 = 1 THEN NULL ELSE missed_at END WHERE name = $8 RETURNING *",
    )
    .bind(json("webhook", &new.definition)?)
    .bind(i64::from(secret.is_some()))
    .bind(secret.flatten())
    .bind(&new.principal)
    .bind(now())
    .bind(since)
    .bind(i64::from(since.is_some()))
    .bind(new.name.as_str())
    .fetch_one(connection)
    .await?)
}
