//! The order of the commits to one table.

use async_trait::async_trait;
use sluice_domain::{TableId, UploadState};
use sqlx::AnyConnection;

use super::{
    SqlBackend, inventory,
    tables::not_found,
    uploads::{find, wrong_state},
};
use crate::{CatalogError, CommitTry, Sequences, columns::json};

#[async_trait]
impl Sequences for SqlBackend {
    async fn begin_commits(&self, table: TableId, tries: &[CommitTry]) -> Result<Vec<i64>, CatalogError> {
        let mut write = self.write().await?;
        let sequences = begin(&mut write, table, tries, (self.node, &self.writer_name)).await?;
        write.commit().await?;
        Ok(sequences)
    }

    async fn skip_sequences(&self, table: TableId, through: i64) -> Result<(), CatalogError> {
        // Past the last number the database would count on in floating point.
        if through == i64::MAX {
            return Err(CatalogError::corrupt("table's sequence", format!("no number comes after {through}")));
        }
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE tables SET last_sequence = CASE WHEN last_sequence < $1 THEN $1 ELSE last_sequence END \
             WHERE id = $2 AND state <> 'deleted'",
        )
        .bind(through)
        .bind(table.to_string())
        .execute(&mut *write)
        .await?;
        if done.rows_affected() == 0 {
            return Err(not_found(table));
        }
        Ok(write.commit().await?)
    }
}

/// Begin the commit of these uploads within a transaction, by the server of this place and name.
pub(super) async fn begin(
    connection: &mut AnyConnection,
    table: TableId,
    tries: &[CommitTry],
    (node, writer): (u32, &str),
) -> Result<Vec<i64>, CatalogError> {
    let mut sequences = Vec::with_capacity(tries.len());
    for attempt in tries {
        let entry = find(&mut *connection, attempt.upload).await?;
        let open = matches!(entry.state, UploadState::Landed | UploadState::Committing);
        if !open || entry.node != node {
            return Err(wrong_state(&entry));
        }
        let sequence = next_sequence(connection, table).await?;
        sqlx::query(
            "UPDATE uploads SET state = 'committing', table_id = $1, sequence = $2, writer = $3, prepared = $4 \
             WHERE id = $5",
        )
        .bind(table.to_string())
        .bind(sequence)
        .bind(writer)
        .bind(json("upload's prepared rows", &attempt.prepared)?)
        .bind(attempt.upload.to_string())
        .execute(&mut *connection)
        .await?;
        inventory::enter(connection, table, &attempt.files).await?;
        sequences.push(sequence);
    }
    Ok(sequences)
}

/// Count the table's commits on: the counter outlives the uploads that it numbered.
async fn next_sequence(connection: &mut AnyConnection, table: TableId) -> Result<i64, CatalogError> {
    let next: Option<i64> = sqlx::query_scalar(
        "UPDATE tables SET last_sequence = last_sequence + 1 WHERE id = $1 AND state <> 'deleted' \
         RETURNING last_sequence",
    )
    .bind(table.to_string())
    .fetch_optional(connection)
    .await?;
    next.ok_or_else(|| not_found(table))
}
