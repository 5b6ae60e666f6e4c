//! Taking a request of a few rows: its key, its body, its channel, and the wait for its group.

use std::time::Instant;

use bytes::Bytes;
use chrono::Utc;
use sluice_catalog::{KnownRequest, RowRequest};
use sluice_domain::{BadRowLimits, ChannelOffset, Format, Grant, IdempotencyKey, UploadEntry, UploadId};
use tokio::{sync::oneshot, task::spawn_blocking};

use super::{
    ChannelPlace, RowsError, RowsOutcome, RowsReceipt, RowsRequest,
    body::{format_of, lines},
    check::{Checked, check},
    request::{Held, Waiting},
    targets::Known,
};
use crate::{
    Body, BodyError, DecodeError, Ingest, IngestError,
    in_flight::{Claim, Subject},
    land::Intake,
};

/// Up to this size a body is read where it is: handing it to another thread takes longer.
const SMALL_BODY_BYTES: usize = 64 << 10;

/// A body that came in whole.
struct Sent {
    format: Format,
    bytes: Bytes,
    sha256: String,
}

impl Ingest {
    /// Add the rows of a request, together with those of others, and wait until they are durable in the table.
    ///
    /// # Errors
    /// Why none of its rows was added; after [`RowsError::Ingest`] of kind unavailable or internal they may be.
    pub async fn append_rows(
        &self,
        grant: &Grant,
        request: RowsRequest,
        body: Body<'_>,
    ) -> Result<RowsOutcome, RowsError> {
        let (since, started_at) = (Instant::now(), Utc::now());
        if request.table.table.is_quarantine() {
            return Err(IngestError::reserved_name(&request.table).into());
        }
        let place = self.rows.take_place()?;
        let key = match &request.key {
            Some(key) => Some(self.in_flight.claim(Subject::Key(key.clone())).ok_or(IngestError::KeyInFlight)?),
            None => None,
        };
        let sent = self.take_rows(&request, body).await?;
        let room = self.rows.take_room(sent.bytes.len())?;
        if let Some(key) = &request.key
            && let Some(receipt) = self.find_answered(key, &sent.sha256, request.channel.as_ref()).await?
        {
            return Ok(RowsOutcome::Replayed(receipt));
        }
        let (offset, channel) = match &request.channel {
            Some(place) => {
                let (offset, claim) = self.hold_channel(&request, place).await?;
                (Some(offset), Some(claim))
            }
            None => (None, None),
        };
        let (checked, known) = self.check_rows(&request, &sent).await?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            record: RowRequest { key: request.key, offset, sha256: sent.sha256, rows: checked.rows },
            channel: request.channel.map(|place| place.channel),
            principal: grant.principal().to_owned(),
            lines: lines(sent.format, &sent.bytes)?,
            format: if sent.format == Format::Arrow { Format::Arrow } else { Format::Ndjson },
            bad_rows: request.bad_rows,
            is_alone: checked.is_alone,
            batch: checked.batch,
            held: Held { place, room, key, channel },
            table: request.table,
            since,
            started_at,
            answer,
        };
        match newest_known(known.as_ref(), offset).await? {
            Some(newest) => waiting.duplicate(newest),
            None => self.rows.push(waiting)?,
        }
        let outcome = answered.await;
        self.road.metrics.answered_rows(since.elapsed());
        outcome.unwrap_or_else(|_| Err(IngestError::lost_task("group").into()))
    }

    /// Take the body, which is small.
    async fn take_rows(&self, request: &RowsRequest, body: Body<'_>) -> Result<Sent, RowsError> {
        let settings = &self.road.pipeline.settings;
        let limit_bytes = settings.rows.max_body_bytes;
        let intake = Intake::new(body, settings).limited_to(limit_bytes);
        let (bytes, sha256) = intake.collect().await.map_err(|error| match error {
            BodyError::TooLarge { .. } => {
                let (namespace, table) = (&request.table.namespace, &request.table.table);
                RowsError::TooLarge { limit_bytes, uploads: format!("/api/v1/tables/{namespace}/{table}/uploads") }
            }
            other => other.into(),
        })?;
        let format = format_of(request.media_type.as_deref(), &bytes)?;
        Ok(Sent { format, bytes, sha256 })
    }

    /// The receipt of an earlier request of this key.
    async fn find_answered(
        &self,
        key: &IdempotencyKey,
        sha256: &str,
        place: Option<&ChannelPlace>,
    ) -> Result<Option<RowsReceipt>, RowsError> {
        let find = || self.road.catalog.row_groups().find_by_key(&key.scope, &key.key);
        let Some(known) = find().await.map_err(IngestError::from)? else { return Ok(None) };
        check_same(&known, sha256, place)?;
        let receipt = |upload: &UploadEntry| {
            let channel = place.map(|place| (place.channel.clone(), place.offset));
            RowsReceipt::replayed(upload, known.rows, channel)
        };
        if let Some(receipt) = receipt(&known.upload) {
            return Ok(Some(receipt));
        }
        let upload = self.settle(known.upload.id).await?;
        match receipt(&upload) {
            Some(receipt) => Ok(Some(receipt)),
            // The rows of a failed group are nowhere: the request is made anew.
            None if upload.failure.is_some() => Ok(None),
            None => Err(IngestError::KeyInFlight.into()),
        }
    }

    /// Bring an upload to its outcome that its server came to a halt with; gives it as it is then.
    pub(super) async fn settle(&self, id: UploadId) -> Result<UploadEntry, IngestError> {
        self.road.catalog.take_over().await?;
        let ingest = self.clone();
        // In a task of its own: it goes on if nobody waits for it.
        let finishing = self.running.spawn(async move { ingest.finish_unclaimed(id).await });
        if let Ok(Err(error)) = finishing.await {
            tracing::warn!(upload.id = %id, %error, "could not finish an upload");
        }
        Ok(self.road.catalog.uploads().find(id).await?)
    }

    /// Hold the channel that a request is of, until the request is answered.
    async fn hold_channel(
        &self,
        request: &RowsRequest,
        place: &ChannelPlace,
    ) -> Result<(ChannelOffset, Claim), RowsError> {
        let found = self.road.catalog.channels().find(&request.table, &place.channel).await;
        let channel = found.map_err(IngestError::from)?.ok_or_else(|| RowsError::NoChannel(place.channel.clone()))?;
        if let Some(epoch) = place.epoch.filter(|epoch| *epoch != channel.epoch) {
            return Err(RowsError::Fenced { channel: place.channel.clone(), epoch });
        }
        let claim = self.in_flight.claim(Subject::Channel(channel.id));
        let claim = claim.ok_or_else(|| RowsError::ChannelBusy(place.channel.clone()))?;
        Ok((ChannelOffset { channel: channel.id, epoch: channel.epoch, offset: place.offset }, claim))
    }

    /// Look at the rows of a request by themselves. What the table as it was seen last does not take, it may take now.
    async fn check_rows(&self, request: &RowsRequest, sent: &Sent) -> Result<(Checked, Option<Known>), RowsError> {
        let targets = &self.rows.writer.targets;
        let known = targets.find(&request.table).await?;
        let checked = self.check_against(known.as_ref(), request.bad_rows, sent).await;
        let is_misfit = match &checked {
            Ok(checked) => checked.is_alone,
            Err(error) => error.is_misfit(),
        };
        if known.is_none() || !is_misfit || sent.format == Format::Arrow {
            return Ok((checked?, known));
        }
        targets.forget(&request.table);
        let known = targets.find(&request.table).await?;
        Ok((self.check_against(known.as_ref(), request.bad_rows, sent).await?, known))
    }

    async fn check_against(
        &self,
        known: Option<&Known>,
        bad_rows: BadRowLimits,
        sent: &Sent,
    ) -> Result<Checked, DecodeError> {
        let known = known.cloned();
        let (format, bytes, limits) = (sent.format, sent.bytes.clone(), self.road.pipeline.settings.decode.clone());
        let checking = move || check(format, &bytes, known.as_ref(), bad_rows, &limits);
        if sent.bytes.len() <= SMALL_BODY_BYTES {
            return checking();
        }
        spawn_blocking(checking).await.unwrap_or_else(|_| Err(DecodeError::Stopped))
    }
}

/// How far the channel is known to be, where that is not behind the offset. What is not known yet, the commit finds.
async fn newest_known(known: Option<&Known>, offset: Option<ChannelOffset>) -> Result<Option<i64>, IngestError> {
    let (Some(known), Some(offset)) = (known, offset) else { return Ok(None) };
    let newest = known.target.table.known_offset(&offset.channel.app_id()).await?;
    Ok(newest.filter(|newest| *newest >= offset.offset))
}

/// Whether the request is the one that its key was used for.
fn check_same(known: &KnownRequest, sha256: &str, place: Option<&ChannelPlace>) -> Result<(), IngestError> {
    if known.sha256 != sha256 {
        return Err(IngestError::KeyReused("another body"));
    }
    if known.offset.map(|(_, offset)| offset) != place.map(|place| place.offset) {
        return Err(IngestError::KeyReused("another offset"));
    }
    Ok(())
}
