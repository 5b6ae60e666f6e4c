//! Alerts, and those on their way to people.

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound as _, Utc};
use sluice_domain::{
    Alert, AlertDelivery, DeliveryId, DeliveryState, Finding, NamespaceName, Page, PageRequest, PageToken, RuleName,
};
use sqlx::AnyConnection;
use uuid::Uuid;

use super::{SqlBackend, conditions::Conditions, entries, fetch_size, page_of};
use crate::{
    AlertLimits, Alerts, CatalogError, NewDelivery, SentAlert, Settlement,
    columns::{instant, now},
    monitoring_rows::{AlertRow, DeliveryRow},
};

/// What is told of a delivery for which there was no place.
const QUEUE_FULL: &str = "as many deliveries wait as there can be";
/// What is told of a delivery to nowhere.
const UNKNOWN_CHANNEL: &str = "there is no such channel in the server's settings";

#[async_trait]
impl Alerts for SqlBackend {
    async fn raise(
        &self,
        finding: &Finding,
        deliveries: &[NewDelivery],
        limits: AlertLimits,
    ) -> Result<Option<SentAlert>, CatalogError> {
        let mut write = self.write().await?;
        let (repeated,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM alerts WHERE subject = $1 AND rule = $2 \
             AND (created_at > $3 AND resolved_at IS NULL OR occurrence = $4 OR resolved_by > $4)",
        )
        .bind(&finding.subject)
        .bind(finding.rule.as_str())
        .bind(instant(limits.repeats_after))
        .bind(&finding.occurrence)
        .fetch_one(&mut *write)
        .await?;
        if repeated > 0 {
            return Ok(None);
        }
        let (id, created_at) = (Uuid::now_v7(), Utc::now().trunc_subsecs(6));
        let alert = Alert { id, finding: finding.clone(), created_at, resolved_at: None };
        insert(&mut write, &alert).await?;
        let (waiting,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM alert_deliveries WHERE state = 'waiting'")
            .fetch_one(&mut *write)
            .await?;
        let mut room = i64::from(limits.waiting) - waiting;
        let mut entered = Vec::with_capacity(deliveries.len());
        for new in deliveries {
            let full = (room <= 0).then(|| QUEUE_FULL.to_owned());
            let refusal = new.refusal.clone().or(full);
            room -= i64::from(refusal.is_none());
            entered.push(insert_delivery(&mut write, &alert, &new.channel, refusal).await?);
        }
        forget_old(&mut write, limits.kept).await?;
        write.commit().await?;
        Ok(Some(SentAlert { alert, deliveries: entered }))
    }

    async fn resolve(&self, rule: &RuleName, subject: &str, before: &str) -> Result<u64, CatalogError> {
        const OPEN: &str = "rule = $1 AND subject = $2 AND occurrence < $3 AND resolved_at IS NULL";
        let (open,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM alerts WHERE {OPEN}")))
            .bind(rule.as_str())
            .bind(subject)
            .bind(before)
            .fetch_one(&self.readers)
            .await?;
        if open == 0 {
            return Ok(0);
        }
        let mut write = self.write().await?;
        let done = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE alerts SET resolved_at = $4, resolved_by = $3 WHERE {OPEN}"
        )))
        .bind(rule.as_str())
        .bind(subject)
        .bind(before)
        .bind(now())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    async fn list(
        &self,
        visible: Option<&[NamespaceName]>,
        subject: Option<&str>,
        page: &PageRequest,
    ) -> Result<Page<SentAlert>, CatalogError> {
        let mut conditions = Conditions::default();
        if let Some(before) = page.token.as_ref().map(PageToken::key) {
            conditions.and("id < {}", [before.to_owned()]);
        }
        if let Some(subject) = subject {
            conditions.and("subject = {}", [subject.to_owned()]);
        }
        conditions.namespace_in("namespace", visible);
        let text =
            format!("SELECT * FROM alerts WHERE {} ORDER BY id DESC LIMIT ${}", conditions.text(), conditions.next());
        let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text));
        for value in conditions.values() {
            query = query.bind(value);
        }
        let rows: Vec<AlertRow> = query.bind(fetch_size(page)).fetch_all(&self.readers).await?;
        let alerts: Page<Alert> = page_of(rows, page, |alert: &Alert| alert.id.to_string())?;
        let mut deliveries = self.deliveries(&alerts.items).await?;
        Ok(alerts.map(|alert| {
            let own = deliveries.extract_if(.., |delivery| delivery.alert == alert.id).collect();
            SentAlert { alert, deliveries: own }
        }))
    }

    async fn claim(
        &self,
        channel: &str,
        until: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<(AlertDelivery, Alert)>, CatalogError> {
        let now = now();
        let due: Option<(String,)> = sqlx::query_as(
            "SELECT id FROM alert_deliveries WHERE channel = $1 AND state = 'waiting' AND next_at <= $2 LIMIT 1",
        )
        .bind(channel)
        .bind(&now)
        .fetch_optional(&self.readers)
        .await?;
        if due.is_none() {
            return Ok(Vec::new());
        }
        let mut write = self.write().await?;
        let claimed: Vec<DeliveryRow> = sqlx::query_as(
            "UPDATE alert_deliveries SET attempts = attempts + 1, next_at = $1 \
             WHERE state = 'waiting' AND next_at <= $2 AND id IN (SELECT id FROM alert_deliveries \
             WHERE channel = $3 AND state = 'waiting' AND next_at <= $4 ORDER BY next_at, id LIMIT $5) RETURNING *",
        )
        .bind(instant(until))
        .bind(&now)
        .bind(channel)
        .bind(&now)
        .bind(i64::from(limit))
        .fetch_all(&mut *write)
        .await?;
        let mut due = Vec::with_capacity(claimed.len());
        for row in claimed {
            let delivery: AlertDelivery = row.try_into()?;
            let alert: AlertRow = sqlx::query_as("SELECT * FROM alerts WHERE id = $1")
                .bind(delivery.alert.to_string())
                .fetch_one(&mut *write)
                .await?;
            due.push((delivery, alert.try_into()?));
        }
        write.commit().await?;
        Ok(due)
    }

    async fn settle(&self, id: DeliveryId, attempt: u32, settlement: &Settlement) -> Result<(), CatalogError> {
        let (state, next_at, detail) = match settlement {
            Settlement::Delivered => (DeliveryState::Delivered, None, None),
            Settlement::Again(at, detail) => (DeliveryState::Waiting, Some(*at), Some(detail)),
            Settlement::GivenUp(detail) => (DeliveryState::Failed, None, Some(detail)),
        };
        let now = now();
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE alert_deliveries SET state = $1, next_at = $2, detail = $3, settled_at = $4 \
             WHERE id = $5 AND attempts = $6 AND state = 'waiting'",
        )
        .bind(state.as_str())
        .bind(next_at.map_or_else(|| now.clone(), instant))
        .bind(detail)
        .bind((state != DeliveryState::Waiting).then_some(&now))
        .bind(id.0.to_string())
        .bind(i64::from(attempt))
        .execute(&mut *write)
        .await?;
        Ok(write.commit().await?)
    }

    async fn give_up_unknown(&self, known: &[String]) -> Result<u64, CatalogError> {
        let mut conditions = Conditions::default();
        conditions.and("state = 'waiting'", []);
        for channel in known {
            conditions.and("channel <> {}", [channel.clone()]);
        }
        let next = conditions.next();
        let text = format!(
            "UPDATE alert_deliveries SET state = 'failed', settled_at = ${next}, detail = ${} WHERE {}",
            next + 1,
            conditions.text()
        );
        let mut write = self.write().await?;
        let mut query = sqlx::query(sqlx::AssertSqlSafe(text));
        for value in conditions.values() {
            query = query.bind(value);
        }
        let done = query.bind(now()).bind(UNKNOWN_CHANNEL).execute(&mut *write).await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}

impl SqlBackend {
    /// The deliveries of these alerts, which are the newest first, and perhaps of others between them.
    async fn deliveries(&self, alerts: &[Alert]) -> Result<Vec<AlertDelivery>, CatalogError> {
        let (Some(newest), Some(oldest)) = (alerts.first(), alerts.last()) else { return Ok(Vec::new()) };
        let rows: Vec<DeliveryRow> = sqlx::query_as(
            "SELECT * FROM alert_deliveries WHERE alert_id >= $1 AND alert_id <= $2 ORDER BY alert_id, channel",
        )
        .bind(oldest.id.to_string())
        .bind(newest.id.to_string())
        .fetch_all(&self.readers)
        .await?;
        entries(rows)
    }
}

async fn insert(connection: &mut AnyConnection, alert: &Alert) -> Result<(), CatalogError> {
    let finding = &alert.finding;
    sqlx::query(
        "INSERT INTO alerts (id, rule, subject, namespace, occurrence, alert_type, severity, message, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(alert.id.to_string())
    .bind(finding.rule.as_str())
    .bind(&finding.subject)
    .bind(finding.namespace.as_ref().map(NamespaceName::as_str))
    .bind(&finding.occurrence)
    .bind(&finding.alert_type)
    .bind(finding.severity.as_str())
    .bind(&finding.message)
    .bind(instant(alert.created_at))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_delivery(
    connection: &mut AnyConnection,
    alert: &Alert,
    channel: &str,
    refusal: Option<String>,
) -> Result<AlertDelivery, CatalogError> {
    let state = if refusal.is_some() { DeliveryState::Failed } else { DeliveryState::Waiting };
    let created = instant(alert.created_at);
    let row: DeliveryRow = sqlx::query_as(
        "INSERT INTO alert_deliveries (id, alert_id, channel, state, attempts, next_at, detail, settled_at) \
         VALUES ($1, $2, $3, $4, 0, $5, $6, $7) RETURNING *",
    )
    .bind(Uuid::now_v7().to_string())
    .bind(alert.id.to_string())
    .bind(channel)
    .bind(state.as_str())
    .bind(&created)
    .bind(&refusal)
    .bind(refusal.is_some().then_some(&created))
    .fetch_one(connection)
    .await?;
    row.try_into()
}

/// Forget the oldest beyond this many, but for those that wait to be delivered.
async fn forget_old(connection: &mut AnyConnection, kept: u32) -> Result<(), CatalogError> {
    let oldest: Option<(String,)> = sqlx::query_as("SELECT id FROM alerts ORDER BY id DESC LIMIT 1 OFFSET $1")
        .bind(i64::from(kept))
        .fetch_optional(&mut *connection)
        .await?;
    let Some((oldest,)) = oldest else { return Ok(()) };
    sqlx::query(
        "DELETE FROM alert_deliveries WHERE alert_id <= $1 AND alert_id NOT IN \
         (SELECT w.alert_id FROM alert_deliveries w WHERE w.state = 'waiting')",
    )
    .bind(&oldest)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM alerts WHERE id <= $1 AND id NOT IN (SELECT alert_id FROM alert_deliveries)")
        .bind(&oldest)
        .execute(connection)
        .await?;
    Ok(())
}
