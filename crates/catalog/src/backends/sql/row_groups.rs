//! The ledger of small requests.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_domain::{ChannelId, ChannelOffset, IdempotencyKey, TableId, UploadEntry, UploadId};
use sqlx::AnyConnection;

use super::{SqlBackend, assembled::Assembled, sequences, uploads};
use crate::{
    CatalogError, CommitTry, Entered, KnownRequest, NewGroup, Obstacle, RowGroups, RowRequest,
    columns::{instant, now, number, read, read_number},
    rows::RequestRow,
};

/// How many requests one statement enters: the database takes 32,766 values.
const REQUESTS_PER_STATEMENT: usize = 2000;

#[async_trait]
impl RowGroups for SqlBackend {
    async fn land_group(&self, group: &NewGroup) -> Result<Entered<UploadEntry>, CatalogError> {
        let mut write = self.write().await?;
        let entry = match enter(&mut write, group, self.node).await? {
            Entered::All(entry) => entry,
            stopped @ Entered::Stopped { .. } => return Ok(stopped),
        };
        write.commit().await?;
        Ok(Entered::All(entry))
    }

    async fn begin_groups(
        &self,
        table: TableId,
        tries: &[CommitTry],
        groups: &[&NewGroup],
    ) -> Result<Entered<Vec<i64>>, CatalogError> {
        let mut write = self.write().await?;
        for group in groups {
            if let Entered::Stopped { upload, number, obstacle } = enter(&mut write, group, self.node).await? {
                return Ok(Entered::Stopped { upload, number, obstacle });
            }
        }
        let sequences = sequences::begin(&mut write, table, tries, (self.node, &self.writer_name)).await?;
        write.commit().await?;
        Ok(Entered::All(sequences))
    }

    async fn find_by_key(&self, scope: &str, key: &str) -> Result<Option<KnownRequest>, CatalogError> {
        let row: Option<RequestRow> =
            sqlx::query_as("SELECT * FROM row_requests WHERE key_scope = $1 AND idempotency_key = $2")
                .bind(scope)
                .bind(key)
                .fetch_optional(&self.readers)
                .await?;
        let Some(row) = row else { return Ok(None) };
        let upload = uploads::find(&self.readers, UploadId(read("request's upload", &row.upload_id)?)).await?;
        Ok(if upload.failure.is_some() { None } else { Some(row.known(upload)?) })
    }

    async fn offsets(&self, upload: UploadId) -> Result<Vec<(ChannelId, i64)>, CatalogError> {
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT channel_id, channel_offset FROM row_requests WHERE upload_id = $1 AND channel_id IS NOT NULL",
        )
        .bind(upload.to_string())
        .fetch_all(&self.readers)
        .await?;
        rows.into_iter().map(|(id, offset)| Ok((ChannelId(read("request's channel", &id)?), offset))).collect()
    }

    async fn unfinished_of(&self, channel: ChannelId) -> Result<Option<UploadId>, CatalogError> {
        let mut connection = self.readers.acquire().await?;
        Ok(unfinished(&mut connection, &[channel]).await?.remove(&channel))
    }

    async fn forget_requests(&self, before: DateTime<Utc>, limit: u32) -> Result<u64, CatalogError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM row_requests WHERE (upload_id, number) IN (SELECT r.upload_id, r.number FROM row_requests r \
             JOIN uploads u ON u.id = r.upload_id \
             WHERE r.entered_at < $1 AND u.state IN ('committed', 'failed') LIMIT $2)",
        )
        .bind(instant(before))
        .bind(i64::from(limit))
        .execute(&mut *write)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}

/// Enter one group within a transaction.
async fn enter(
    connection: &mut AnyConnection,
    group: &NewGroup,
    node: u32,
) -> Result<Entered<UploadEntry>, CatalogError> {
    let stopped = |number, obstacle| Entered::Stopped { upload: group.upload.id, number, obstacle };
    let Some(entry) = uploads::insert(&mut *connection, &group.upload, node).await? else {
        return Err(uploads::wrong_state(&uploads::find(connection, group.upload.id).await?));
    };
    if let Some((number, obstacle)) = channel_in_the_way(connection, group).await? {
        return Ok(stopped(number, obstacle));
    }
    let kept: Vec<(usize, &RowRequest)> = group
        .requests
        .iter()
        .enumerate()
        .filter(|(_, request)| request.key.is_some() || request.offset.is_some())
        .collect();
    for requests in kept.chunks(REQUESTS_PER_STATEMENT) {
        let entered = insert(connection, group.upload.id, requests).await?;
        for (number, request) in requests.iter().filter(|(number, _)| !entered.contains(number)) {
            let Some(key) = &request.key else { continue };
            match free(connection, key).await? {
                Some(upload) => return Ok(stopped(*number, Obstacle::KeyTaken(upload))),
                None => drop(insert(connection, group.upload.id, &[(*number, request)]).await?),
            }
        }
    }
    Ok(Entered::All(entry))
}

/// Enter requests, except those whose key is there; gives the places of those that were entered.
async fn insert(
    connection: &mut AnyConnection,
    upload: UploadId,
    requests: &[(usize, &RowRequest)],
) -> Result<HashSet<usize>, CatalogError> {
    let entered_at = now();
    let counts: Vec<i64> =
        requests.iter().map(|(_, request)| number("request's rows", request.rows)).collect::<Result<_, _>>()?;
    let mut insert = Assembled::new(
        "INSERT INTO row_requests (upload_id, number, key_scope, idempotency_key, body_sha256, channel_id, \
         channel_offset, row_count, entered_at) ",
    );
    insert.push_rows(requests.iter().zip(counts).map(|((number, request), count)| {
        [
            upload.to_string().into(),
            (*number as i64).into(),
            request.key.as_ref().map(|key| key.scope.clone()).into(),
            request.key.as_ref().map(|key| key.key.clone()).into(),
            (&request.sha256).into(),
            request.offset.map(|offset| offset.channel.to_string()).into(),
            request.offset.map(|offset| offset.offset).into(),
            count.into(),
            (&entered_at).into(),
        ]
    }));
    insert.push(" ON CONFLICT DO NOTHING RETURNING number");
    let entered: Vec<i64> = insert.build_query_scalar().fetch_all(connection).await?;
    Ok(entered.into_iter().map(|number| number as usize).collect())
}

/// Give a key free whose request came to nothing; the upload that has it otherwise.
async fn free(connection: &mut AnyConnection, key: &IdempotencyKey) -> Result<Option<UploadId>, CatalogError> {
    let taken: Option<String> = sqlx::query_scalar(
        "SELECT r.upload_id FROM row_requests r JOIN uploads u ON u.id = r.upload_id \
         WHERE r.key_scope = $1 AND r.idempotency_key = $2 AND u.state <> 'failed'",
    )
    .bind(&key.scope)
    .bind(&key.key)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(upload) = taken {
        return Ok(Some(UploadId(read("request's upload", &upload)?)));
    }
    sqlx::query("DELETE FROM row_requests WHERE key_scope = $1 AND idempotency_key = $2")
        .bind(&key.scope)
        .bind(&key.key)
        .execute(connection)
        .await?;
    Ok(None)
}

/// The first request whose channel is not open for it.
async fn channel_in_the_way(
    connection: &mut AnyConnection,
    group: &NewGroup,
) -> Result<Option<(usize, Obstacle)>, CatalogError> {
    let wanted: Vec<(usize, ChannelOffset)> =
        group.requests.iter().enumerate().filter_map(|(number, request)| Some((number, request.offset?))).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let ids: Vec<ChannelId> = wanted.iter().map(|(_, offset)| offset.channel).collect();
    let (epochs, busy) = (epochs(connection, &ids).await?, unfinished(connection, &ids).await?);
    Ok(wanted.into_iter().find_map(|(number, offset)| {
        let fenced = epochs.get(&offset.channel) != Some(&offset.epoch);
        let upload = busy.get(&offset.channel).copied();
        let obstacle = if fenced { Some(Obstacle::ChannelFenced) } else { upload.map(Obstacle::ChannelBusy) };
        obstacle.map(|obstacle| (number, obstacle))
    }))
}

async fn epochs(
    connection: &mut AnyConnection,
    channels: &[ChannelId],
) -> Result<HashMap<ChannelId, i64>, CatalogError> {
    let mut query = Assembled::new("SELECT id, epoch FROM channels WHERE id IN (");
    push_ids(&mut query, channels);
    let rows: Vec<(String, i64)> = query.build_query_as().fetch_all(connection).await?;
    rows.into_iter().map(|(id, epoch)| Ok((ChannelId(read("channel's id", &id)?), epoch))).collect()
}

/// The unfinished uploads that hold rows of these channels.
async fn unfinished(
    connection: &mut AnyConnection,
    channels: &[ChannelId],
) -> Result<HashMap<ChannelId, UploadId>, CatalogError> {
    let mut query = Assembled::new(
        "SELECT r.channel_id, r.upload_id FROM row_requests r JOIN uploads u ON u.id = r.upload_id \
         WHERE u.state IN ('landed', 'committing') AND r.channel_id IN (",
    );
    push_ids(&mut query, channels);
    let rows: Vec<(String, String)> = query.build_query_as().fetch_all(connection).await?;
    let parsed = rows.into_iter().map(|(channel, upload)| {
        Ok((ChannelId(read("channel's id", &channel)?), UploadId(read("request's upload", &upload)?)))
    });
    parsed.collect()
}

fn push_ids(query: &mut Assembled, channels: &[ChannelId]) {
    query.push_list(channels.iter().map(ToString::to_string)).push(")");
}

impl RequestRow {
    fn known(self, upload: UploadEntry) -> Result<KnownRequest, CatalogError> {
        let channel = self.channel_id.map(|id| read("request's channel", &id).map(ChannelId)).transpose()?;
        Ok(KnownRequest {
            upload,
            sha256: self.body_sha256,
            rows: read_number("request's rows", self.row_count)?,
            offset: channel.zip(self.channel_offset),
        })
    }
}
