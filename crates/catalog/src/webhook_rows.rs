//! The rows of webhooks, as they are stored.

use sluice_domain::{ChangeWebhook, MissedChanges, WebhookSecret, WebhookState};
use sqlx::FromRow;

use crate::{
    CatalogError,
    columns::{read, read_json},
};

#[derive(FromRow)]
pub(crate) struct WebhookRow {
    name: String,
    id: String,
    definition: String,
    secret: Option<String>,
    principal: String,
    created_at: String,
    updated_at: String,
    revision: i64,
    position: i64,
    attempts: i64,
    next_at: String,
    delivered_number: Option<i64>,
    delivered_at: Option<String>,
    failing_since: Option<String>,
    failed_at: Option<String>,
    last_error: Option<String>,
    missed_from: Option<i64>,
    missed_to: Option<i64>,
    missed_at: Option<String>,
    disabled: Option<String>,
}

const TIME: &str = "webhook's time";

impl TryFrom<WebhookRow> for ChangeWebhook {
    type Error = CatalogError;
    fn try_from(row: WebhookRow) -> Result<Self, CatalogError> {
        let attempts = u32::try_from(row.attempts).map_err(|error| CatalogError::corrupt("webhook's tries", error))?;
        let delivered_at = row.delivered_at.map(|at| read(TIME, &at)).transpose()?;
        let failed_at = row.failed_at.map(|at| read(TIME, &at)).transpose()?;
        let missed_at = row.missed_at.map(|at| read(TIME, &at)).transpose()?;
        let missed = match (row.missed_from, row.missed_to, missed_at) {
            (Some(from), Some(to), Some(at)) => Some(MissedChanges { from, to, at }),
            _ => None,
        };
        let state = WebhookState {
            position: row.position,
            attempts,
            next_at: read(TIME, &row.next_at)?,
            delivered: row.delivered_number.zip(delivered_at),
            failing_since: row.failing_since.map(|at| read(TIME, &at)).transpose()?,
            last_error: failed_at.zip(row.last_error),
            missed,
            disabled: row.disabled,
        };
        Ok(Self {
            id: read("webhook's id", &row.id)?,
            name: read("webhook's name", &row.name)?,
            definition: read_json("webhook", &row.definition)?,
            secret: row.secret.map(WebhookSecret::new),
            principal: row.principal,
            created_at: read(TIME, &row.created_at)?,
            updated_at: read(TIME, &row.updated_at)?,
            revision: row.revision,
            state,
        })
    }
}
