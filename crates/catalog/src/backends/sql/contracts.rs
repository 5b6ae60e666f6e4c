//! Contracts.

use async_trait::async_trait;
use sluice_domain::{Contract, TableId, Terms};

use super::{SqlBackend, tables::not_found};
use crate::{
    CatalogError, Contracts,
    columns::{json, now},
    rows::ContractRow,
};

#[async_trait]
impl Contracts for SqlBackend {
    async fn terms(&self, table: TableId) -> Result<Terms, CatalogError> {
        let row: Option<ContractRow> = sqlx::query_as(
            "SELECT c.contract, c.coerces, s.suite FROM tables t LEFT JOIN contracts c ON c.table_id = t.id \
             LEFT JOIN quality_suites s ON s.table_id = t.id WHERE t.id = $1",
        )
        .bind(table.to_string())
        .fetch_optional(&self.readers)
        .await?;
        row.map_or_else(|| Ok(Terms::default()), Terms::try_from)
    }

    async fn set_contract(&self, table: TableId, contract: &Contract, principal: &str) -> Result<(), CatalogError> {
        self.change(table, principal, (Some(json("contract", contract)?), None)).await
    }

    async fn set_coerce(&self, table: TableId, coerce: bool, principal: &str) -> Result<(), CatalogError> {
        self.change(table, principal, (None, Some(i64::from(coerce)))).await
    }
}

impl SqlBackend {
    /// Change what is given of the terms, and leave the rest.
    async fn change(
        &self,
        table: TableId,
        principal: &str,
        (contract, coerces): (Option<String>, Option<i64>),
    ) -> Result<(), CatalogError> {
        let nothing = json("contract", &Contract::default())?;
        let mut write = self.write().await?;
        let changed = sqlx::query(
            "INSERT INTO contracts (table_id, contract, coerces, principal, updated_at) \
             VALUES ($1, COALESCE($2, $3), COALESCE($4, 0), $5, $6) ON CONFLICT (table_id) DO UPDATE SET \
             contract = COALESCE($2, contracts.contract), coerces = COALESCE($4, contracts.coerces), \
             principal = $5, updated_at = $6",
        )
        .bind(table.to_string())
        .bind(contract)
        .bind(nothing)
        .bind(coerces)
        .bind(principal)
        .bind(now())
        .execute(&mut *write)
        .await;
        match changed {
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => return Err(not_found(table)),
            changed => changed?,
        };
        Ok(write.commit().await?)
    }
}
