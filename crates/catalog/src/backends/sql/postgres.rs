//! PostgreSQL: for servers on several hosts. Who lives is told by leases, for no operating system sees all of them.
//!
//! Invariant: a transaction of a server whose place another one has taken commits nothing.

use std::{sync::Arc, time::Duration};

use sqlx::{Any, AnyPool, Transaction};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{SqlBackend, Turn, lake_id, pool, try_open, writer_name};
use crate::{CatalogError, nodes::MAX_NODES};

/// How many reads of a server run at a time; further ones wait.
const READERS: u32 = 8;
/// A commit is durable when it returns, and nobody waits for a lock, or holds one, for ever.
const WRITER: &str = "SET synchronous_commit = on; SET lock_timeout = '10s'; SET statement_timeout = '60s'; \
     SET idle_in_transaction_session_timeout = '30s'";
const READER: &str = "SET default_transaction_read_only = on; SET statement_timeout = '60s'";
/// How long a lease holds after it was last renewed, in milliseconds.
const LEASE_MILLIS: i64 = 15_000;
/// How long after its end a lease's uploads stay untouched: calls to the store that its server began have ended then.
const GRACE_MILLIS: i64 = 15_000;
/// How often a lease is renewed.
const RENEWAL: Duration = Duration::from_secs(5);
/// The database's clock, in milliseconds: the only one that all servers share.
macro_rules! clock {
    () => {
        "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
    };
}

/// A server's place, as long as it is renewed.
#[derive(Debug)]
pub(crate) struct Lease {
    number: u32,
    holder: String,
    /// The key of the lock that makes a transaction the only one that writes.
    lock: i64,
}

/// The place of this server, and of others that have ended; renewed in the background until it is dropped.
#[derive(Debug)]
pub(crate) struct Leased {
    lease: Arc<Lease>,
    pool: AnyPool,
    renewal: AbortHandle,
}

impl SqlBackend {
    /// Connect to this database, bring it up to this release, and take a place among its servers.
    pub(crate) async fn connect(url: &str) -> Result<(Self, Leased), CatalogError> {
        try_open(url, WRITER).await?;
        // Leases are renewed on a connection of their own: a transaction that takes long must not end the place.
        let keeper = pool(1, WRITER).connect(url).await?;
        sqlx::migrate!().run(&keeper).await?;
        let lock =
            sqlx::query_scalar("SELECT hashtextextended('sluice ' || current_schema(), 0)").fetch_one(&keeper).await?;
        let (writer, readers) = (pool(1, WRITER).connect(url).await?, pool(READERS, READER).connect(url).await?);
        let mut write = begin(&writer, lock).await?;
        compare_bytes(&mut write).await?;
        let lake = lake_id(&mut write).await?;
        write.commit().await?;
        let leased = Leased::take(keeper, lock).await?;
        let (lease, node) = (Arc::clone(&leased.lease), leased.number());
        let writer_name = writer_name(&lake, node);
        Ok((Self { writer, readers, turn: Turn::Lease(lease), node, writer_name }, leased))
    }
}

/// Begin the only transaction that writes.
async fn begin(writer: &AnyPool, lock: i64) -> Result<Transaction<'static, Any>, CatalogError> {
    let mut write = writer.begin_with("BEGIN").await?;
    sqlx::query("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)").bind(lock).execute(&mut *write).await?;
    Ok(write)
}

/// Have texts compared byte by byte, as SQLite does, whatever the database's language: pages are in the order of names.
async fn compare_bytes(write: &mut Transaction<'static, Any>) -> Result<(), CatalogError> {
    let statements: Vec<String> = sqlx::query_scalar(
        "SELECT format('ALTER TABLE %I ALTER COLUMN %I TYPE TEXT COLLATE \"C\"', table_name, column_name) \
         FROM information_schema.columns WHERE table_schema = current_schema() AND data_type = 'text' \
         AND collation_name IS DISTINCT FROM 'C' AND table_name NOT LIKE '\\_sqlx%' ORDER BY table_name, column_name",
    )
    .fetch_all(&mut **write)
    .await?;
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut **write).await?;
    }
    Ok(())
}

impl Lease {
    /// Begin the only transaction that writes, if the place is still this server's.
    pub(super) async fn begin(&self, writer: &AnyPool) -> Result<Transaction<'static, Any>, CatalogError> {
        let mut write = begin(writer, self.lock).await?;
        let holder: Option<String> = sqlx::query_scalar("SELECT holder FROM servers WHERE node = $1")
            .bind(i64::from(self.number))
            .fetch_optional(&mut *write)
            .await?;
        if holder.as_deref() == Some(self.holder.as_str()) { Ok(write) } else { Err(CatalogError::PlaceLost) }
    }
}

impl Leased {
    /// Take the first place that is free.
    async fn take(pool: AnyPool, lock: i64) -> Result<Self, CatalogError> {
        let holder = Uuid::new_v4().to_string();
        for number in 0..MAX_NODES {
            if take_free(&pool, (number, &holder), 0).await? {
                let lease = Arc::new(Lease { number, holder, lock });
                let renewal = tokio::spawn(renew(pool.clone(), Arc::clone(&lease))).abort_handle();
                return Ok(Self { lease, pool, renewal });
            }
        }
        Err(CatalogError::CatalogInUse { place: "the catalog's database".into(), servers: MAX_NODES })
    }

    pub(crate) fn number(&self) -> u32 {
        self.lease.number
    }

    /// Take the place of a server that has ended; false while that one may live.
    pub(crate) async fn take_other(&self, number: u32) -> Result<bool, CatalogError> {
        if number == self.lease.number || number >= MAX_NODES {
            return Ok(false);
        }
        take_free(&self.pool, (number, &self.lease.holder), GRACE_MILLIS).await
    }

    /// Give a place free that was taken over.
    pub(crate) async fn free_other(&self, number: u32) -> Result<(), CatalogError> {
        free(&self.pool, number, &self.lease.holder).await
    }

    /// Give the own place free; every later write fails.
    pub(crate) async fn leave(&self) -> Result<(), CatalogError> {
        self.renewal.abort();
        let freed = free(&self.pool, self.lease.number, &self.lease.holder).await;
        self.pool.close().await;
        freed
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Enter the holder where nobody is, or where the lease ended this long ago.
async fn take_free(pool: &AnyPool, (number, holder): (u32, &str), ended_millis: i64) -> Result<bool, CatalogError> {
    let done = sqlx::query(concat!(
        "INSERT INTO servers (node, holder, expires_at) VALUES ($1, $2, ",
        clock!(),
        " + $3) \
         ON CONFLICT (node) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at \
         WHERE servers.expires_at + $4 < ",
        clock!(),
    ))
    .bind(i64::from(number))
    .bind(holder)
    .bind(LEASE_MILLIS)
    .bind(ended_millis)
    .execute(pool)
    .await?;
    Ok(done.rows_affected() > 0)
}

async fn free(pool: &AnyPool, number: u32, holder: &str) -> Result<(), CatalogError> {
    sqlx::query("DELETE FROM servers WHERE node = $1 AND holder = $2")
        .bind(i64::from(number))
        .bind(holder)
        .execute(pool)
        .await?;
    Ok(())
}

async fn renew(pool: AnyPool, lease: Arc<Lease>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let statement = concat!("UPDATE servers SET expires_at = ", clock!(), " + $1 WHERE node = $2 AND holder = $3");
        let renewed = sqlx::query(statement)
            .bind(LEASE_MILLIS)
            .bind(i64::from(lease.number))
            .bind(&lease.holder)
            .execute(&pool)
            .await;
        match renewed {
            Ok(done) if done.rows_affected() > 0 => {}
            Ok(_) => {
                tracing::error!(
                    catalog.node = lease.number,
                    "another server has the place of this one: it must restart"
                );
                return;
            }
            Err(error) => tracing::warn!(%error, "the place in the catalog could not be renewed"),
        }
    }
}
