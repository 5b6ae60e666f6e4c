//! What sources pulled.

use async_trait::async_trait;
use sluice_domain::{Page, PageRequest, Pull, PullEntry, RunId, SourceId, StoredFailure, UploadEntry, UploadId};
use sqlx::AnyConnection;

use super::{
    SqlBackend,
    assembled::Assembled,
    entries, fetch_size, page_of,
    uploads::{find, insert, wrong_state},
};
use crate::{
    CatalogError, NewUpload, Pulls,
    columns::{json, now, number, read},
    source_rows::PullRow,
};

const SELECT: &str = "SELECT p.*, u.state AS upload_state, u.row_counts, u.failure AS upload_failure \
     FROM source_pulls p LEFT JOIN uploads u ON u.id = p.upload_id WHERE ";
/// Stands between a position and its fingerprint in the key of a page, and in neither.
const KEY_SEPARATOR: char = '\0';

#[async_trait]
impl Pulls for SqlBackend {
    async fn land(&self, new: &NewUpload, pull: &Pull) -> Result<Option<UploadEntry>, CatalogError> {
        let mut write = self.write().await?;
        let Some(entry) = insert(&mut write, new, self.node).await? else {
            return Err(wrong_state(&find(&mut *write, new.id).await?));
        };
        if !enter(&mut write, pull, Ok(new.id), self.node).await? {
            return Ok(None);
        }
        write.commit().await?;
        Ok(Some(entry))
    }

    async fn refuse(&self, pull: &Pull, failure: &StoredFailure) -> Result<(), CatalogError> {
        let mut write = self.write().await?;
        enter(&mut write, pull, Err(failure), self.node).await?;
        Ok(write.commit().await?)
    }

    async fn seen(&self, source: SourceId, positions: &[String]) -> Result<Vec<PullEntry>, CatalogError> {
        let mut query = Assembled::new(SELECT);
        query.push("p.source_id = ").push_bind(source.to_string()).push(" AND p.position IN (");
        query.push_list(positions).push(")");
        entries(query.build_query_as::<PullRow>().fetch_all(&self.readers).await?)
    }

    async fn unsettled(&self, source: SourceId, limit: u32) -> Result<Vec<UploadId>, CatalogError> {
        let ids: Vec<String> = sqlx::query_scalar(
            "SELECT u.id FROM uploads u JOIN source_pulls p ON p.upload_id = u.id \
             WHERE u.state IN ('landed', 'committing') AND p.source_id = $1 ORDER BY u.id LIMIT $2",
        )
        .bind(source.to_string())
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        ids.iter().map(|id| read("upload id", id).map(UploadId)).collect()
    }

    async fn list(&self, run: RunId, page: &PageRequest) -> Result<Page<PullEntry>, CatalogError> {
        let (position, fingerprint) = page.after().split_once(KEY_SEPARATOR).unwrap_or((page.after(), ""));
        let mut query = Assembled::new(SELECT);
        query.push("p.run_id = ").push_bind(run.to_string());
        query.push(" AND (p.position > ").push_bind(position).push(" OR (p.position = ").push_bind(position);
        query.push(" AND p.fingerprint > ").push_bind(fingerprint).push("))");
        query.push(" ORDER BY p.position, p.fingerprint LIMIT ").push_bind(fetch_size(page));
        let rows: Vec<PullRow> = query.build_query_as().fetch_all(&self.readers).await?;
        page_of(rows, page, |entry: &PullEntry| {
            format!("{}{KEY_SEPARATOR}{}", entry.pull.position, entry.pull.fingerprint)
        })
    }
}

/// Enter a pull with what became of it, within a transaction; says whether it is entered. It is where the run is this
/// server's, and no upload that did not fail has the content.
async fn enter(
    connection: &mut AnyConnection,
    pull: &Pull,
    became: Result<UploadId, &StoredFailure>,
    node: u32,
) -> Result<bool, CatalogError> {
    let failure = became.err().map(|failure| json("pull's failure", failure)).transpose()?;
    let done = sqlx::query(
        "INSERT INTO source_pulls (source_id, position, fingerprint, run_id, upload_id, pages, watermark, failure, \
         entered_at) SELECT r.source_id, $2, $3, r.id, $4, $5, $6, $7, $8 FROM source_runs r \
         WHERE r.id = $1 AND r.state = 'running' AND r.node = $9 \
         ON CONFLICT (source_id, position, fingerprint) DO UPDATE SET run_id = excluded.run_id, \
         upload_id = excluded.upload_id, pages = excluded.pages, watermark = excluded.watermark, \
         failure = excluded.failure, entered_at = excluded.entered_at WHERE source_pulls.failure IS NOT NULL OR EXISTS \
         (SELECT 1 FROM uploads u WHERE u.id = source_pulls.upload_id AND u.state = 'failed')",
    )
    .bind(pull.run.to_string())
    .bind(&pull.position)
    .bind(&pull.fingerprint)
    .bind(became.ok().map(|id| id.to_string()))
    .bind(number("pull's pages", pull.pages)?)
    .bind(&pull.watermark)
    .bind(failure)
    .bind(now())
    .bind(i64::from(node))
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}
