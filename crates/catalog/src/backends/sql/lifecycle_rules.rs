//! Lifecycle rules in the database.

use async_trait::async_trait;
use sluice_domain::{LifecycleName, LifecycleRule, Page, PageRequest, StoredLifecycleRule};

use super::{SqlBackend, fetch_size, page_of};
use crate::{
    CatalogError, DefinedRule, LifecycleRules,
    columns::{json, now},
    lifecycle_rows::LifecycleRuleRow,
};

#[async_trait]
impl LifecycleRules for SqlBackend {
    async fn define(
        &self,
        name: &LifecycleName,
        rule: &LifecycleRule,
        principal: &str,
        limit: u32,
    ) -> Result<DefinedRule, CatalogError> {
        let mut write = self.write().await?;
        let (others, own): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(CASE WHEN name <> $1 THEN 1 END), COUNT(CASE WHEN name = $2 THEN 1 END) FROM lifecycle_rules",
        )
        .bind(name.as_str())
        .bind(name.as_str())
        .fetch_one(&mut *write)
        .await?;
        if own == 0 && others >= i64::from(limit) {
            return Ok(DefinedRule::TooMany);
        }
        let moment = now();
        let row: LifecycleRuleRow = sqlx::query_as(
            "INSERT INTO lifecycle_rules (name, definition, principal, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, \
             principal = excluded.principal, updated_at = excluded.updated_at RETURNING *",
        )
        .bind(name.as_str())
        .bind(json("rule", rule)?)
        .bind(principal)
        .bind(&moment)
        .bind(&moment)
        .fetch_one(&mut *write)
        .await?;
        write.commit().await?;
        let stored = StoredLifecycleRule::try_from(row)?;
        Ok(if own == 0 { DefinedRule::Made(stored) } else { DefinedRule::Changed(stored) })
    }

    async fn find(&self, name: &LifecycleName) -> Result<Option<StoredLifecycleRule>, CatalogError> {
        let row: Option<LifecycleRuleRow> = sqlx::query_as("SELECT * FROM lifecycle_rules WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(&self.readers)
            .await?;
        row.map(StoredLifecycleRule::try_from).transpose()
    }

    async fn list(&self, page: &PageRequest) -> Result<Page<StoredLifecycleRule>, CatalogError> {
        let rows: Vec<LifecycleRuleRow> =
            sqlx::query_as("SELECT * FROM lifecycle_rules WHERE name > $1 ORDER BY name LIMIT $2")
                .bind(page.after())
                .bind(fetch_size(page))
                .fetch_all(&self.readers)
                .await?;
        page_of(rows, page, |rule: &StoredLifecycleRule| rule.name.to_string())
    }

    async fn delete(&self, name: &LifecycleName) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM lifecycle_rules WHERE name = $1").bind(name.as_str());
        let deleted = done.execute(&mut *write).await?.rows_affected();
        write.commit().await?;
        Ok(deleted > 0)
    }
}
