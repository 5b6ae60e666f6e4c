//! Quarantined rows that are sent again.

use async_trait::async_trait;
use sluice_domain::{Replay, UploadEntry, UploadId};
use sqlx::AnyConnection;

use super::{
    SqlBackend,
    uploads::{find, insert, wrong_state},
};
use crate::{
    CatalogError, NewUpload, Replays,
    columns::{number, read, read_number},
};

#[async_trait]
impl Replays for SqlBackend {
    async fn land(&self, new: &NewUpload, replay: &Replay) -> Result<UploadEntry, CatalogError> {
        let mut write = self.write().await?;
        let Some(entry) = insert(&mut write, new, self.node).await? else {
            return Err(wrong_state(&find(&mut *write, new.id).await?));
        };
        for row in &replay.rows {
            let entered = sqlx::query(
                "INSERT INTO replayed_rows (source_upload_id, row_number, upload_id) VALUES ($1, $2, $3) \
                 ON CONFLICT DO NOTHING",
            )
            .bind(replay.source.to_string())
            .bind(number("row number", *row)?)
            .bind(new.id.to_string())
            .execute(&mut *write)
            .await?;
            if entered.rows_affected() == 0 {
                return Err(CatalogError::KeyTaken { key: format!("row {row} of upload {}", replay.source) });
            }
        }
        write.commit().await?;
        Ok(entry)
    }

    async fn replayed(&self, source: UploadId) -> Result<Vec<u64>, CatalogError> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT row_number FROM replayed_rows WHERE source_upload_id = $1 AND removed = 0 ORDER BY row_number",
        )
        .bind(source.to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|row| read_number("row number", row)).collect()
    }

    async fn unremoved(&self, limit: u32) -> Result<Vec<(UploadEntry, Replay)>, CatalogError> {
        let found: Vec<(String, String)> = sqlx::query_as(
            "SELECT DISTINCT r.upload_id, r.source_upload_id FROM replayed_rows r JOIN uploads u ON u.id = r.upload_id \
             WHERE r.removed = 0 AND u.state = 'committed' ORDER BY r.upload_id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        let mut replays = Vec::with_capacity(found.len());
        for (upload, source) in found {
            let (upload, source) = (UploadId(read("upload id", &upload)?), UploadId(read("upload id", &source)?));
            let rows: Vec<i64> =
                sqlx::query_scalar("SELECT row_number FROM replayed_rows WHERE upload_id = $1 ORDER BY row_number")
                    .bind(upload.to_string())
                    .fetch_all(&self.readers)
                    .await?;
            let rows = rows.into_iter().map(|row| read_number("row number", row)).collect::<Result<_, _>>()?;
            replays.push((find(&self.readers, upload).await?, Replay { source, rows }));
        }
        Ok(replays)
    }

    async fn removed(&self, upload: UploadId) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE replayed_rows SET removed = 1 WHERE upload_id = $1")
            .bind(upload.to_string())
            .execute(&mut *write)
            .await?;
        Ok(write.commit().await?)
    }
}

/// Let others replay the rows of an upload that failed, within a transaction.
pub(super) async fn release(connection: &mut AnyConnection, upload: UploadId) -> Result<(), CatalogError> {
    sqlx::query("DELETE FROM replayed_rows WHERE upload_id = $1").bind(upload.to_string()).execute(connection).await?;
    Ok(())
}
