//! SQLite: one file, one writer, a few readers.
//!
//! Invariant: every transaction that writes goes through the one writing connection and is synced when it commits.

mod channels;
mod contracts;
mod inventory;
mod namespaces;
mod partials;
mod plain_commits;
mod replays;
mod row_groups;
mod schemas;
mod sequences;
mod source_pulls;
mod source_runs;
mod sources;
mod tables;
mod uploads;

#[cfg(test)]
mod tests;

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use sluice_domain::{NamespaceName, Page, PageRequest};
use sqlx::{
    Connection, QueryBuilder, Sqlite, SqlitePool, Transaction,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use uuid::Uuid;

use crate::{
    CatalogError, Channels, Contracts, Inventory, Partials, Pulls, Replays, RowGroups, Schemas, SourceRuns, Sources,
    Tables, Uploads, backends::Backend,
};

/// How many reads run at a time; further ones wait.
const READERS: u32 = 4;
/// How long a call waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a statement waits for a lock that a stranger (a shell, a backup) holds on the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A catalog in a SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteBackend {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The place of this server.
    node: u32,
    /// The name under which it commits.
    writer_name: String,
}

impl SqliteBackend {
    pub(crate) async fn open(file: &Path, node: u32) -> Result<Self, CatalogError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let writer = pool(1).connect_with(options.clone()).await?;
        sqlx::migrate!().run(&writer).await?;
        let readers = pool(READERS).connect_with(options.pragma("query_only", "ON")).await?;
        let writer_name = format!("sluice:{}:{node}", lake_id(&writer).await?);
        Ok(Self { writer, readers, node, writer_name })
    }

    /// Begin a transaction that may write: the lock is taken now, so that what is read in it stays true.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }
}

/// The lake's name for itself, made when its first server opens the catalog.
async fn lake_id(writer: &SqlitePool) -> Result<String, CatalogError> {
    let found: Option<String> = sqlx::query_scalar("SELECT id FROM lakes").fetch_optional(writer).await?;
    if let Some(id) = found {
        return Ok(id);
    }
    let id = Uuid::new_v4().to_string();
    sqlx::query("INSERT INTO lakes (id) VALUES ($1)").bind(&id).execute(writer).await?;
    Ok(id)
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        // A full disk makes SQLite roll back on its own; the driver still counts a transaction on that connection and
        // would refuse to begin another for good. It is replaced instead.
        .before_acquire(|connection, _| {
            let usable = !connection.is_in_transaction();
            Box::pin(async move { Ok(usable) })
        })
}

#[async_trait]
impl Backend for SqliteBackend {
    fn tables(&self) -> &dyn Tables {
        self
    }

    fn schemas(&self) -> &dyn Schemas {
        self
    }

    fn contracts(&self) -> &dyn Contracts {
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

    fn writer(&self) -> &str {
        &self.writer_name
    }

    async fn unfinished_nodes(&self) -> Result<Vec<u32>, CatalogError> {
        let nodes: Vec<i64> = sqlx::query_scalar(
            "SELECT node FROM uploads WHERE state IN ('landed', 'committing') \
             UNION SELECT node FROM source_runs WHERE state = 'running'",
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
fn push_visible(query: &mut QueryBuilder<Sqlite>, column: &'static str, visible: Option<&[NamespaceName]>) {
    let Some(visible) = visible else { return };
    query.push(" AND ").push(column).push(" IN (");
    let mut names = query.separated(", ");
    for name in visible {
        names.push_bind(name.as_str());
    }
    query.push(")");
}
