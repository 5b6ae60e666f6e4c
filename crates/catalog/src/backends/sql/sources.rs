//! Sources.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{NamespaceName, Page, PageRequest, Source, SourceDefinition, SourceId, SourceName};
use uuid::Uuid;

use super::{SqlBackend, assembled::Assembled, entries, fetch_size, page_of, push_visible};
use crate::{
    CatalogError, Defined, NewSource, Sources,
    columns::{instant, json, now, read},
    source_rows::SourceRow,
};

/// A source with the watermark of the newest pull whose rows are in the table.
const SELECT: &str = "SELECT s.*, (SELECT p.watermark FROM source_pulls p JOIN uploads u ON u.id = p.upload_id \
     WHERE p.source_id = s.id AND p.watermark IS NOT NULL AND u.state = 'committed' ORDER BY p.run_id DESC LIMIT 1) \
     AS watermark FROM sources s";

#[async_trait]
impl Sources for SqlBackend {
    async fn define(&self, new: &NewSource, limit: u32) -> Result<Defined, CatalogError> {
        let mut write = self.write().await?;
        let (present, id, began): (i64, Option<String>, Option<String>) = sqlx::query_as(
            "SELECT COUNT(*), MAX(CASE WHEN name = $1 THEN id END), (SELECT MAX(r.started_at) FROM source_runs r \
             JOIN sources o ON o.id = r.source_id WHERE o.name = $1) FROM sources",
        )
        .bind(new.name.as_str())
        .fetch_one(&mut *write)
        .await?;
        if id.is_none() && present >= i64::from(limit) {
            return Ok(Defined::TooMany);
        }
        sqlx::query(
            "INSERT INTO sources (id, name, namespace, definition, principal, created_at, updated_at, next_run_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6, $7) ON CONFLICT (name) DO UPDATE SET namespace = $3, definition = $4, \
             principal = $5, updated_at = $6, next_run_at = $7",
        )
        .bind(Uuid::now_v7().to_string())
        .bind(new.name.as_str())
        .bind(new.definition.table.namespace.as_str())
        .bind(json("source", &new.definition)?)
        .bind(&new.principal)
        .bind(now())
        .bind(match began {
            Some(began) => next_after(&new.definition, read("run's start time", &began)?),
            None => new.definition.every_seconds.map(|_| now()),
        })
        .execute(&mut *write)
        .await?;
        let row: SourceRow = sqlx::query_as(sqlx::AssertSqlSafe(format!("{SELECT} WHERE s.name = $1")))
            .bind(new.name.as_str())
            .fetch_one(&mut *write)
            .await?;
        write.commit().await?;
        let source = Source::try_from(row)?;
        Ok(if id.is_none() { Defined::Made(source) } else { Defined::Changed(source) })
    }

    async fn find(&self, name: &SourceName) -> Result<Option<Source>, CatalogError> {
        self.find_where("s.name", name.as_str()).await
    }

    async fn find_by_id(&self, id: SourceId) -> Result<Option<Source>, CatalogError> {
        self.find_where("s.id", &id.to_string()).await
    }

    async fn list(&self, visible: Option<&[NamespaceName]>, page: &PageRequest) -> Result<Page<Source>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE s.name > ").push_bind(page.after());
        push_visible(&mut query, "s.namespace", visible);
        query.push(" ORDER BY s.name LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<SourceRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |source: &Source| source.name.to_string())
    }

    async fn due(&self, now: DateTime<Utc>, limit: u32) -> Result<Vec<Source>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE s.next_run_at <= ").push_bind(instant(now));
        query.push(" AND NOT EXISTS (SELECT 1 FROM source_runs r WHERE r.source_id = s.id AND r.state = 'running')");
        query.push(" ORDER BY s.next_run_at LIMIT ").push_bind(i64::from(limit));
        entries(query.build_query_as::<SourceRow>().fetch_all(&self.readers).await?)
    }

    async fn forget(&self, id: SourceId) -> Result<bool, CatalogError> {
        let mut write = self.write().await?;
        let running: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM source_runs WHERE source_id = $1 AND state = 'running'")
                .bind(id.to_string())
                .fetch_one(&mut *write)
                .await?;
        if running > 0 {
            return Ok(false);
        }
        for statement in [
            "DELETE FROM source_pulls WHERE source_id = $1",
            "DELETE FROM source_runs WHERE source_id = $1",
            "DELETE FROM sources WHERE id = $1",
        ] {
            sqlx::query(statement).bind(id.to_string()).execute(&mut *write).await?;
        }
        write.commit().await?;
        Ok(true)
    }
}

impl SqlBackend {
    async fn find_where(&self, column: &'static str, value: &str) -> Result<Option<Source>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push(" WHERE ").push(column).push(" = ").push_bind(value);
        let row: Option<SourceRow> = query.build_query_as().fetch_optional(&self.readers).await?;
        row.map(Source::try_from).transpose()
    }
}

/// When a source of this definition runs by itself after a run that begins now.
pub(super) fn next_after(definition: &SourceDefinition, began: DateTime<Utc>) -> Option<String> {
    let every = definition.every_seconds?;
    Some(instant(began + chrono::TimeDelta::seconds(every.into())))
}
