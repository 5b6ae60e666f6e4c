//! Alert rules, and whose turn it is to watch.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{AlertRule, RuleName};

use super::SqlBackend;
use crate::{
    AlertRules, CatalogError, Entry, Watches,
    columns::{instant, json, now, read, read_json},
};

#[async_trait]
impl AlertRules for SqlBackend {
    async fn define(&self, rule: &AlertRule, principal: &str, limit: u32) -> Result<Entry, CatalogError> {
        let mut write = self.write().await?;
        let (all, same): (i64, i64) =
            sqlx::query_as("SELECT COUNT(*), COUNT(CASE WHEN name = $1 THEN 1 END) FROM alert_rules")
                .bind(rule.name.as_str())
                .fetch_one(&mut *write)
                .await?;
        if same == 0 && all >= i64::from(limit) {
            return Ok(Entry::TooMany);
        }
        sqlx::query(
            "INSERT INTO alert_rules (name, rule, principal, updated_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (name) DO UPDATE SET rule = excluded.rule, principal = excluded.principal, \
             updated_at = excluded.updated_at",
        )
        .bind(rule.name.as_str())
        .bind(json("alert rule", rule)?)
        .bind(principal)
        .bind(now())
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(if same == 0 { Entry::Made } else { Entry::Changed })
    }

    async fn forget(&self, name: &RuleName) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done =
            sqlx::query("DELETE FROM alert_rules WHERE name = $1").bind(name.as_str()).execute(&mut *write).await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    async fn list(&self) -> Result<Vec<AlertRule>, CatalogError> {
        let rows: Vec<(String,)> =
            sqlx::query_as("SELECT rule FROM alert_rules ORDER BY name").fetch_all(&self.readers).await?;
        rows.iter().map(|(rule,)| read_json("alert rule", rule)).collect()
    }
}

#[async_trait]
impl Watches for SqlBackend {
    async fn take_turn(&self, name: &str, until: DateTime<Utc>) -> Result<Option<Option<DateTime<Utc>>>, CatalogError> {
        let mut write = self.write().await?;
        let taken: Option<(Option<String>,)> = sqlx::query_as(
            "INSERT INTO watches (name, holder, held_until) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET \
             holder = excluded.holder, held_until = excluded.held_until \
             WHERE watches.holder = excluded.holder OR watches.held_until <= $4 RETURNING watermark",
        )
        .bind(name)
        .bind(&self.writer_name)
        .bind(instant(until))
        .bind(now())
        .fetch_optional(&mut *write)
        .await?;
        write.commit().await?;
        let watermark = |text: Option<String>| text.map(|text| read("watermark", &text)).transpose();
        taken.map(|(text,)| watermark(text)).transpose()
    }

    async fn advance(&self, name: &str, watermark: DateTime<Utc>) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE watches SET watermark = $1 WHERE name = $2 AND holder = $3")
            .bind(instant(watermark))
            .bind(name)
            .bind(&self.writer_name)
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }
}
