//! One set of statements for SQLite and PostgreSQL; what differs between the two is in a file for each.
//!
//! Invariant: a transaction that writes is the only one at its time, in all servers, and is durable when it has committed.

mod assembled;
mod postgres;
mod sqlite;

mod alert_rules;
mod alerts;
mod annotations;
mod backfills;
mod changes;
mod channels;
mod conditions;
mod contracts;
mod curated_runs;
mod descriptions;
mod expectations;
mod find_hits;
mod inheritance;
mod inventory;
mod lifecycle_plans;
mod lifecycle_rules;
mod lineage;
mod lineage_events;
mod namespaces;
mod partials;
mod pipeline_runs;
mod pipelines;
mod plain_commits;
mod quality;
mod rebuilding;
mod replays;
mod row_groups;
mod run_totals;
mod schemas;
mod search;
mod sequences;
mod source_pulls;
mod source_runs;
mod sources;
mod stored_objects;
mod tables;
mod transfer;
mod uploads;
mod views;
mod webhooks;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor as _, Transaction, any::AnyPoolOptions};
use uuid::Uuid;

pub(crate) use postgres::{Lease, Leased};

use self::assembled::Assembled;
use crate::{
    AlertRules, Alerts, Annotations, CatalogError, ChangeWebhooks, Changes, Channels, Contracts, Descriptions,
    Discovery, FreshnessExpectations, Inventory, LifecyclePlans, LifecycleRules, Lineage, Partials, PipelineRuns,
    Pipelines, Pulls, Quality, Rebuilding, Replays, RowGroups, Schemas, ServiceLevels, SourceRuns, Sources,
    StoredObjects, Tables, Uploads, Views, Watches,
    backends::{Backend, Transfer},
};

/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A catalog in a database.
#[derive(Debug)]
pub(crate) struct SqlBackend {
    writer: AnyPool,
    readers: AnyPool,
    turn: Turn,
    /// The place of this server.
    node: u32,
    /// The name under which it commits.
    writer_name: String,
}

/// How a transaction comes to be the only one that writes.
#[derive(Debug)]
enum Turn {
    /// SQLite has one lock for the file.
    File,
    /// PostgreSQL is asked for a lock of our own, and whether this server still has its place.
    Lease(Arc<Lease>),
}

impl SqlBackend {
    /// Begin a transaction that may write: the lock is taken now, so that what is read in it stays true.
    async fn write(&self) -> Result<Transaction<'static, Any>, CatalogError> {
        match &self.turn {
            Turn::File => Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?),
            Turn::Lease(lease) => lease.begin(&self.writer).await,
        }
    }
}

/// The lake's name for itself, made when its first server opens the catalog.
async fn lake_id(write: &mut Transaction<'static, Any>) -> Result<String, CatalogError> {
    let found: Option<String> = sqlx::query_scalar("SELECT id FROM lakes").fetch_optional(&mut **write).await?;
    if let Some(id) = found {
        return Ok(id);
    }
    let id = Uuid::new_v4().to_string();
    sqlx::query("INSERT INTO lakes (id) VALUES ($1)").bind(&id).execute(&mut **write).await?;
    Ok(id)
}

/// The name under which the server with this place commits to the tables of this lake.
fn writer_name(lake: &str, node: u32) -> String {
    format!("sluice:{lake}:{node}")
}

/// See whether the database can be opened: what is wrong with it is told at once, which a pool would hide behind its
/// patience.
async fn try_open(url: &str, opening: &'static str) -> Result<(), CatalogError> {
    sqlx::any::install_default_drivers();
    let mut connection = AnyConnection::connect(url).await?;
    connection.execute(sqlx::raw_sql(opening)).await?;
    Ok(connection.close().await?)
}

/// A pool whose connections begin with these statements.
fn pool(connections: u32, opening: &'static str) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_connect(move |connection, _| {
            Box::pin(async move { sqlx::raw_sql(opening).execute(connection).await.map(drop) })
        })
        // A full disk makes SQLite roll back on its own; the driver still counts a transaction on that connection and
        // would refuse to begin another for good. It is replaced instead.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
}

#[async_trait]
impl Backend for SqlBackend {
    fn tables(&self) -> &dyn Tables {
        self
    }

    fn schemas(&self) -> &dyn Schemas {
        self
    }

    fn contracts(&self) -> &dyn Contracts {
        self
    }

    fn descriptions(&self) -> &dyn Descriptions {
        self
    }

    fn uploads(&self) -> &dyn Uploads {
        self
    }

    fn row_groups(&self) -> &dyn RowGroups {
        self
    }

    fn channels(&self) -> &dyn Channels {
        self
    }

    fn partials(&self) -> &dyn Partials {
        self
    }

    fn inventory(&self) -> &dyn Inventory {
        self
    }

    fn lineage(&self) -> &dyn Lineage {
        self
    }

    fn quality(&self) -> &dyn Quality {
        self
    }

    fn replays(&self) -> &dyn Replays {
        self
    }

    fn sources(&self) -> &dyn Sources {
        self
    }

    fn source_runs(&self) -> &dyn SourceRuns {
        self
    }

    fn pulls(&self) -> &dyn Pulls {
        self
    }

    fn annotations(&self) -> &dyn Annotations {
        self
    }

    fn discovery(&self) -> &dyn Discovery {
        self
    }

    fn changes(&self) -> &dyn Changes {
        self
    }

    fn change_webhooks(&self) -> &dyn ChangeWebhooks {
        self
    }

    fn pipeline_runs(&self) -> &dyn PipelineRuns {
        self
    }

    fn pipelines(&self) -> &dyn Pipelines {
        self
    }

    fn views(&self) -> &dyn Views {
        self
    }

    fn freshness(&self) -> &dyn FreshnessExpectations {
        self
    }

    fn service_levels(&self) -> &dyn ServiceLevels {
        self
    }

    fn alert_rules(&self) -> &dyn AlertRules {
        self
    }

    fn alerts(&self) -> &dyn Alerts {
        self
    }

    fn watches(&self) -> &dyn Watches {
        self
    }

    fn rebuilding(&self) -> &dyn Rebuilding {
        self
    }

    fn transfer(&self) -> &dyn Transfer {
        self
    }

    fn lifecycle_rules(&self) -> &dyn LifecycleRules {
        self
    }

    fn lifecycle_plans(&self) -> &dyn LifecyclePlans {
        self
    }

    fn stored_objects(&self) -> &dyn StoredObjects {
        self
    }

    fn writer(&self) -> &str {
        &self.writer_name
    }

    async fn unfinished_nodes(&self) -> Result<Vec<u32>, CatalogError> {
        let nodes: Vec<i64> = sqlx::query_scalar(
            "SELECT node FROM uploads WHERE state IN ('landed', 'committing') \
             UNION SELECT node FROM source_runs WHERE state = 'running' \
             UNION SELECT node FROM curated_runs WHERE status = 'RUNNING'",
        )
        .fetch_all(&self.readers)
        .await?;
        let read = |node| u32::try_from(node).map_err(|error| CatalogError::corrupt("upload's server", error));
        nodes.into_iter().map(read).collect()
    }

    async fn adopt(&self, node: u32) -> Result<u64, CatalogError> {
        let mut write = self.write().await?;
        let mut adopted = 0;
        for statement in [
            "UPDATE uploads SET node = $1 WHERE node = $2 AND state IN ('landed', 'committing')",
            "UPDATE source_runs SET node = $1 WHERE node = $2 AND state = 'running'",
            "UPDATE curated_runs SET node = $1 WHERE node = $2 AND status = 'RUNNING'",
        ] {
            let done = sqlx::query(statement).bind(i64::from(self.node)).bind(i64::from(node));
            adopted += done.execute(&mut *write).await?.rows_affected();
        }
        write.commit().await?;
        Ok(adopted)
    }

    async fn ping(&self) -> Result<(), CatalogError> {
        sqlx::query("SELECT 1 FROM namespaces LIMIT 1").execute(&self.readers).await?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        // The last connection folds the write-ahead log into the file, which a reader may not.
        self.writer.close().await;
    }
}

/// How many entries a page has at the most, whatever was asked for.
fn page_size(page: &PageRequest) -> u32 {
    page.size.clamp(1, PageRequest::MAX_SIZE)
}

/// One entry more than the page holds: the proof of a next page.
fn fetch_size(page: &PageRequest) -> i64 {
    i64::from(page_size(page)) + 1
}

fn page_of<R, T>(rows: Vec<R>, page: &PageRequest, key: impl Fn(&T) -> String) -> Result<Page<T>, CatalogError>
where
    T: TryFrom<R, Error = CatalogError>,
{
    Ok(Page::from_overfetched(entries(rows)?, page_size(page), key))
}

fn entries<R, T>(rows: Vec<R>) -> Result<Vec<T>, CatalogError>
where
    T: TryFrom<R, Error = CatalogError>,
{
    rows.into_iter().map(T::try_from).collect()
}

/// Narrow a query to the namespaces that the caller sees.
fn push_visible(query: &mut Assembled, column: &'static str, visible: Option<&[NamespaceName]>) {
    let Some(visible) = visible else { return };
    query.push(" AND ").push(column).push(" IN (").push_list(visible.iter().map(NamespaceName::as_str)).push(")");
}
